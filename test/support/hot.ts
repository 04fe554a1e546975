/** What must hold of hot processes on every CLI: an everyday test takes a few requests of it, `npm run test:all` many. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocked } from '../../src/claude/locked-process.ts';
import { parseLine, startLine } from '../../src/claude/protocol.ts';
import type { TurnStart } from '../../src/conversation.ts';
import { restLine, turnLines } from '../../src/claude/turn-lines.ts';
import { startValveProxy } from '../../src/claude/valve/proxy.ts';
import type { Conversation, Message, UserBlock } from '../../src/conversation.ts';
import { clientGone } from '../../src/endings.ts';
import type { ApiHost } from './api-host.ts';
import {
  startFailingModel,
  type FailingModel,
  type Reply,
  type ReplyFunction,
  type SeenRequest,
} from './failing-model.ts';
import { kinds, replyToKind } from './hot-kinds.ts';
import type { Random } from './random.ts';
import { startTestRunner, type TestRunner } from './runner.ts';
import { sessionOf, withoutIds } from './without-ids.ts';

type Cli = { path: string };

/**
 * Compares each kind of request on a hot process, in random orders, with the same on a new process. `host`: the API under its own name,
 * where the CLI adds more to a request.
 */
export async function compareWithFresh(
  { path }: Cli,
  random: Random,
  orders: number,
  host?: ApiHost,
): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'hot-home-'));
  const seen: SeenRequest[] = [];
  // The cost of a kind is then always the same: what identifies a request at the API has no fixed length.
  const reply: ReplyFunction = (request) => {
    seen.push(request);
    return { ...replyToKind(request), usage: { input_tokens: withoutIds(request).body.length } };
  };
  const options = { claudeBin: path, home, reply, ...(host && { env: host.env }) };
  host?.model.setReply(reply);
  const hot = await startTestRunner({ ...options, hot: 1 });
  const fresh = await startTestRunner(options);
  const costs = new Map<string, number | null>();
  const ask = async (runner: TestRunner, start: TurnStart, name: string): Promise<SeenRequest> => {
    const before = seen.length;
    const asked = await runner.ask(kinds[name] ?? {});
    const { costUsd } = asked.answer();
    assert.equal(costUsd, costs.get(name) ?? costUsd, `${name}: the cost`);
    costs.set(name, costUsd);
    const [request, ...more] = seen.slice(before);
    assert.deepEqual([asked.start, more.length], [start, 0], name);
    return request ?? assert.fail(`${name} did not reach the model`);
  };
  try {
    // Writes the id of the device to the home, which both read.
    const session = sessionOf(await ask(hot, 'spawn', 'plain'));
    const expected = new Map<string, ReturnType<typeof withoutIds>>();
    for (const name of Object.keys(kinds)) expected.set(name, withoutIds(await ask(fresh, 'spawn', name)));
    for (let order = 0; order < orders; order += 1) {
      for (const name of shuffled(Object.keys(kinds), random)) {
        const request = await ask(hot, 'hot', name);
        assert.equal(sessionOf(request), session, 'one process has all of them');
        assert.deepEqual(withoutIds(request), expected.get(name), name);
      }
    }
  } finally {
    await Promise.all([hot.close(), fresh.close()]);
    rmSync(home, { recursive: true, force: true });
  }
}

/** Long answers, and more input tokens than a context window has: what the CLI counts of turns before changes nothing. */
export async function fillContext({ path }: Cli, turns: number): Promise<void> {
  const answer = 'word '.repeat(30_000);
  const usage = { input_tokens: 990_000, cache_read_input_tokens: 5000 };
  const runner = await startTestRunner({
    claudeBin: path,
    hot: 1,
    reply: () => ({ kind: 'text', text: answer, usage }),
  });
  try {
    const first = await runner.ask({});
    for (let turn = 0; turn < turns; turn += 1) {
      const { start, requests, answer: read } = await runner.ask({});
      assert.equal(start, 'hot');
      assert.deepEqual(
        [read().text, read().usage.input_tokens, read().costUsd],
        [answer, usage.input_tokens, first.answer().costUsd],
      );
      assert.deepEqual(
        requests.map((request) => request.body),
        first.requests.map((request) => request.body),
      );
    }
  } finally {
    await runner.close();
  }
}

