/** Hot processes through HTTP: how many there are, how long they stay, and what happens to one that fails while it rests. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { lastUserTexts, type ReplyFunction } from './support/failing-model.ts';
import { startInProcess } from './support/in-process.ts';
import {
  descendants,
  eventually,
  expireKey,
  mintKey,
  processTable,
  startTestRelay,
  type TestRelay,
} from './support/relay.ts';
import { sentBy } from './support/sent.ts';
import { sessionOf } from './support/without-ids.ts';

/** The relay's CLI processes: the watcher of each is a child of that process. */
function cliProcesses({ process: { pid } }: TestRelay): number[] {
  return processTable()
    .filter(({ ppid, state }) => ppid === pid && state !== 'Z')
    .map(({ pid }) => pid);
}

function isRunning(pid: number): boolean {
  return processTable().some((row) => row.pid === pid && row.state !== 'Z');
}

const echo: ReplyFunction = ({ json }) => ({
  kind: 'text',
  text: `answer to ${json === undefined ? '' : lastUserTexts(json).join('')}`,
});

/** One request of a key, answered as its prompt says; resolves to the process that served it. */
async function ask(relay: TestRelay, key: string, prompt: string): Promise<string> {
  const response = await relay.post({ prompt }, { headers: { authorization: `Bearer ${key}` } });
  const body = (await response.json()) as { text?: string };
  assert.deepEqual([response.status, body.text], [200, `answer to ${prompt}`], JSON.stringify(body));
  const asked = relay.model.requests.filter((request) => request.body.includes(prompt));
  assert.equal(asked.length, 1, 'the model is asked once');
  return sessionOf(asked[0]);
}

/** The process that rests after a request of a key. */
async function restingOf(relay: TestRelay, key: string, prompt: string): Promise<number> {
  const others = cliProcesses(relay);
  await ask(relay, key, prompt);
  const [pid, ...more] = cliProcesses(relay).filter((each) => !others.includes(each));
  assert.ok(pid !== undefined && more.length === 0, `${prompt}: ${more.length + 1} new processes`);
  return pid;
}

