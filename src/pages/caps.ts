/** The bounds of a fetch that no request can change. */
export type PageCaps = {
  readonly redirects: number;
  /** Answers of a name: more are refused, and all of them are judged before one is dialled. */
  readonly addresses: number;
  /** Judged addresses that are tried, one after the other. */
  readonly dials: number;
  /** Milliseconds. */
  readonly dnsMs: number;
  readonly connectMs: number;
  /** Without headers, or between two pieces of the body. */
  readonly silenceMs: number;
  /** How long a page is read on for its JSON-LD once what is returned is full. */
  readonly tailMs: number;
  /** Bytes. */
  readonly headerBytes: number;
  readonly wireBytes: number;
  readonly decodedBytes: number;
  readonly jsonLdBytes: number;
  /** Of stripped HTML that is read as an article. */
  readonly articleBytes: number;
  /** At a time for a host, and in line for all hosts. */
  readonly perHost: number;
  readonly waiting: number;
  /** Article workers at a time. */
  readonly articles: number;
};

export const defaultCaps: PageCaps = {
  redirects: 5,
  addresses: 32,
  dials: 3,
  dnsMs: 3000,
  connectMs: 5000,
  silenceMs: 10_000,
  tailMs: 2000,
  headerBytes: 16_384,
  wireBytes: 5_000_000,
  decodedBytes: 10_000_000,
  jsonLdBytes: 500_000,
  articleBytes: 2_000_000,
  perHost: 2,
  waiting: 64,
  articles: 2,
};
