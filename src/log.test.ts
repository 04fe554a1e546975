import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

/** Runs a program that has a `log`; resolves to its exit code and the messages on its stdout. */
async function run(body: string, read = true): Promise<{ code: number | null; said: unknown[] }> {
  const program = `import { createLog } from ${JSON.stringify(import.meta.resolve('./log.ts'))};
    const log = createLog('info'); ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  if (read) child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  else child.stdout.destroy();
  const [code] = (await once(child, 'close')) as [number | null];
  const lines = text.split('\n').slice(0, -1);
  return { code, said: lines.map((line) => (JSON.parse(line) as { msg: unknown }).msg) };
}

const ends: Readonly<Record<string, number>> = {
  '': 0,
  'process.exit(3);': 3,
  'throw new Error();': 1,
  'setImmediate(() => { log.info("later"); process.exit(4); });': 4,
};
for (const [end, code] of Object.entries(ends)) {
  test(`the log loses no line at ${end || 'a normal exit'}`, async () => {
    const said = end.includes('later') ? ['a', 'b', 'later'] : ['a', 'b'];
    assert.deepEqual(await run(`log.info('a'); log.debug('no'); log.warn('b'); ${end}`), { code, said });
  });
}

test('a line is written before the next round of the event loop', async () => {
  // SIGKILL: nothing can be written later.
  const { said } = await run(`
    log.info('a');
    setImmediate(() => { log.info('lost'); process.kill(process.pid, 'SIGKILL'); });`);
  assert.deepEqual(said, ['a']);
});

test('the log writes more lines than a pipe holds at once', async () => {
  const { said } = await run(`for (let i = 0; i < 5000; i += 1) log.info('x'.repeat(100) + i);`);
  assert.deepEqual(
    said,
    Array.from({ length: 5000 }, (_, i) => `${'x'.repeat(100)}${i}`),
  );
});

test('the process goes on when the reader of its log has gone', async () => {
  const { code } = await run(
    `let i = 0; const timer = setInterval(() => { log.info('x'); if ((i += 1) === 20) { clearInterval(timer); process.exitCode = 7; } }, 5);`,
    false,
  );
  assert.equal(code, 7);
});
