/** Why a request failed, and how often the model was asked for it: the real CLIs and the stand-in, without HTTP. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Conversation } from '../src/conversation.ts';
import type { ApiEvent, Reply } from './support/failing-model.ts';
import { sample } from './support/needs.ts';
import { recordedBlock, recordedMessage, recordedText, recordedToolUse } from './support/recordings.ts';
import { clis } from './support/relay.ts';
import { startTestRunner, type TestRunner } from './support/runner.ts';

const image: Conversation['messages'] = [
  {
    role: 'user',
    content: [
      { type: 'text', text: 'What is this?' },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } },
    ],
  },
];

/** What the API says of an image or a PDF -> the reason that the caller reads. */
const media: Record<string, RegExp> = {
  'messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes':
    /an image is too large/,
  'messages.0.content.1.image.source.base64.data: At least one of the image dimensions exceed max allowed size for many-image requests: 2000 pixels':
    /an image exceeds the dimension limit .*2000px/,
  'messages.0.content.1.image.source.base64.data: At least one of the image dimensions exceed max allowed size: 8000 pixels':
    /an image could not be processed/,
  'messages.0.content.1.image.source.base64.data: Image does not match the provided media type image/png':
    /an image could not be processed: .*format/,
  'Could not process image': /an image could not be processed/,
  'messages.0.content.1.document.source.base64.data: A maximum of 100 PDF pages may be provided.':
    /a PDF is too large \(max 100 pages/,
  'messages.0.content.1.document.source.base64.data: The PDF specified is password protected.':
    /a PDF is password protected/,
  'messages.0.content.1.document.source.base64.data: The PDF specified was not valid.': /a PDF is not valid/,
  'messages: too much media: 0 document pages + 101 images > 100': /too many pages and images/,
  'Unable to download the file. Please verify the URL and try again.': /Unable to download the file/,
};

const thought = recordedBlock(
  0,
  { type: 'thinking', thinking: '', signature: '' },
  { type: 'thinking_delta', thinking: 'hm' },
  { type: 'signature_delta', signature: 'EqQBCgIYAhIM' },
);
const half = recordedText(0, 'half an ');
const call = recordedToolUse(0, 'toolu_1', 'get_weather', '{"city":"Bern"}');
const overloaded: ApiEvent = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };

/** A message up to the end of its last block. */
const unfinished = (...blocks: ApiEvent[][]): ApiEvent[] => recordedMessage('end_turn', blocks).slice(0, -2);

/** The ways in which the CLI, left to itself, asks the model again. */
const endings: Record<string, { events: ApiEvent[]; cut?: true; says: string }> = {
  'an error after a text': { events: [...unfinished(half), overloaded], says: 'upstream_error' },
  'an error after thinking': { events: [...unfinished(thought), overloaded], says: 'upstream_overloaded' },
  'an error after a tool call': { events: [...unfinished(call), overloaded], says: 'upstream_error' },
  'a cut after a text': { events: unfinished(half), cut: true, says: 'upstream_error' },
  'a cut after thinking': { events: unfinished(thought), cut: true, says: 'upstream_error' },
  'a cut after a tool call': { events: unfinished(call), cut: true, says: 'upstream_error' },
  'an end after a text': { events: unfinished(half), says: 'upstream_error' },
  'an end after a blank text': { events: unfinished(recordedText(0, ' ')), says: 'upstream_error' },
  'an error before a block': { events: [...unfinished(), overloaded], says: 'upstream_error' },
  max_tokens: { events: recordedMessage('max_tokens', [half]), says: 'max_tokens' },
  'max_tokens while thinking': { events: recordedMessage('max_tokens', [thought]), says: 'max_tokens' },
  model_context_window_exceeded: {
    events: recordedMessage('model_context_window_exceeded', [half]),
    says: 'model_context_window_exceeded',
  },
  refusal: { events: recordedMessage('refusal', [half]), says: 'refusal' },
  'an answer without a block': { events: recordedMessage('end_turn', []), says: 'end_turn' },
};

/** Input tokens of each recorded message. */
const inputTokens = 25;

/** The prompt names the case, and chooses the reply. */
const promptOf = (name: string): string => `the case is: ${name}`;

function ask(name: string): Conversation['messages'][number] {
  return { role: 'user', content: [{ type: 'text', text: promptOf(name) }] };
}

const isAbout = (name: string, body: string): boolean => body.includes(JSON.stringify(promptOf(name)));

const tools = [{ name: 'get_weather', input_schema: { type: 'object' } }];

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, { concurrency: 3 }, () => {
    const replies = new Map<string, Reply>();
    let runner: TestRunner;
    before(async () => {
      runner = await startTestRunner({
        claudeBin: cli.path,
        reply: ({ body }) => {
          const [, reply] = [...replies].find(([name]) => isAbout(name, body)) ?? [];
          return reply ?? { kind: 'text', text: 'a prompt that nobody sent' };
        },
      });
    });
    after(() => runner.close());
    const requestsOf = (name: string): number =>
      runner.model.requests.filter(({ body }) => isAbout(name, body)).length;

    for (const [message, reason] of sample(Object.entries(media))) {
      test(`"${message.slice(-60)}" reaches the caller as a reason`, async () => {
        replies.set(message, { kind: 'error', status: 400, type: 'invalid_request_error', message });
        const asked = await runner.ask({ messages: [ask(message), ...image] });
        const { code, message: said } = asked.error();
        assert.equal(code, 'bad_request');
        assert.match(said, reason);
        assert.match(said, /^The model refused the request: .{10,300}$/);
        assert.doesNotMatch(said, /\/|API Error|pdftotext|Re-read/);
      });
    }

    for (const [name, { events, cut, says }] of Object.entries(endings)) {
      test(`${name} makes one request, and its usage is recorded`, async () => {
        // Of a burst that ends in a cut, the CLI reads nothing at times, with or without a proxy.
        replies.set(name, {
          kind: 'events',
          events,
          ...(cut === undefined ? {} : { cut, eventDelayMs: 60 }),
        });
        const { turn } = await runner.ask({ messages: [ask(name)], tools });
        const said = turn.outcome.ok ? turn.outcome.answer.stopReason : turn.outcome.error.code;
        // After a broken stream one build says why; the other asks again instead, and is ended.
        if (says !== 'upstream_error') assert.equal(said, says);
        else assert.match(said, /^upstream_(?:error|overloaded)$/);
        assert.equal(requestsOf(name), 1);
        assert.equal(turn.usage.input_tokens, inputTokens);
        if (!turn.outcome.ok) assert.equal(turn.outcome.error.details.shouldRetry, false);
      });
    }
  });

  test(`a busy relay lets the CLI ask once on ${cli.version}`, async (t) => {
    let reply: Reply = { kind: 'text', text: '' };
    const runner = await startTestRunner({ claudeBin: cli.path, reply: () => reply });
    // Each time, several events, and the request after them, wait to be read.
    const load = setInterval(() => {
      const until = performance.now() + 40;
      while (performance.now() < until);
    }, 1);
    t.after(() => {
      clearInterval(load);
      return runner.close();
    });
    for (const events of [recordedMessage('max_tokens', [half]), unfinished(half)]) {
      reply = { kind: 'events', events };
      const { turn, requests } = await runner.ask({});
      assert.equal(requests.length, 1);
      assert.equal(turn.usage.input_tokens, inputTokens);
    }
  });
}
