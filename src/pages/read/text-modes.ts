/** Elements after whose start tag text is read differently: HTML standard, sections 13.2.6.2 and 13.2.6.4. */
import { TokenizerMode } from 'parse5';

import type { PageTokenizer } from './tokenizer.ts';

export const textModes = new Map<string, PageTokenizer['state']>([
  ['title', TokenizerMode.RCDATA],
  ['textarea', TokenizerMode.RCDATA],
  ['style', TokenizerMode.RAWTEXT],
  ['xmp', TokenizerMode.RAWTEXT],
  ['iframe', TokenizerMode.RAWTEXT],
  ['noembed', TokenizerMode.RAWTEXT],
  ['noframes', TokenizerMode.RAWTEXT],
  ['script', TokenizerMode.SCRIPT_DATA],
  ['plaintext', TokenizerMode.PLAINTEXT],
]);
