/** The bounds of a fetch that no request can change. */
export const defaultCaps = {
  redirects: 5,
  /** Addresses of a name. More are refused; all are judged before one is dialled. */
  addresses: 32,
  /** Judged addresses that are tried in turn. */
  dials: 3,

  // Milliseconds.
  dnsMs: 3000,
  connectMs: 5000,
  /** Before the headers, or between two pieces of the body. */
  silenceMs: 10_000,
  /** Reading on for JSON-LD once the answer is full. */
  tailMs: 2000,
  /** Reading a page as an article. */
  articleMs: 6000,

  // Bytes.
  /** Of the status line and the headers. */
  headerBytes: 16_384,
  /** With chunk framing and informational replies. */
  wireBytes: 5_000_000,
  decodedBytes: 10_000_000,
  jsonLdBytes: 500_000,
  /** Stripped HTML that is read as an article. */
  articleBytes: 2_000_000,

  /** Fetches from one host at a time. */
  perHost: 2,
  /** Article workers at a time. */
  articles: 2,
  /** Fetches in the queues of all hosts; articles in the queue for the workers. */
  waiting: 64,
};

export type PageCaps = Readonly<typeof defaultCaps>;