describe('with hot processes', { concurrency: 2 }, () => {
  describe('with four hot processes', { concurrency: 1 }, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await startTestRelay({ proof: false, reply: echo, settings: { HOT_PROCESSES: '4' } });
    });
    after(async () => {
      const left = descendants(relay.process.pid ?? 0);
      await relay.stop();
      assert.deepEqual(left.filter(isRunning), [], 'a stop ends every process');
    });

    test('a revoked, a rotated and an expired key lose their hot process, and another key keeps its own', async (t) => {
      const expired = await restingOf(relay, mintKey(relay.dataDir, 'expired'), 'expired');
      const kept = await restingOf(relay, relay.key, 'kept');
      const rotatedKey = relay.command('genkey', 'rotated');
      const rotated = await restingOf(relay, rotatedKey, 'rotated');
      const revoked = await restingOf(relay, relay.command('genkey', 'revoked'), 'revoked');
      const gone = async (what: string, pid: number): Promise<void> => {
        const begun = performance.now();
        await eventually(`the process of the ${what} key is gone`, () => !isRunning(pid));
        t.diagnostic(`${what}: gone ${Math.round(performance.now() - begun)} ms later`);
      };
      assert.ok([kept, rotated, revoked].every(isRunning));
      relay.command('revoke', 'revoked');
      await gone('revoked', revoked);
      relay.command('claude-relay', 'key', 'rotate', 'rotated');
      await gone('rotated', rotated);
      // Its old secret is still valid, and its next request has a new process.
      await restingOf(relay, rotatedKey, 'after the rotation');
      expireKey(relay.dataDir, 'expired');
      await gone('expired', expired);
      assert.ok(isRunning(kept));
    });

    test('a hot process that is killed while it rests is replaced, and the model is asked once', async () => {
      const key = relay.command('genkey', 'killed');
      const first = await restingOf(relay, key, 'before the kill');
      process.kill(first, 'SIGKILL');
      const second = await restingOf(relay, key, 'at once');
      assert.notEqual(second, first);
      process.kill(second, 'SIGKILL');
      await eventually('it is gone', () => !isRunning(second));
      await restingOf(relay, key, 'later');
    });

    test('an agent loop of five rounds stays in one process', async () => {
      const rounds = 5;
      relay.model.setReply(({ json }) => {
        const round = json?.messages.filter(({ role }) => role === 'assistant').length ?? 0;
        return round === rounds
          ? { kind: 'text', text: 'done' }
          : { kind: 'tool_use', id: `toolu_${round}`, name: 'step', input: { round } };
      });
      const begun = relay.model.requests.length;
      const messages: { role: string; content: object[] }[] = [
        { role: 'user', content: [{ type: 'text', text: 'Take five steps.' }] },
      ];
      for (let round = 0; round <= rounds; round += 1) {
        const body = {
          model: 'opus',
          max_tokens: 500,
          messages,
          tools: [{ name: 'step', input_schema: { type: 'object' } }],
        };
        const response = await relay.post(body, { path: '/v1/messages' });
        const answer = (await response.json()) as { content: object[]; stop_reason: string };
        assert.equal(response.status, 200, JSON.stringify(answer));
        assert.deepEqual(sentBy(relay.model.requests.at(-1)).messages, messages);
        const content =
          round === rounds
            ? { type: 'text', text: 'done' }
            : { type: 'tool_use', id: `toolu_${round}`, name: 'step', input: { round } };
        assert.deepEqual(
          [answer.stop_reason, answer.content],
          [round === rounds ? 'end_turn' : 'tool_use', [content]],
        );
        messages.push(
          { role: 'assistant', content: answer.content },
          {
            role: 'user',
            content: [{ type: 'tool_result', tool_use_id: `toolu_${round}`, content: `result ${round}` }],
          },
        );
      }
      relay.model.setReply(echo);
      const asked = relay.model.requests.slice(begun);
      assert.deepEqual([asked.length, new Set(asked.map(sessionOf)).size], [rounds + 1, 1]);
    });
  });

  test('24 requests of 4 keys on 2 slots have few processes, and none is left after a SIGKILL of the relay', async (t) => {
    const waiting = { HOT_PROCESSES: '2', WARM_SPARES: '1' };
    const relay = await startTestRelay({
      proof: false,
      reply: echo,
      settings: { ...waiting, GLOBAL_CONCURRENCY: '2', QUEUE_MAX: '100', QUEUE_TIMEOUT: '200' },
    });
    let peak = 0;
    const sampling = setInterval(() => (peak = Math.max(peak, cliProcesses(relay).length)), 20);
    try {
      const keys = [relay.key, ...['b', 'c', 'd'].map((label) => mintKey(relay.dataDir, label))];
      const owners = new Map<string, string>();
      const sessions = await Promise.all(
        Array.from({ length: 24 }, async (_, index) => {
          const key = keys[index % 4] ?? '';
          const session = await ask(relay, key, `<${index}>`);
          assert.equal(owners.get(session) ?? key, key, 'a process served two keys');
          owners.set(session, key);
          return session;
        }),
      );
      t.diagnostic(`${new Set(sessions).size} processes served 24 requests, at most ${peak} at once`);
      assert.ok(peak <= 5, `${peak} processes at once`);
      await eventually('they rest', () => cliProcesses(relay).length === 3);
      const left = descendants(relay.process.pid ?? 0);
      assert.ok(left.length >= 6, 'each has its watcher');
      await relay.stop('SIGKILL');
      await eventually('all gone', () => !left.some(isRunning));
    } finally {
      clearInterval(sampling);
      await relay.stop('SIGKILL');
    }
  });

  test('a hot process ends after HOT_IDLE', async () => {
    const settings = { HOT_PROCESSES: '1', HOT_IDLE: '1' };
    const relay = await startTestRelay({ proof: false, reply: echo, settings });
    try {
      const pid = await restingOf(relay, relay.key, 'once');
      await eventually('it is gone', () => !isRunning(pid));
      await ask(relay, relay.key, 'again');
    } finally {
      await relay.stop();
    }
  });

  test('the hot process that has rested longest gives way when WAITING_MEMORY is used up', async () => {
    const settings = { HOT_PROCESSES: '4', WAITING_MEMORY: '300' };
    const relay = await startTestRelay({ proof: false, reply: echo, settings });
    try {
      const first = await restingOf(relay, relay.key, 'first');
      const session = await ask(relay, relay.command('genkey', 'other'), 'second');
      await eventually('it is gone', () => !isRunning(first));
      assert.equal(cliProcesses(relay).length, 1);
      assert.notEqual(await ask(relay, relay.key, 'third'), session);
    } finally {
      await relay.stop();
    }
  });

  test('without hot processes each request has its own process, and none rests', async () => {
    const relay = await startTestRelay({ proof: false, reply: echo, settings: { HOT_PROCESSES: '0' } });
    try {
      const first = await ask(relay, relay.key, 'first');
      assert.notEqual(await ask(relay, relay.key, 'second'), first);
      await eventually('none is left', () => cliProcesses(relay).length === 0);
    } finally {
      await relay.stop();
    }
  });

  test('a hot process that is stopped while it rests is replaced, and ended', async () => {
    const settings = { HOT_PROCESSES: '1', GLOBAL_CONCURRENCY: '1' };
    const relay = await startTestRelay({ proof: false, reply: echo, settings });
    try {
      const pid = await restingOf(relay, relay.key, 'first');
      process.kill(pid, 'SIGSTOP');
      await ask(relay, relay.key, 'second');
      assert.ok(!isRunning(pid));
      assert.equal(relay.model.requests.length, 2);
    } finally {
      await relay.stop();
    }
  });
});

test('200 requests at once of 4 keys: the limits are exact, and each answer is that of its prompt', async () => {
  let running = 0;
  let most = 0;
  const relay = await startInProcess({
    settings: {
      GLOBAL_CONCURRENCY: '2',
      HOT_PROCESSES: '4',
      QUEUE_MAX: '1000',
      QUEUE_TIMEOUT: '200',
      PER_KEY_DAILY: '40',
    },
    reply: async ({ json }) => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
      running -= 1;
      return { kind: 'text', text: `answer to ${json === undefined ? '' : lastUserTexts(json).join('')}` };
    },
  });
  try {
    const keys = [relay.key, ...['b', 'c', 'd'].map((label) => relay.mint(label))];
    const served = new Map<string, number>();
    let hot = 0;
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const key = keys[index % 4] ?? '';
        const response = await relay.post(
          { prompt: `<${index}>` },
          { headers: { authorization: `Bearer ${key}` } },
        );
        const body = (await response.json()) as { text?: string; limit?: string };
        if (response.status === 429) return assert.equal(body.limit, 'key_daily');
        assert.deepEqual([response.status, body.text], [200, `answer to <${index}>`]);
        served.set(key, (served.get(key) ?? 0) + 1);
        if (/hot;dur=/.test(response.headers.get('server-timing') ?? '')) hot += 1;
      }),
    );
    assert.deepEqual([...served.values()], [40, 40, 40, 40]);
    assert.equal(relay.model.requests.length, 160);
    assert.equal(most, 2);
    assert.ok(hot > 0, 'hot processes serve some of them');
  } finally {
    await relay.stop();
  }
});
