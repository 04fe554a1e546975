import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Key } from '../../keys/key.ts';
import { chooseModel } from './models.ts';

const config = {
  defaultModel: 'opus',
  allowedModels: ['opus', 'sonnet', 'claude-haiku-4-5-20251001'],
  modelAliases: new Map([
    ['gpt-4o', 'sonnet'],
    ['claude-3-opus-20240229', 'opus'],
    ['opus', 'sonnet'],
    ['mini', 'claude-haiku-4-5-20251001'],
  ]),
};

function choose(named: string | undefined, allowedModels?: string[]): unknown {
  const key: Key = {
    id: 'a',
    label: 'a',
    createdAt: 0,
    ...(allowedModels === undefined ? {} : { allowedModels }),
  };
  return chooseModel(named, key, config, 'not_found');
}

describe('chooseModel', () => {
  const cases: [named: string | undefined, model: string, listed: string][] = [
    [undefined, 'opus', 'opus'],
    ['opus', 'opus', 'opus'],
    ['gpt-4o', 'sonnet', 'sonnet'],
    ['claude-3-opus-20240229', 'opus', 'opus'],
    ['mini', 'claude-haiku-4-5-20251001', 'claude-haiku-4-5-20251001'],
    ['claude-sonnet-4-5-20250929', 'claude-sonnet-4-5-20250929', 'sonnet'],
    ['claude-3-7-sonnet-latest', 'claude-3-7-sonnet-latest', 'sonnet'],
    ['claude-opus-4-1@20250805', 'claude-opus-4-1@20250805', 'opus'],
    ['claude-opus-5', 'claude-opus-5', 'opus'],
  ];
  for (const [named, model, listed] of cases) {
    test(`accepts ${named ?? 'no name'}`, () => {
      assert.deepEqual(choose(named), { asked: named ?? 'opus', model, listed });
    });
  }

  for (const named of [
    'haiku',
    'claude-haiku-5',
    'claude-sonnet-4-5[1m]',
    'claude-opusx-4',
    'claude-my-fable-4',
    'claude-opus-4 --help',
    'xclaude-opus-4',
    'claude-opus-',
    `claude-opus-${'4'.repeat(200)}`,
    'gpt-4',
    '',
  ]) {
    test(`refuses ${named.slice(0, 40)}`, () => {
      assert.throws(() => choose(named), {
        code: 'not_found',
        message: /one of opus, sonnet, claude-haiku.*MODEL_ALIASES/,
      });
    });
  }

  test('checks the models of a key against the model that a name stands for', () => {
    assert.deepEqual(choose('gpt-4o', ['sonnet']), { asked: 'gpt-4o', model: 'sonnet', listed: 'sonnet' });
    assert.throws(() => choose('gpt-4o', ['opus']), { code: 'forbidden' });
    assert.throws(() => choose('claude-sonnet-4-5', ['opus']), { code: 'forbidden' });
    assert.throws(() => choose('sonnet', ['claude-sonnet-4-5']), { code: 'forbidden' });
  });
});
