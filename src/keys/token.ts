/**
 * The shape of a key's secret: `crk_<public id>_<256-bit secret><checksum>`, all in letters and digits.
 *
 * Pure. The public id finds the key and may appear in records. The checksum lets a mistyped or made-up token fail
 * before any look-up; it protects nothing. The fixed prefix and shape let secret scanners find a leaked token.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Digits in base 62 that hold 8 bytes, 32 bytes and a CRC-32. */
const idLength = 11;
const secretLength = 43;
const checksumLength = 6;
const shape = new RegExp(
  `^(crk_([0-9A-Za-z]{${idLength}})_([0-9A-Za-z]{${secretLength}}))([0-9A-Za-z]{${checksumLength}})$`,
);

/** `random(n)` gives n unpredictable bytes. With an `id`, a further secret for that key; without, for a new one. */
export function mintToken(random: (bytes: number) => Uint8Array, id?: string) {
  const publicId = id ?? base62(random(8), idLength);
  const secret = base62(random(32), secretLength);
  const body = `crk_${publicId}_${secret}`;
  return { token: body + checksum(body), id: publicId, digest: digestOf(secret) };
}

/** The id and the secret's SHA-256, or undefined for whatever is not a token of this shape with the right checksum. */
export function parseToken(text: string) {
  const [, body, id, secret, sum] = shape.exec(text) ?? [];
  if (body === undefined || id === undefined || secret === undefined) return undefined;
  return checksum(body) === sum ? { id, digest: digestOf(secret) } : undefined;
}

function digestOf(secret: string): Uint8Array {
  return hash('sha256', secret, 'buffer');
}

function checksum(body: string): string {
  return digits(BigInt(crc32(body)), checksumLength);
}

function base62(bytes: Uint8Array, length: number): string {
  return digits(BigInt(`0x${Buffer.from(bytes).toString('hex')}`), length);
}

function digits(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i += 1) {
    text = alphabet.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}
