/** What the owner reads about the seal. */
import type { Missing } from './missing.ts';
import type { Seal, SealOptions } from './seal.ts';

export type SealReport = {
  /** SEAL. */
  mode: SealOptions['mode'];
  network: NonNullable<Seal['network']> | 'none';
  files: NonNullable<Seal['files']> | 'none';
  missing: Pick<Missing, 'problem' | 'fix'>[];
};

export function sealReport(mode: SealReport['mode'], { network, files, missing }: Seal): SealReport {
  return {
    mode,
    network: network ?? 'none',
    files: files ?? 'none',
    missing: missing.map(({ problem, fix }) => ({ problem, fix })),
  };
}

type Parts = { network: string; files: string };

export function isSealed({ network, files }: Parts): boolean {
  return network !== 'none' && files !== 'none';
}

/** In a few words. */
export function sealWords({ network, files }: Parts): string {
  if (network === 'none' && files === 'none') return 'not sealed';
  return `sealed: network by ${network}, files by ${files}`;
}

/** The line at the start. */
export function sealSentence(report: SealReport): string {
  const [first] = report.missing;
  const more = first === undefined ? '' : `: ${first.problem}; to fix it: ${first.fix}`;
  if (isSealed(report)) return `The processes of Claude Code are ${sealWords(report)}${more}.`;
  return `Warning: the processes of Claude Code are ${sealWords(report)}${more}.`;
}
