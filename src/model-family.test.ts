import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyOf } from './model-family.ts';

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
