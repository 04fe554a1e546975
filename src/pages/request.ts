/** What a caller may ask for. Unknown fields are errors, and every number has an upper bound. */
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
  /** Judged by the steps of the fetch, not here: a bad one has an error code of its own. */
  url: z.string(),
  /** Of UTF-8, of what is returned as the page. */
  max_bytes: z.int().min(1).max(maxPageBytes).default(500_000),
  /** Without scripts, styles, svg and comments. */
  strip: z.boolean().default(true),
  format: z.enum(['html', 'text', 'markdown', 'metadata']).default('html'),
  /** Milliseconds for everything: waiting in line, name look-ups, redirects, the page. */
  timeout_ms: z.int().min(1).max(30_000).default(15_000),
  accept_language: headerText(200).optional(),
  user_agent: headerText(300).optional(),
});

export type PageRequest = z.output<typeof pageRequest>;