/**
 * What a process sends after its turn when it is started again with nothing: the only way to see what it still holds. Its valve never
 * lets such a request pass.
 */
export async function askAfterRest({ path }: Cli): Promise<{ turn: string; after: string }> {
  const home = mkdtempSync(join(tmpdir(), 'hot-home-'));
  const model = await startFailingModel({ reply: () => ({ kind: 'text', text: 'hello' }) });
  const hostEnv = {
    HOME: home,
    PATH: process.env['PATH'],
    ANTHROPIC_API_KEY: 'sk-ant-stub',
    ANTHROPIC_BASE_URL: model.url,
  };
  const valves = await startValveProxy(hostEnv);
  let turn = Promise.withResolvers<void>();
  const cli = startLocked({
    claudeBin: path,
    hostEnv,
    valves,
    model: 'opus',
    listener: {
      onLine: (text) => {
        if (parseLine(text)?.kind === 'result') turn.resolve();
      },
      onExit: () => turn.reject(new Error(cli.stderrTail())),
    },
  });
  try {
    cli.write(turnLines(fullConversation));
    await turn.promise;
    turn = Promise.withResolvers();
    cli.write(restLine('rest') + startLine());
    await turn.promise;
    const [first, second] = model.requests;
    return { turn: first?.body ?? '', after: second?.body ?? '' };
  } finally {
    cli.kill();
    await cli.gone;
    await valves.close();
    await model.close();
    rmSync(home, { recursive: true, force: true });
  }
}

/** Its own history keeps answers and levels of effort, which the body of each request replaces. */
export function assertNothingOfRequest({ turn, after }: { turn: string; after: string }): void {
  assert.match(after, /"role":"user"/);
  for (const part of [/MARKc1promptZ/, /MARKc1toolZ/, /MARKc1stopZ/, /1717/, /0\.37/]) {
    assert.match(turn, part);
    assert.doesNotMatch(after, part);
  }
}

/** Sets everything that a turn can set. */
const fullConversation: Conversation = {
  system: ['Be brief.'],
  messages: [{ role: 'user', content: [{ type: 'text', text: 'MARKc1promptZ' }] }],
  tools: [{ name: 'MARKc1toolZ', input_schema: { type: 'object' } }],
  stopSequences: ['MARKc1stopZ'],
  maxTokens: 1717,
  effort: 'low',
  temperature: 0.37,
};

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0] as T);
}

const cleanEndings = ['end_turn', 'stop_sequence', 'tool_use'] as const;
const otherEndings = ['max_tokens', 'refusal', '429', '500', 'cut', 'abort'] as const;
type Ending = (typeof cleanEndings)[number] | (typeof otherEndings)[number];

/** Whose process a request can have. */
type App = { keyId: string; model: string; system: string };

/** A request of the mix: `conversation` is what its markers say. */
type Planned = {
  app: number;
  conversation: number;
  prompt: string;
  answer: string;
  ending: Ending;
  request: Conversation;
};

type Done = Planned & { start: TurnStart; ok: boolean; text: string };

/** Letters and digits, so that it can be a name and be in base64. */
const marker = (conversation: number, part: string): string => `MARKc${conversation}n${part}Z`;
const systemMarker = (app: number): string => `MARKs${app}Z`;

/** The conversations and the system prompts of which something is in a text. */
function marked(text: string, kind: 'c' | 's'): number[] {
  return [...new Set([...text.matchAll(new RegExp(`MARK${kind}(\\d+)`, 'g'))].map(([, id]) => Number(id)))];
}

/**
 * Requests of two keys with two models and two system prompts, three at once, that end in every way. Each text of a conversation has
 * its marker: no request may hold a marker of another conversation, and no process may serve two apps.
 */
