import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RelayError, type ErrorCode } from '../errors.ts';
import { readJson, type BodyLimits } from './body.ts';

type Sent = { body?: NonNullable<RequestInit['body']>; headers?: Record<string, string> };

function request({ body = '{"a":1}', headers = {} }: Sent): Request {
  return new Request('http://relay/', {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
    // A stream as the body needs it.
    ...({ duplex: 'half' } as object),
  });
}

function chunks(...parts: readonly (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts)
        controller.enqueue(typeof part === 'string' ? new TextEncoder().encode(part) : part);
      controller.close();
    },
  });
}

function upTo(maxInputBytes: number): BodyLimits {
  return { maxInputBytes, maxAttachmentBytes: 0 };
}

async function refused(sent: Sent, maxBytes: number, code: ErrorCode, message: RegExp): Promise<RelayError> {
  try {
    await readJson(request(sent), upTo(maxBytes));
  } catch (error) {
    assert.ok(error instanceof RelayError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return error;
  }
  assert.fail('it was accepted');
}

describe('readJson', () => {
  test('reads a body in any number of chunks', async () => {
    assert.deepEqual(await readJson(request({}), upTo(7)), { value: { a: 1 }, bytes: 7 });
    const euro = new TextEncoder().encode('"€"');
    const cut = chunks(euro.subarray(0, 2), euro.subarray(2, 3), euro.subarray(3));
    assert.deepEqual(await readJson(request({ body: cut }), upTo(5)), { value: '€', bytes: 5 });
  });

  test('refuses a body whose announced length is too large, before it reads', async () => {
    const error = await refused({ headers: { 'content-length': '8' } }, 7, 'payload_too_large', /7 bytes/);
    assert.equal(error.details.headers?.['connection'], 'close');
  });

  test('stops reading a body that becomes too large', async () => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(1000).fill(0x20));
      },
    });
    await refused({ body: endless }, 5000, 'payload_too_large', /5000 bytes/);
    assert.ok(pulled < 20, `${pulled} chunks`);
    await refused({ body: chunks('{"a":', '12}') }, 7, 'payload_too_large', /7 bytes/);
    assert.equal((await readJson(request({ body: chunks('{"a":', '1}') }), upTo(7))).bytes, 7);
  });

  test('refuses a body that is not JSON in UTF-8', async () => {
    for (const body of ['', '{', '{"a":1}x', "{'a':1}", 'undefined', '{"a":1,}'])
      await refused({ body: chunks(body) }, 100, 'bad_request', /not valid JSON/);
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xc0, 0xaf, 0x22],
      [0x22, 0xe2],
    ])
      await refused({ body: chunks(Uint8Array.from(bytes)) }, 100, 'bad_request', /not valid JSON in UTF-8/);
    await refused({ body: Buffer.from('"x"', 'utf16le') }, 100, 'bad_request', /not valid JSON/);
  });

  test('refuses a body that breaks off', async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error('gone')),
    });
    await refused({ body: broken }, 100, 'bad_request', /ended before it was complete/);
  });
});

test('readJson accepts a body only as JSON in UTF-8, without a content encoding', async () => {
  for (const type of [
    'application/json',
    'APPLICATION/JSON',
    'application/json ; charset=UTF-8',
    'application/json;charset="utf-8"',
  ])
    assert.ok(await readJson(request({ headers: { 'content-type': type } }), upTo(100)), type);
  for (const type of [
    '',
    'text/plain',
    'application/json-seq',
    'application/json;charset=latin1',
    'application/x-www-form-urlencoded',
  ])
    await refused(
      { headers: { 'content-type': type } },
      100,
      'unsupported_media_type',
      /application\/json|UTF-8/,
    );
  await refused(
    { headers: { 'content-encoding': 'gzip' } },
    100,
    'unsupported_media_type',
    /content-encoding/,
  );
  assert.ok(await readJson(request({ headers: { 'content-encoding': 'identity' } }), upTo(100)));
});
