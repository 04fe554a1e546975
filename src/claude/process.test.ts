/** Real processes: tiny programs, started, watched, and ended in every way. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { eventually } from '../../test/support/relay.ts';
import { sweepDirectories } from './directories.ts';
import { startProcess, type ClaudeProcess, type Exit } from './process.ts';

const scratch = mkdtempSync(join(tmpdir(), 'process-test-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

type Run = { process: ClaudeProcess; lines: string[]; garbage: string[]; exits: Exit[]; home: () => string };

/** Runs a shell script as the CLI. */
function run(script: string, options: { command?: string; killGraceMs?: number } = {}): Run {
  const lines: string[] = [];
  const garbage: string[] = [];
  const exits: Exit[] = [];
  let home = '';
  const process = startProcess({
    command: options.command ?? '/bin/sh',
    args: ['-c', script],
    env: (tmp) => {
      home = join(tmp, '..');
      return { PATH: globalThis.process.env['PATH'] ?? '', TMPDIR: tmp, SCRATCH: scratch };
    },
    listener: {
      onLine: (text) => lines.push(text),
      onGarbage: (reason) => {
        garbage.push(reason);
        process.kill();
      },
      onExit: (exit) => exits.push(exit),
    },
    killGraceMs: options.killGraceMs ?? 200,
  });
  return { process, lines, garbage, exits, home: () => home };
}

function until(condition: () => boolean): Promise<void> {
  return eventually(String(condition), condition);
}

/** Such as `T` for stopped and `Z` for a zombie; undefined for a process that is gone. */
function stateOf(pid: number): string | undefined {
  try {
    // The state is the field after the name, which is in brackets and may hold anything.
    return /\) (\w) [^)]*$/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** Whether a child of the process ignores SIGTERM, as its watcher does from a moment after the start on. */
function isWatched(pid: number): boolean {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? [];
  return children.some((child) => {
    try {
      const ignored = /^SigIgn:\t(\w+)$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1];
      return (Number.parseInt(ignored ?? '0', 16) & (1 << (constants.signals.SIGTERM - 1))) !== 0;
    } catch {
      return false;
    }
  });
}

function isRunning(pid: number): boolean {
  const state = stateOf(pid);
  return state !== undefined && state !== 'Z';
}

/** Members of a process group that are more than an entry waiting to be collected. */
function groupLives(group: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const [state, , pgid] = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return Number(pgid) === group && state !== 'Z';
    } catch {
      return false;
    }
  });
}

function noted(name: string): number {
  const path = join(scratch, name);
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
}

test('a process reads lines, prints lines, exits and leaves no directory', async () => {
  const { process, lines, exits, home } = run('pwd; while read -r line; do echo "<$line>"; done');
  process.write('one\n');
  process.write('two ✓\n');
  process.finish();
  await process.gone;
  assert.deepEqual(lines.slice(1), ['<one>', '<two ✓>']);
  assert.match(lines[0] ?? '', /\/work$/);
  assert.deepEqual(exits, [{ code: 0, signal: null }]);
  assert.ok(!existsSync(home()), 'its directory is removed');
  // Late calls are ignored.
  process.write('more\n');
  process.finish();
  process.terminate();
  process.kill();
});

