/**
 * Runs test files, each in a process group with a time limit, so that nothing can hang a run:
 *
 *   node test/run.ts [files or folders]
 *
 * `*.all.test.ts` files run with TESTS=ci (`.ci/run`), with TESTS=all (`npm run test:all`), or by name. A file's output is shown when
 * it fails. The end of the run names what was skipped and why, and the slowest tests. With CI_NO_SKIPS=1 a skipped test fails the run.
 */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runsAll, runsInCi } from './support/needs.ts';
import type { TestRecord } from './support/record-reporter.ts';

const fileLimitMs = runsAll ? 3_600_000 : 1_800_000;
const testLimitMs = 300_000;
/** Most tests wait for processes and timers: more at once than there are processors keeps these busy. */
const atOnce = 4;

type FileRun = { file: string; ms: number; records: TestRecord[]; problem?: string; output: string };

const reporter = fileURLToPath(new URL('support/record-reporter.ts', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'test-run-'));
const running = new Set<number>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const pid of running) killGroup(pid);
    process.exit(1);
  });
}

const files = findFiles(process.argv.slice(2));
if (files.length === 0) {
  console.error('test/run.ts: no test file has that name.');
  process.exit(1);
}
const waiting = files.entries();
const runs: FileRun[] = [];
const worker = async (): Promise<void> => {
  for (const [index, file] of waiting) {
    const done = await runFile(file, join(scratch, String(index)));
    runs.push(done);
    showFile(done);
  }
};
// Each child reads the compiled sources that another has left.
process.env['NODE_COMPILE_CACHE'] ??= join(scratch, 'compiled');
const startedAt = performance.now();
await Promise.all(Array.from({ length: atOnce }, worker));
rmSync(scratch, { recursive: true, force: true });
process.exitCode = summarise() ? 0 : 1;

/** The `*.all.test.ts` and the largest first: the last files to end are then short ones. */
function findFiles(names: readonly string[]): string[] {
  const byName = names.flatMap((name) =>
    name.endsWith('.test.ts') ? [name] : globSync(`${name.replace(/\/$/, '')}/**/*.test.ts`),
  );
  const found =
    names.length > 0
      ? byName
      : globSync(['src/**/*.test.ts', 'test/**/*.test.ts']).filter(
          (name) => runsInCi || !name.endsWith('.all.test.ts'),
        );
  const weight = (name: string): number => statSync(name).size + (name.endsWith('.all.test.ts') ? 1e6 : 0);
  return found.toSorted((a, b) => weight(b) - weight(a));
}

function runFile(file: string, recordFile: string): Promise<FileRun> {
  const args = ['--test-reporter=spec', '--test-reporter-destination=stdout'];
  args.push(`--test-reporter=${reporter}`, `--test-reporter-destination=${recordFile}`);
  const begun = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...args, `--test-timeout=${testLimitMs}`, file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // A separate group: killing it also kills what a test left running.
      detached: true,
    });
    const { pid = 0 } = child;
    running.add(pid);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    let problem: string | undefined;
    const timer = setTimeout(() => {
      problem = `did not end within ${fileLimitMs / 1000} s`;
      killGroup(pid);
    }, fileLimitMs);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      running.delete(pid);
      if (code !== 0) problem ??= signal === null ? `exited with status ${code}` : `was ended by ${signal}`;
      // What is left of the group would hold the pipes open.
      killGroup(pid);
    });
    child.on('close', () => {
      const records = readRecords(recordFile);
      const ended = records.some(({ type }) => type === 'end');
      if (!ended) problem ??= 'ended before its tests';
      const open = ended ? undefined : lastStarted(records);
      const where = open === undefined ? '' : ` (in "${open}")`;
      const ms = performance.now() - begun;
      resolve({ file, ms, records, output, ...(problem === undefined ? {} : { problem: problem + where }) });
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // None is left.
  }
}

function readRecords(recordFile: string): TestRecord[] {
  try {
    const lines = readFileSync(recordFile, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as TestRecord);
  } catch {
    return [];
  }
}

function lastStarted(records: readonly TestRecord[]): string | undefined {
  const ended = new Set(records.filter(({ type }) => type !== 'start').map(({ name }) => name));
  return records.findLast(({ type, name }) => type === 'start' && !ended.has(name))?.name;
}

function showFile({ file, ms, records, problem, output }: FileRun): void {
  const tests = records.filter(({ type }) => type === 'pass' || type === 'fail').length;
  console.log(
    `${problem === undefined ? 'ok  ' : 'FAIL'} ${seconds(ms)}  ${file} (${tests})${problem === undefined ? '' : `: ${problem}`}`,
  );
  if (problem !== undefined) console.log(output);
}

/** Whether all is well. */
function summarise(): boolean {
  const tests = runs.flatMap(({ file, records }) => records.map((record) => ({ file, ...record })));
  const of = (type: TestRecord['type']): typeof tests => tests.filter((each) => each.type === type);
  const [passed, failed, skipped] = [of('pass'), of('fail'), of('skip')];
  const broken = runs.filter(({ problem }) => problem !== undefined);

  console.log('\nThe ten slowest tests:');
  for (const { ms, file, name } of passed.toSorted((a, b) => b.ms - a.ms).slice(0, 10)) {
    console.log(`  ${seconds(ms)}  ${file}: ${name}`);
  }
  if (skipped.length > 0) console.log('\nSkipped:');
  for (const [reason, list] of Map.groupBy(skipped, (each) => each.reason ?? 'no reason given')) {
    const names = [...Map.groupBy(list, ({ file }) => file)].map(
      ([file, { length }]) => `${file} (${length})`,
    );
    console.log(`  ${reason}: ${names.join(', ')}`);
  }
  if (broken.length > 0) console.log('\nFailed:');
  for (const { file, problem, records } of broken) {
    console.log(`  ${file}: ${problem}`);
    for (const { type, name } of records) if (type === 'fail') console.log(`    ${name}`);
  }
  console.log(
    `\n${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped; ${runs.length} files, ${broken.length} failed; ${seconds(performance.now() - startedAt).trim()}`,
  );
  const noSkips = process.env['CI_NO_SKIPS'] === '1';
  if (noSkips && skipped.length > 0) console.log('CI_NO_SKIPS=1: install what the skipped tests need.');
  return broken.length === 0 && !(noSkips && skipped.length > 0);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(6)} s`;
}
