import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyOf, isSubstitute } from './model-family.ts';

for (const [model, family] of [
  ['opus', 'opus'],
  ['opus[1m]', 'opus'],
  ['claude-opus-5-5', 'opus'],
  ['claude-opus-4-1-20250805', 'opus'],
  ['claude-sonnet-5[1m]', 'sonnet'],
  ['claude-3-5-sonnet-20241022', 'sonnet'],
  ['claude-3-7-sonnet-latest', 'sonnet'],
  ['claude-haiku-4-5-20251001', 'haiku'],
  ['claude-fable-5-2', 'fable'],
  ['us.anthropic.claude-sonnet-4-5-20250929-v1:0', 'sonnet'],
  ['claude-opus-4-5@20251101', 'opus'],
  ['best', 'best'],
  ['arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc', undefined],
] as const) {
  test(`${model} is of the family ${family ?? 'that it names itself'}`, () => {
    assert.equal(familyOf(model), family ?? model);
  });
}

for (const [asked, resolved, substitute] of [
  ['claude-opus-4-1', 'claude-opus-5-5', true],
  ['claude-opus-4-20250514', 'claude-opus-5-5', true],
  ['claude-opus-4', 'claude-opus-4-5-20251101', true],
  ['claude-3-5-sonnet-20241022', 'claude-3-7-sonnet-20250219', true],
  ['claude-opus-4-1', 'claude-sonnet-4-1', true],
  ['claude-opus-4-1[1m]', 'claude-opus-5-5[1m]', true],
  ['claude-opus-4-1', 'claude-opus-4-1-20250805', false],
  ['claude-opus-4-1@20250805', 'us.anthropic.claude-opus-4-1-20250805-v1:0', false],
  ['claude-opus-4-0', 'claude-opus-4-20250514', false],
  ['claude-3-7-sonnet-latest', 'claude-3-7-sonnet-20250219', false],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929[1m]', false],
  ['opus', 'claude-opus-5-5', false],
  ['opus[1m]', 'claude-opus-5-5[1m]', false],
  ['claude-opus-latest', 'claude-opus-5-5', false],
  ['claude-opus-4-1', 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc', false],
  ['claude-opus-4-1', '', false],
  ['claude-opus-4-1', 'claude-opus-5-5\r\nx: y', false],
] as const) {
  test(`${resolved.slice(0, 40)} is ${substitute ? 'another model than' : 'the answer to'} ${asked}`, () => {
    assert.equal(isSubstitute(asked, resolved), substitute);
  });
}
