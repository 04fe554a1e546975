import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { startStandIn, textBlock, toolUseBlock, type Reply, type StandIn } from './stand-in.ts';

const request = { model: 'claude-test', max_tokens: 10, messages: [{ role: 'user', content: 'hello' }] };
const open: StandIn[] = [];
after(() => Promise.all(open.map((standIn) => standIn.close())));

async function standInWith(reply: Reply): Promise<StandIn> {
  const standIn = await startStandIn(() => reply);
  open.push(standIn);
  return standIn;
}

function ask({ url }: StandIn, body = JSON.stringify(request)): Promise<Response> {
  return fetch(`${url}/v1/messages?beta=true`, { method: 'POST', body });
}

type Event = { type: string; delta?: { partial_json?: string } };

async function streamed(reply: Reply): Promise<Event[]> {
  const response = await ask(await standInWith(reply));
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  return (await response.text())
    .split('\n\n')
    .filter((frame) => frame !== '')
    .map((frame) => {
      const [, name, data = ''] = /^event: (.*)\ndata: (.*)$/s.exec(frame) ?? [];
      const event = JSON.parse(data) as Event;
      assert.equal(event.type, name);
      return event;
    });
}

test('the stand-in streams a text as the API does', async () => {
  const events = await streamed({ blocks: [textBlock(['one ', 'two'])] });
  assert.deepEqual(
    events.map(({ type }) => type),
    [
      'message_start',
      'content_block_start',
      'ping',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ],
  );
  assert.deepEqual(events[3]?.delta, { type: 'text_delta', text: 'one ' });
  assert.deepEqual(events[6]?.delta, { stop_reason: 'end_turn', stop_sequence: null });
});

test('the stand-in streams a tool use with its whole input and stops for it', async () => {
  const input = { command: 'true' };
  const events = await streamed({ blocks: [textBlock(['so']), toolUseBlock('toolu_1', 'Bash', input)] });
  const json = events.map(({ delta }) => delta?.partial_json ?? '').join('');
  assert.deepEqual(JSON.parse(json), input);
  assert.deepEqual(events.at(-2)?.delta, { stop_reason: 'tool_use', stop_sequence: null });
});

test('the stand-in answers other routes with 404 and a body of another shape with 400', async () => {
  const standIn = await standInWith({ blocks: [] });
  assert.equal((await fetch(standIn.url, { method: 'HEAD' })).status, 404);
  assert.equal((await ask(standIn, 'nonsense')).status, 400);
});

test('closing the stand-in ends idle connections', async () => {
  const standIn = await standInWith({ blocks: [] });
  const idle = connect(Number(new URL(standIn.url).port), '127.0.0.1');
  const ended = new Promise((resolve) => idle.on('close', resolve));
  idle.on('error', () => {});
  await new Promise((resolve) => idle.on('connect', resolve));
  await standIn.close();
  await standIn.close();
  await ended;
  await assert.rejects(ask(standIn));
});
