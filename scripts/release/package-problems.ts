/** What publint and attw ("are the types wrong?") find in a tarball of `npm pack`. */
import { readFileSync } from 'node:fs';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

/** The package has ES modules only, which these cannot resolve or `require`: attw calls it the profile esm-only. */
const notSupported: ReadonlySet<unknown> = new Set(['node10', 'node16-cjs']);

export async function packageProblems(tarball: string): Promise<string[]> {
  const data = new Uint8Array(readFileSync(tarball));
  const { messages, pkg } = await publint({ pack: { tarball: data.buffer }, strict: true });
  const analysis = await checkPackage(createPackageFromTarballData(data));
  const { problems } = analysis.types === false ? { problems: [{ kind: 'NoTypes' }] } : analysis;
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg) ?? message.code}`),
    ...problems
      .filter((problem) => !('resolutionKind' in problem && notSupported.has(problem.resolutionKind)))
      .map((problem) => `attw: ${JSON.stringify(problem)}`),
  ];
}
