/** The bounds of a fetch that no request can change. */
export const defaultCaps = {
  redirects: 5,
  /** Answers of a name: more are refused, and all of them are judged before one is dialled. */
  addresses: 32,
  /** Judged addresses that are tried, one after the other. */
  dials: 3,

  // Milliseconds.
  dnsMs: 3000,
  connectMs: 5000,
  /** Without headers, or between two pieces of the body. */
  silenceMs: 10_000,
  /** How long a page is read on for its JSON-LD once what is returned is full. */
  tailMs: 2000,
  /** To read a page as an article. */
  articleMs: 6000,

  // Bytes.
  headerBytes: 16_384,
  wireBytes: 5_000_000,
  decodedBytes: 10_000_000,
  jsonLdBytes: 500_000,
  /** Of stripped HTML that is read as an article. */
  articleBytes: 2_000_000,

  /** At a time for a host. */
  perHost: 2,
  /** Article workers at a time. */
  articles: 2,
  /** In line for all hosts, and for the workers. */
  waiting: 64,
};

export type PageCaps = Readonly<typeof defaultCaps>;
