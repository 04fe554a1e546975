import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { mintToken, parseToken } from './token.ts';

test("parseToken returns the id and the SHA-256 of a minted token's secret", () => {
  for (let i = 0; i < 200; i += 1) {
    const { token, id, digest } = mintToken(randomBytes);
    const match = /^crk_([0-9A-Za-z]{11})_([0-9A-Za-z]{43})[0-9A-Za-z]{6}$/.exec(token);
    assert.equal(match?.[1], id);
    assert.deepEqual(
      Buffer.from(digest),
      createHash('sha256')
        .update(match?.[2] ?? '')
        .digest(),
    );
    assert.deepEqual(parseToken(token), { id, digest });
  }
});

test('mintToken encodes all 256 bits of a secret', () => {
  const secretOf = (fill: (bytes: Buffer) => void) =>
    mintToken((n) => {
      const bytes = Buffer.alloc(n);
      fill(bytes);
      return bytes;
    }).token;
  const zero = secretOf(() => undefined);
  assert.match(zero, /^crk_0{11}_0{43}/);
  const full = secretOf((bytes) => bytes.fill(0xff));
  assert.ok(parseToken(full));
  assert.match(full, /^crk_LygHa16AHYF_/); // 2^64 - 1 in base 62
  const last = secretOf((bytes) => bytes.writeUInt8(1, bytes.length - 1));
  const first = secretOf((bytes) => bytes.writeUInt8(0x80, 0));
  assert.equal(new Set([zero, full, last, first]).size, 4);
});

test('mintToken keeps a given id', () => {
  const { id } = mintToken(randomBytes);
  const again = mintToken(randomBytes, id);
  assert.equal(again.id, id);
  assert.equal(parseToken(again.token)?.id, id);
});

test('parseToken returns undefined for text of another shape', () => {
  const { token } = mintToken(randomBytes);
  const body = token.slice(0, -6);
  const wrong = [
    '',
    'crk_',
    token.slice(1),
    token.slice(0, -1),
    `${token}0`,
    `${token}\n`,
    ` ${token}`,
    token.toUpperCase(),
    token.replace('crk_', 'crk-'),
    `${body}000000`,
    `${body}é${token.slice(-5)}`,
    'x'.repeat(1_000_000),
    `crk_${'0'.repeat(11)}_${'0'.repeat(49)}`,
  ];
  for (const text of wrong) assert.equal(parseToken(text), undefined, text.slice(0, 80));
});

test('parseToken refuses a token with one changed character', () => {
  const { token } = mintToken(randomBytes);
  for (let i = 0; i < token.length; i += 1) {
    const other = token[i] === 'A' ? 'B' : 'A';
    assert.equal(parseToken(token.slice(0, i) + other + token.slice(i + 1)), undefined, `at ${i}`);
  }
});
