/** sd_notify, at a real unix datagram socket: when the relay is ready, what it says, that it is alive, and that it stops. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { startFailingModel } from '../support/failing-model.ts';
import { needs } from '../support/needs.ts';
import { eventually, newest, root } from '../support/relay.ts';

type Message = { sender: number; lines: string[] };

async function supervised(handedOver: 'yes' | 'no', settings: Record<string, string> = {}) {
  const scratch = mkdtempSync(join(tmpdir(), 'notify-test-'));
  const model = await startFailingModel({ reply: () => ({ kind: 'text', text: 'hello' }) });
  const socket = join(scratch, 'notify');
  const child = spawn(
    'python3',
    [
      join(root, 'test/fixtures/service/notify-socket.py'),
      socket,
      handedOver,
      join(root, 'bin/claude-relay'),
      '--config',
      join(scratch, 'none'),
      'serve',
    ],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {
        HOME: scratch,
        PATH: process.env['PATH'],
        TMPDIR: scratch,
        DATA_DIR: join(scratch, 'data'),
        CLAUDE_BIN: newest,
        PORT: '0',
        WARM_SPARES: '0',
        LOG_LEVEL: 'silent',
        ANTHROPIC_API_KEY: 'sk-ant-stub',
        ANTHROPIC_BASE_URL: model.url,
        WATCHDOG_USEC: '2000000',
        ...settings,
      },
    },
  );
  const messages: Message[] = [];
  const facts = { main: 0, exit: undefined as number | undefined };
  createInterface(child.stdout).on('line', (line) => {
    const event = JSON.parse(line) as Partial<Message & typeof facts>;
    if (event.lines === undefined) Object.assign(facts, event);
    else messages.push(event as Message);
  });
  const exited = once(child, 'exit');
  return {
    messages,
    facts,
    lines: (): string[] => messages.flatMap((message) => message.lines),
    stop: async (): Promise<void> => {
      child.kill('SIGTERM');
      await exited;
      await model.close();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

for (const [handedOver, skip] of [
  ['yes', needs('python3')],
  ['no', needs('python3', 'systemd-notify')],
] as const) {
  const way = handedOver === 'yes' ? 'the passed socket' : 'systemd-notify';
  test(`the relay reports READY, WATCHDOG and STOPPING through ${way}`, { skip }, async () => {
    const relay = await supervised(handedOver);
    try {
      await eventually('ready', () => relay.lines().includes('READY=1'));
      assert.deepEqual(relay.messages[0]?.lines, ['STATUS=proving the lock']);
      const first = relay.messages.find(({ lines }) => lines.includes('READY=1'));
      assert.deepEqual(first?.lines, ['READY=1', 'WATCHDOG=1', 'STATUS=ready']);
      await eventually(
        'alive, again and again',
        () => relay.lines().filter((line) => line === 'WATCHDOG=1').length > 3,
      );
      assert.equal(relay.lines().filter((line) => line === 'READY=1').length, 1);
      if (handedOver === 'yes') {
        assert.ok(
          relay.messages.every(({ sender }) => sender === relay.facts.main),
          'NotifyAccess=main takes all of them',
        );
      }
    } finally {
      await relay.stop();
    }
    assert.deepEqual(relay.messages.at(-1)?.lines, ['STOPPING=1', 'STATUS=finishing running requests']);
    assert.equal(relay.facts.exit, 0);
  });
}

test(
  'the service reports READY and the reason in its status when the lock cannot be proved',
  { skip: needs('python3') },
  async () => {
    const relay = await supervised('yes', { CLAUDE_BIN: join(root, 'test/fixtures/cli/lists-a-tool.sh') });
    try {
      await eventually('ready', () => relay.lines().includes('READY=1'));
      assert.match(
        relay.lines().find((line) => line.startsWith('STATUS=not ready')) ?? '',
        /lock_proved: the lock is not proved: /,
      );
    } finally {
      await relay.stop();
    }
  },
);
