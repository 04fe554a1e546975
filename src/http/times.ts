/** How long the HTTP side waits, in milliseconds. No setting reaches these; tests shorten them. */
export const defaultTimes = {
  /** For a request's headers. */
  headersMs: 10_000,
  /** For a whole request, headers and body. */
  requestMs: 30_000,
  /** Silence of an event stream until a ping: less than the 5 s after which the strictest tunnels close the connection. */
  pingAfterMs: 3000,
  /** A client that leaves an event stream unread for this long is dropped. */
  maxUnreadMs: 30_000,
  /** A run goes on for this long while nobody waits for it, so that a client that lost its connection can come back. */
  graceMs: 30_000,
  /** Between two looks at which keys have a port: a change by a command takes effect within this time. */
  followKeysMs: 1000,
};

export type Times = typeof defaultTimes;