export async function mixApps(cli: Cli, random: Random, count: number): Promise<Record<TurnStart, number>> {
  const apps: App[] = ['key-a', 'key-b'].flatMap((keyId) =>
    ['opus', 'haiku'].flatMap((model) => [0, 1].map((variant) => ({ keyId, model, system: `${variant}` }))),
  );
  // Two apps of different keys share a system prompt and a model but for the marker, and two share it as a whole.
  for (const [index, app] of apps.entries())
    app.system = app.system === '0' ? 'The same.' : systemMarker(index);
  const planned = new Map<string, Planned>();
  const controllers = new Map<string, AbortController>();
  const done: Done[] = [];
  const runner = await startTestRunner({
    claudeBin: cli.path,
    hot: 4,
    reply: (request) => {
      const prompt = [...request.body.matchAll(/MARKc\d+n\d+promptZ/g)].at(-1)?.[0] ?? '';
      const plan = planned.get(prompt);
      if (plan === undefined) return { kind: 'text', text: 'a prompt that nobody sent' };
      if (plan.ending === 'abort')
        setTimeout(() => controllers.get(prompt)?.abort(clientGone()), random.below(60));
      return replyOf(plan, random);
    },
  });
  let conversations = 0;
  const worker = async (turns: number): Promise<void> => {
    let last: Done | undefined;
    for (let turn = 0; turn < turns; turn += 1) {
      const plan = planNext(apps, random, last, () => (conversations += 1));
      const app = apps[plan.app] ?? assert.fail();
      const controller = new AbortController();
      planned.set(plan.prompt, plan);
      controllers.set(plan.prompt, controller);
      const { keyId, model } = app;
      const { finished, gone } = runner.runner.run({ ...plan.request, keyId, model }, controller.signal);
      const { start, outcome } = await finished;
      await gone;
      last = { ...plan, start, ok: outcome.ok, text: JSON.stringify(outcome) };
      done.push(last);
    }
  };
  try {
    await Promise.all([0, 1, 2].map((index) => worker(Math.ceil((count - index) / 3))));
    checkMix(apps, done, runner.model);
  } finally {
    await runner.close();
  }
  const starts = { hot: 0, claim: 0, spawn: 0 };
  for (const { start } of done) starts[start] += 1;
  return starts;
}

function planNext(
  apps: readonly App[],
  random: Random,
  last: Done | undefined,
  newConversation: () => number,
): Planned {
  const ending = random.chance(0.65) ? random.pick(cleanEndings) : random.pick(otherEndings);
  const continued = last?.ok === true && last.ending !== 'refusal' && random.chance(0.4) ? last : undefined;
  const app = continued?.app ?? (random.chance(0.5) && last ? last.app : random.below(apps.length));
  const conversation = continued?.conversation ?? newConversation();
  const turn = continued?.request.messages.length ?? 0;
  const part = (name: string): string => marker(conversation, `${turn}${name}`);
  const content: UserBlock[] = [{ type: 'text', text: part('prompt') }];
  if (random.chance(0.3)) {
    const data = Buffer.from('89504e470d0a1a0a', 'hex').toString('base64').replace('=', '') + part('image');
    content.unshift({ type: 'image', source: { type: 'base64', media_type: 'image/png', data } });
  }
  const messages: Message[] = [...(continued?.request.messages ?? [])];
  if (continued?.ending === 'tool_use') {
    messages.push({
      role: 'assistant',
      content: [
        { type: 'tool_use', id: `toolu_${turn}`, name: part('tool'), input: { word: continued.answer } },
      ],
    });
    content.unshift({ type: 'tool_result', tool_use_id: `toolu_${turn}`, content: part('result') });
  } else if (continued !== undefined) {
    messages.push({ role: 'assistant', content: [{ type: 'text', text: continued.answer }] });
  }
  messages.push({ role: 'user', content });
  const properties = { word: { type: 'string', description: part('description') } };
  const hasSchema = ending === 'end_turn' && random.chance(0.3);
  return {
    app,
    conversation,
    prompt: part('prompt'),
    answer: part('answer'),
    ending,
    request: {
      system: [apps[app]?.system ?? ''],
      messages,
      ...(ending === 'tool_use' || random.chance(0.2)
        ? { tools: [{ name: part('tool'), input_schema: { type: 'object', properties } }] }
        : {}),
      ...(hasSchema ? { schema: { type: 'object', properties, required: ['word'] } } : {}),
      ...(ending === 'stop_sequence' ? { stopSequences: [part('stop')] } : {}),
      ...(random.chance(0.2) ? { effort: 'low' as const } : {}),
      ...(random.chance(0.2) ? { maxTokens: 2000 } : {}),
      ...(random.chance(0.1) ? { temperature: 0.5 } : {}),
    },
  };
}

