/** The doctor's lines about the seal: of a relay that starts here now, and of the one that runs. */
import type { Missing } from '../../claude/seal/missing.ts';
import { isSealed, sealWords } from '../../claude/seal/report.ts';
import type { Seal } from '../../claude/seal/seal.ts';
import { ok, warning, type Line, type failure } from './line.ts';

type SealParts = { network: string; files: string; missing: readonly Missing[] };

/** With the reasons, which are for the owner alone. */
export function partsOf({ network, files, missing }: Seal): SealParts {
  return { network: network ?? 'none', files: files ?? 'none', missing };
}

/** `lacking`: what a seal is that is not full. */
export function* sealLines(
  name: string,
  seal: SealParts,
  lacking: typeof warning | typeof failure,
): Generator<Line> {
  const words = sealWords(seal);
  if (isSealed(seal)) yield ok(name, words);
  const line = isSealed(seal) ? warning : lacking;
  for (const { problem, fix, reason } of seal.missing) {
    yield line(name, `${words}; ${problem}${reason === undefined ? '' : ` (${reason})`}`, fix);
  }
}
