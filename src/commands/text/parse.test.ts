import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCount, parseDuration, parseExpiry, parseList, parseUrl } from './parse.ts';

const refused = { code: 'commander.invalidArgument' };

test('parseDuration accepts a number with a unit', () => {
  const good: [string, number][] = [
    ['0', 0],
    ['90s', 90_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
    ['3650d', 315_360_000_000],
  ];
  for (const [text, ms] of good) assert.equal(parseDuration(text), ms, text);
  for (const text of [
    '',
    '5',
    '1.5h',
    '-1h',
    '1 h',
    '1H',
    'h',
    '1hour',
    '3651d',
    '999999999w',
    '1h30m',
    '1e3s',
    '٣h',
  ]) {
    assert.throws(() => parseDuration(text), refused, text);
  }
});

test('parseExpiry accepts a duration, a date or a time', () => {
  const now = Date.UTC(2030, 0, 1);
  const good: [string, number][] = [
    ['30d', now + 30 * 86_400_000],
    ['2030-01-31', Date.UTC(2030, 0, 31)],
    ['2032-02-29', Date.UTC(2032, 1, 29)],
    ['2030-01-31T18:00Z', Date.UTC(2030, 0, 31, 18)],
    ['2030-01-31T18:00:05+02:00', Date.UTC(2030, 0, 31, 16, 0, 5)],
  ];
  for (const [text, at] of good) assert.equal(parseExpiry(text, now), at, text);
  for (const text of [
    '',
    'tomorrow',
    '2030-02-31',
    '2030-13-01',
    '2030-1-1',
    '2030-01-31T18:00',
    '2030-01-31T25:00Z',
    '30',
    '2030',
  ]) {
    assert.throws(() => parseExpiry(text, now), refused, text);
  }
});

test('parseCount and parseList accept valid text only', () => {
  const parse = parseCount(1, 100);
  assert.equal(parse('1'), 1);
  assert.equal(parse('100'), 100);
  for (const text of ['0', '101', '', ' 5', '5.0', '1e1', '0x10', '-1', 'NaN'])
    assert.throws(() => parse(text), refused, text);
  assert.deepEqual(parseList('opus, haiku,opus'), ['opus', 'haiku']);
  for (const text of ['', ',', 'a,,b', 'a,']) assert.throws(() => parseList(text), refused, text);
});

test('parseUrl accepts http and https URLs only', () => {
  for (const text of ['https://relay.example.com', 'http://127.0.0.1:8799/'])
    assert.equal(parseUrl(text), text);
  for (const text of ['', 'relay.example.com', 'ftp://relay.example.com', 'https://', 'https://a b'])
    assert.throws(() => parseUrl(text), refused, text);
});