function replyOf({ ending, answer, request }: Planned, random: Random): Reply {
  const text = [answer.slice(0, 5), answer.slice(5)];
  switch (ending) {
    case 'end_turn':
      return request.schema === undefined
        ? { kind: 'text', text }
        : { kind: 'tool_use', name: 'structured_output', input: { word: answer } };
    case 'tool_use':
      return { kind: 'tool_use', name: request.tools?.[0]?.name ?? '', input: { word: answer } };
    case 'stop_sequence':
    case 'max_tokens':
    case 'refusal':
      return { kind: 'text', text, stopReason: ending };
    case '429':
    case '500':
      return { kind: 'error', status: Number(ending), type: 'api_error', message: answer };
    case 'cut':
      return { kind: 'drop', after: 'text', text: answer };
    case 'abort':
      return { kind: 'hang', after: random.pick(['accept', 'headers', 'text']), text: answer };
  }
}

function checkMix(apps: readonly App[], done: readonly Done[], { requests }: FailingModel): void {
  const appOf = new Map<string, number>();
  const lastOf = new Map<string, Done>();
  const byPrompt = new Map<string, SeenRequest>();
  for (const request of requests) {
    const { body } = request;
    const [conversation, ...others] = marked(body + JSON.stringify(request.headers), 'c');
    assert.deepEqual(others, [], `two conversations in one request: ${body}`);
    const prompt = [...body.matchAll(/MARKc\d+n\d+promptZ/g)].at(-1)?.[0] ?? '';
    const turn = done.find((each) => each.prompt === prompt) ?? assert.fail(body);
    assert.equal(conversation, turn.conversation);
    assert.ok(!byPrompt.has(prompt), `the model was asked twice: ${turn.ending} ${turn.start}`);
    byPrompt.set(prompt, request);
    const { system, model } = apps[turn.app] ?? assert.fail();
    assert.deepEqual(marked(body, 's'), marked(system, 's'), 'the system prompt of another app');
    assert.ok(body.includes(system) && String(request.json?.model).includes(model), body);

    const session = sessionOf(request);
    const before = lastOf.get(session);
    assert.equal(turn.start, before === undefined ? 'spawn' : 'hot');
    assert.equal(appOf.get(session) ?? turn.app, turn.app, 'a process served two apps');
    if (before !== undefined)
      assert.ok((cleanEndings as readonly string[]).includes(before.ending), `rested after ${before.ending}`);
    appOf.set(session, turn.app);
    lastOf.set(session, turn);
  }
  for (const { prompt, ending, start, ok, answer, text, conversation } of done) {
    // One that was given up at once may not have got there.
    assert.ok(byPrompt.has(prompt) || ending === 'abort', `${ending} on ${start} did not reach the model`);
    assert.equal(ok, !['429', '500', 'cut', 'abort'].includes(ending), `${ending} on ${start}: ${text}`);
    if (ok) assert.ok(text.includes(answer), text);
    assert.deepEqual(
      marked(text, 'c').filter((id) => id !== conversation),
      [],
      'an answer of another conversation',
    );
  }
}

const http = (status: number, type: string, message = `upstream says ${type}`): Reply => ({
  kind: 'error',
  status,
  type,
  message,
});
const stops = (stopReason: string, text = 'an answer'): Reply => ({
  kind: 'text',
  text: [text, ''],
  stopReason,
});
const fails = (type: string, afterText: string): Reply => ({
  kind: 'stream_error',
  type,
  message: type,
  afterText,
});

