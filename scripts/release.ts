/**
 * A release:
 *
 *   npm run release -- --dry-run [--parts npm,deb,image] [--tag v1.2.3]   builds and checks its files in build/release
 *   npm run release -- 1.2.3                                              makes its commit, and prints what comes next
 *
 * The workflow that publishes runs the first on the tag, so that what was tried here is what is published.
 */
import { parseArgs } from 'node:util';
import { commitRelease } from './release/commit.ts';
import { dryRun } from './release/dry-run.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'dry-run': { type: 'boolean' }, parts: { type: 'string' }, tag: { type: 'string' } },
});
const [version] = positionals;
try {
  if (values['dry-run'] === true) {
    // A run of the workflow on a branch has an empty tag.
    await dryRun({ parts: values.parts?.split(','), tag: values.tag === '' ? undefined : values.tag });
  } else if (version !== undefined) {
    commitRelease(version);
  } else {
    throw new Error('usage: npm run release -- --dry-run, or npm run release -- <version>');
  }
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
