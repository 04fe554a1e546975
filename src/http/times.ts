/** How long the HTTP side waits for a client, in milliseconds. No setting reaches these; tests shorten them. */
export type Times = {
  /** For a request's headers. */
  headersMs: number;
  /** For a whole request, headers and body. */
  requestMs: number;
  /**
   * Without a byte of an event stream until a ping, from the request's arrival or the last byte sent: less than the 5 s after which
   * the strictest tunnels close the connection.
   */
  pingAfterMs: number;
  /** A client that leaves an event stream unread for this long is dropped. */
  maxUnreadMs: number;
  /** A run goes on for this long while nobody waits for it, so that a client that lost its connection can come back. */
  graceMs: number;
};

export const defaultTimes: Times = {
  headersMs: 10_000,
  requestMs: 30_000,
  pingAfterMs: 3000,
  maxUnreadMs: 30_000,
  graceMs: 30_000,
};