/** What the upstream does, and how often the CLI asks it at most, where that is not once. */
export const upstreamEndings: Readonly<Record<string, { reply: Reply; requests?: number; clean?: true }>> = {
  end_turn: { reply: stops('end_turn'), clean: true },
  stop_sequence: { reply: stops('stop_sequence'), clean: true },
  tool_use: { reply: { kind: 'tool_use', name: 'look_up', input: {} }, clean: true },
  max_tokens: { reply: stops('max_tokens') },
  'max_tokens without a word': { reply: stops('max_tokens', '') },
  model_context_window_exceeded: { reply: stops('model_context_window_exceeded') },
  refusal: { reply: stops('refusal') },
  'refusal without a word': { reply: stops('refusal', '') },
  pause_turn: { reply: stops('pause_turn') },
  'nothing to say': { reply: stops('end_turn', '') },
  'cut in the middle': { reply: { kind: 'drop', after: 'text', text: 'half an ' } },
  'overloaded in the middle': { reply: fails('overloaded_error', 'half an ') },
  'failing in the middle': { reply: fails('api_error', 'half an ') },
  '401': { reply: http(401, 'authentication_error') },
  '403': { reply: http(403, 'permission_error') },
  '413': { reply: http(413, 'request_too_large') },
  '429': { reply: http(429, 'rate_limit_error') },
  '500': { reply: http(500, 'api_error') },
  '503': { reply: http(503, 'overloaded_error', 'Overloaded') },
  '529': { reply: http(529, 'overloaded_error', 'Overloaded') },
  '529 without a body': { reply: { kind: 'raw', status: 529, headers: {}, body: '' } },
  'a page of a web filter': {
    reply: { kind: 'raw', status: 403, headers: { 'content-type': 'text/html' }, body: '<p>Blocked</p>' },
  },
  'not the API': {
    reply: { kind: 'raw', status: 200, headers: { 'content-type': 'text/html' }, body: '<p>hello</p>' },
  },
  '400': { reply: http(400, 'invalid_request_error', 'messages: too odd'), requests: 4 },
  '404': { reply: http(404, 'not_found_error', 'model: none'), requests: 2 },
  'cut before the headers': { reply: { kind: 'drop', after: 'accept' }, requests: 3 },
  'cut before the first event': { reply: { kind: 'drop', after: 'headers' }, requests: 3 },
};

/** A runner whose model ends each request as its prompt says; a further request for the same prompt gets another answer. */
export async function startCounting(
  { path }: Cli,
  host?: ApiHost,
): Promise<{
  /** Asserts how often the model is asked for one ending, on a fresh process and on a hot one. */
  count: (name: string) => Promise<void>;
  close: () => Promise<void>;
}> {
  const seen = new Map<string, number>();
  let prompts = 0;
  const reply: ReplyFunction = ({ body }) => {
    const [prompt = '', name = ''] = /<(.*?)> \d+/.exec(body) ?? [];
    const before = seen.get(prompt) ?? 0;
    seen.set(prompt, before + 1);
    const { reply: first, requests = 1 } = upstreamEndings[name] ?? {};
    return first !== undefined && before < requests ? first : { kind: 'text', text: 'another answer' };
  };
  host?.model.setReply(reply);
  const { runner, close } = await startTestRunner({
    claudeBin: path,
    hot: 8,
    reply,
    ...(host && { env: host.env }),
  });
  const ask = async (
    keyId: string,
    name: string,
  ): Promise<{ start: TurnStart; text: string; asked: number }> => {
    const prompt = `<${name}> ${(prompts += 1)}`;
    const { finished, gone } = runner.run(
      {
        keyId,
        model: 'opus',
        system: [],
        messages: [{ role: 'user', content: [{ type: 'text', text: prompt }] }],
        tools: [{ name: 'look_up', input_schema: { type: 'object' } }],
      },
      new AbortController().signal,
    );
    const { start, outcome } = await finished;
    await gone;
    return { start, text: JSON.stringify(outcome), asked: seen.get(prompt) ?? 0 };
  };
  return {
    count: async (name) => {
      const { requests: most = 1, clean = false } = upstreamEndings[name] ?? assert.fail(name);
      const keyId = `${name} ${prompts}`;
      const counted = async (): Promise<TurnStart> => {
        const { text, asked, start } = await ask(keyId, name);
        assert.ok(
          asked >= 1 && asked <= most,
          `${name}, ${start}: the model was asked ${asked} times: ${text}`,
        );
        assert.doesNotMatch(text, /another answer/);
        return start;
      };
      assert.equal(await counted(), 'spawn', name);
      // On a busy machine a process can miss its five seconds to check in; then the next request starts one, and is counted, too.
      let start: TurnStart = 'spawn';
      for (let tries = 0; tries < 5 && start !== 'hot'; tries += 1) {
        if (!clean) await ask(keyId, 'end_turn');
        start = await counted();
      }
      assert.equal(start, 'hot', name);
    },
    close,
  };
}
