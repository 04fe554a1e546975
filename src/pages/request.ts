/** The body of a page fetch. Unknown fields are errors, and every number has an upper bound. */
import { z } from 'zod';

const maxPageBytes = 2_000_000;

/** Printable ASCII: nothing that could end a header line. */
const headerText = (longest: number) =>
  z
    .string()
    .regex(
      new RegExp(`^[\\x21-\\x7e]([\\x20-\\x7e]{0,${longest - 2}}[\\x21-\\x7e])?$`),
      `must be 1 to ${longest} printable ASCII characters`,
    );

export const pageRequest = z.strictObject({
  /** Checked by the steps of the fetch: an invalid URL has its own error code. */
  url: z.string(),
  /** UTF-8 bytes of the returned page. */
  max_bytes: z.int().min(1).max(maxPageBytes).default(500_000),
  /** Remove scripts, styles, svg and comments. */
  strip: z.boolean().default(true),
  format: z.enum(['html', 'text', 'markdown', 'metadata']).default('html'),
  /** Milliseconds for everything: the queue, name look-ups, redirects and the page. */
  timeout_ms: z.int().min(1).max(30_000).default(15_000),
  accept_language: headerText(200).optional(),
  user_agent: headerText(300).optional(),
});

export type PageRequest = z.output<typeof pageRequest>;
