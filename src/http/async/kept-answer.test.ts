import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as round } from 'node:timers/promises';
import { RelayError } from '../../errors.ts';
import { KeptAnswer, maxKeptBytes } from './kept-answer.ts';

const nobody = new AbortController().signal;

/** A client that reads when the test lets it. */
function client(): {
  sent: string[];
  stream: { send: (text: string) => void; room: () => Promise<void> };
  hold: () => () => void;
} {
  const sent: string[] = [];
  let busy: Promise<void> = Promise.resolve();
  return {
    sent,
    stream: { send: (text) => sent.push(text), room: () => busy },
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      busy = promise;
      return resolve;
    },
  };
}

describe('a kept answer', () => {
  test('sends its events from the beginning to every client, at the client’s pace', async () => {
    const answer = new KeptAnswer();
    const [fast, slow, late] = [client(), client(), client()];
    const goOn = slow.hold();
    const following = [answer.follow(fast.stream, nobody), answer.follow(slow.stream, nobody)];
    answer.add('a');
    answer.add('');
    answer.add('b');
    await round();
    assert.deepEqual([fast.sent, slow.sent], [['a', 'b'], ['a']]);
    following.push(answer.follow(late.stream, nobody));
    answer.add('c');
    answer.end({ ok: true, text: '' });
    goOn();
    await Promise.all(following);
    for (const { sent } of [fast, slow, late]) assert.deepEqual(sent, ['a', 'b', 'c']);
    const after = client();
    await answer.follow(after.stream, nobody);
    assert.deepEqual(after.sent, ['a', 'b', 'c']);
  });

  test('sends its error after its events, to every client', async () => {
    const answer = new KeptAnswer();
    const error = new RelayError('upstream_error', 'No.');
    const first = client();
    const following = assert.rejects(answer.follow(first.stream, nobody), error);
    answer.add('a');
    answer.end({ ok: false, error });
    await following;
    assert.deepEqual(first.sent, ['a']);
    await assert.rejects(answer.follow(client().stream, nobody), error);
    await assert.rejects(answer.whole(nobody), error);
  });

  test('lets a client that leaves go at once, and the others stay', async () => {
    const answer = new KeptAnswer();
    const leaving = new AbortController();
    const gone = assert.rejects(answer.follow(client().stream, leaving.signal), {
      code: 'client_closed_request',
    });
    const waiting = assert.rejects(answer.whole(leaving.signal), { code: 'client_closed_request' });
    const stays = answer.whole(nobody);
    leaving.abort();
    await Promise.all([gone, waiting]);
    await assert.rejects(answer.whole(leaving.signal), { code: 'client_closed_request' });
    answer.end({ ok: true, text: '{}' });
    assert.equal(await stays, '{}');
  });

  test('passes on events that are too many to keep', async () => {
    const answer = new KeptAnswer();
    const first = client();
    const following = answer.follow(first.stream, nobody);
    const piece = 'x'.repeat(1024 * 1024);
    for (let bytes = 0; bytes <= maxKeptBytes; bytes += piece.length) answer.add(piece);
    assert.throws(() => answer.requireWhole(), { code: 'payload_too_large' });
    answer.end({ ok: true, text: '' });
    await following;
    assert.equal(first.sent.join('').length, answer.bytes, 'who follows misses nothing');
    const late = client();
    await answer.follow(late.stream, nobody);
    assert.deepEqual(late.sent, [], 'and nothing of it is left');
  });
});