test('a process that cannot be started reports its exit', async () => {
  const missing = run('', { command: '/dev/null/claude' });
  await missing.process.gone;
  assert.equal(missing.exits.length, 1);
  assert.notEqual(missing.exits[0]?.code, 0);
  assert.ok(!existsSync(missing.home()));

  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = '/dev/null/none';
  const { process: none, exits } = run('true');
  if (before === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = before;
  none.write('x');
  await none.gone;
  assert.deepEqual([none.pid, exits], [undefined, [{ code: null, signal: null }]]);
});

test('a character cut in two is read whole, and a last line without an end is dropped', async () => {
  const { process, lines, garbage } = run(
    String.raw`printf 'gr\303'; sleep 0.1; printf '\274n \360\237'; sleep 0.1; printf '\220\244\nhalf a li'`,
  );
  await process.gone;
  assert.deepEqual([lines, garbage], [['grün 🐤'], []]);
});

test('invalid UTF-8 and an endless line are reported once and end the reading', async () => {
  const invalid = run(String.raw`printf 'fine\n\303\050\nmore\n'; sleep 60`);
  await invalid.process.gone;
  assert.deepEqual([invalid.lines, invalid.garbage], [['fine'], ['invalid_utf8']]);

  const endless = run(`echo fine; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo more; sleep 60`);
  await endless.process.gone;
  assert.deepEqual([endless.lines, endless.garbage], [['fine'], ['line_too_long']]);
});

test('a long line within bounds is one line', async () => {
  const { process, lines } = run(`head -c 5000000 /dev/zero | tr '\\0' x; echo`);
  await process.gone;
  assert.deepEqual(
    lines.map((line) => line.length),
    [5_000_000],
  );
});

test('stderr is drained and its last bytes are kept', async () => {
  const { process, lines } = run(
    `head -c 5000000 /dev/zero | tr '\\0' x >&2; echo last words >&2; echo done`,
  );
  await process.gone;
  assert.deepEqual(lines, ['done']);
  assert.ok(process.stderrTail().endsWith('last words\n'));
  assert.ok(process.stderrTail().length <= 4096);
});

test('terminate sends SIGTERM, and SIGKILL to a process that ignores it', async () => {
  // A busy machine can take a second to run the trap.
  const polite = run('trap "echo bye; exit 5" TERM; echo up; while :; do sleep 0.05; done', {
    killGraceMs: 60_000,
  });
  await until(() => polite.lines.length === 1 && isWatched(polite.process.pid ?? 0));
  polite.process.terminate();
  await polite.process.gone;
  assert.deepEqual([polite.lines, polite.exits], [['up', 'bye'], [{ code: 5, signal: null }]]);

  const deaf = run('trap "" TERM; echo up; while :; do sleep 0.05; done');
  await until(() => deaf.lines.length === 1);
  deaf.process.terminate();
  await deaf.process.gone;
  assert.deepEqual(deaf.exits, [{ code: null, signal: 'SIGKILL' }]);
});

test('a stopped group is ended, even if its watcher is stopped too', async () => {
  const stopped = run('echo up; kill -STOP 0; echo on');
  await until(() => stopped.lines.length === 1 && stateOf(stopped.process.pid ?? 0) === 'T');
  stopped.process.terminate();
  await stopped.process.gone;
  assert.deepEqual([stopped.lines, stopped.exits], [['up'], [{ code: null, signal: 'SIGKILL' }]]);

  // The leader exits, and only the watcher, its one child by then, is stopped.
  const leaderless = run('kill -STOP $(cat /proc/$$/task/$$/children); sleep 300 & echo up');
  await leaderless.process.gone;
  assert.deepEqual([leaderless.lines, leaderless.exits], [['up'], [{ code: 0, signal: null }]]);
  assert.ok(!groupLives(leaderless.process.pid ?? 0));
});

test('a process that closes stdout and stays is ended', async () => {
  const { process, lines, exits } = run('echo up; exec >&-; sleep 300');
  await process.gone;
  assert.deepEqual([lines, exits.length], [['up'], 1]);
});

test('strays that keep starting others are all killed after an abnormal exit', async () => {
  const { process } = run(
    `setsid sh -c 'while :; do setsid sleep 300 & sleep 0.01; done' >/dev/null 2>&1 </dev/null &
     sleep 0.5; exit 1`,
  );
  await process.gone;
  const mine = readdirSync('/proc').filter((name) => {
    try {
      return readFileSync(`/proc/${name}/environ`, 'utf8').includes(`SCRATCH=${scratch}\0`);
    } catch {
      return false;
    }
  });
  assert.deepEqual(
    mine.filter((pid) => isRunning(Number(pid))),
    [],
  );
});

test('descendants in the group and in another session end after an abnormal exit', async () => {
  const { process, lines } = run(
    `sleep 300 & echo $! >"$SCRATCH/in-group"
     setsid sh -c 'echo $$ >"$SCRATCH/outside"; exec sleep 300' &
     setsid sh -c 'echo $$ >"$SCRATCH/quiet"; exec sleep 300' >/dev/null 2>&1 &
     while ! [ -s "$SCRATCH/outside" ] || ! [ -s "$SCRATCH/quiet" ]; do sleep 0.02; done
     echo left; exit 1`,
  );
  await process.gone;
  assert.deepEqual(lines, ['left']);
  for (const name of ['in-group', 'outside', 'quiet']) {
    const pid = noted(name);
    assert.ok(pid > 0, name);
    await until(() => !isRunning(pid));
  }
});

test('/proc is searched for strays after a kill and never after a normal exit', async () => {
  const stray = (name: string): string =>
    `setsid sh -c 'echo $$ >"$SCRATCH/${name}"; exec sleep 300' >/dev/null 2>&1 &
     while ! [ -s "$SCRATCH/${name}" ]; do sleep 0.02; done; echo up`;
  const normal = run(stray('of-normal'));
  await normal.process.gone;
  assert.ok(isRunning(noted('of-normal')));
  globalThis.process.kill(noted('of-normal'), 'SIGKILL');

  const killed = run(`${stray('of-killed')}; sleep 300`);
  await until(() => killed.lines.length === 1);
  killed.process.kill();
  await killed.process.gone;
  await until(() => !isRunning(noted('of-killed')));
});

test('kill -9 of the parent ends its processes, and the next start removes their directories', async () => {
  const parentTmp = join(scratch, 'parent');
  const parent = spawn(
    process.execPath,
    [
      '--input-type=module-typescript',
      '-e',
      `import { mkdirSync } from 'node:fs';
       mkdirSync(${JSON.stringify(parentTmp)}, { recursive: true });
       import { startProcess } from ${JSON.stringify(new URL('process.ts', import.meta.url).href)};
       for (const script of ['while :; do :; done', 'trap "" TERM HUP INT; cat; sleep 300', 'sleep 300 & wait']) {
         const { pid } = startProcess({ command: '/bin/sh', args: ['-c', script], env: (tmp) => ({ PATH: process.env.PATH, TMPDIR: tmp }),
           listener: { onLine() {}, onGarbage() {}, onExit() {} } });
         console.log(pid);
       }
       setInterval(() => {}, 1000);`,
    ],
    { env: { ...process.env, TMPDIR: scratch }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const groups: number[] = [];
  for await (const line of createInterface({ input: parent.stdout })) {
    if (groups.push(Number(line)) === 3) break;
  }
  assert.ok(groups.every((pid) => pid > 0 && isRunning(pid)));
  const exited = once(parent, 'exit');
  parent.kill('SIGKILL');
  await exited;
  await until(() => groups.every((group) => !groupLives(group)));

  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = scratch;
  const mine = join(scratch, `relay-${process.pid}-mine`);
  const others = join(scratch, 'relay-notes');
  for (const path of [mine, others]) mkdirSync(path);
  sweepDirectories();
  if (before === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = before;
  const left = (name: string): boolean => existsSync(join(scratch, name));
  assert.deepEqual([left(`relay-${process.pid}-mine`), left('relay-notes')], [true, true]);
  assert.equal(readdirSync(scratch).filter((name) => name.startsWith(`relay-${parent.pid}-`)).length, 0);
});
