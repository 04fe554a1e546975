import assert from 'node:assert/strict';
import { test } from 'node:test';
import { turnLines } from '../claude/turn-lines.ts';
import { effortLevels, type Conversation, type Thinking } from '../conversation.ts';
import type { KeyProfile } from '../keys/key.ts';
import { randomConversation, randomText } from '../../test/support/random-conversations.ts';
import { Random, rounds, seed } from '../../test/support/random.ts';
import { withProfile } from './profile.ts';

const ownSystem = 'The owner’s system prompt.';
const keys = { systemOf: (keyId: string) => (keyId === 'with' ? ownSystem : undefined) };

type Profile = KeyProfile & { system?: boolean };

function keyOf({ system = false, ...profile }: Profile) {
  return {
    id: system ? 'with' : 'without',
    label: 'news',
    createdAt: 0,
    ...(system && { systemBytes: 1 }),
    ...profile,
  };
}

const hi: Conversation = {
  system: [],
  messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
};

function applied(profile: Profile, asked: Partial<Conversation>, model?: string) {
  const { conversation, replaced } = withProfile(
    { conversation: { ...hi, ...asked }, model },
    keyOf(profile),
    { keys },
  );
  const { messages: _messages, ...rest } = conversation;
  return { ...rest, replaced };
}

const full: Profile = { system: true, model: 'haiku', effort: 'low', maxTokens: 800 };

test('a request that says nothing gets all fields of the profile', () => {
  for (const profile of [full, { ...full, locked: true } as const]) {
    const expected = { system: [ownSystem], effort: 'low', maxTokens: 800, replaced: [] };
    assert.deepEqual(applied(profile, {}), expected);
  }
  assert.deepEqual(applied({ locked: true, model: 'haiku' }, { system: ['mine'], maxTokens: 9 }), {
    system: ['mine'],
    maxTokens: 9,
    replaced: [],
  });
});

test('a request overrides each field of a profile alone', () => {
  const own: Partial<Conversation>[] = [
    { system: ['mine'] },
    { effort: 'max' },
    { maxTokens: 9000 },
    { thinking: { type: 'off' } },
  ];
  const rest = { system: [ownSystem], effort: 'low', maxTokens: 800, replaced: [] };
  for (const asked of own) {
    const { effort, ...others } = rest;
    const expected = 'thinking' in asked ? others : { ...others, effort };
    assert.deepEqual(applied(full, asked, 'opus'), { ...expected, ...asked });
  }
});

test('a lock refuses a system prompt in any place, and only if the profile has one', () => {
  const later: Partial<Conversation> = {
    messages: [...hi.messages, { role: 'system', content: [{ type: 'text', text: 'mine' }] }],
  };
  for (const asked of [{ system: ['mine'] }, later]) {
    assert.throws(() => applied({ ...full, locked: true }, asked), {
      code: 'forbidden',
      message: /^The system prompt of this key is locked\. Leave out /,
    });
    assert.deepEqual(applied(full, asked).replaced, []);
    assert.deepEqual(applied({ effort: 'low', locked: true }, asked).replaced, []);
  }
  // It stands in the middle, and replaces nothing.
  assert.deepEqual(applied(full, later).system, [ownSystem]);
});

test('a lock replaces model, effort and thinking, lowers the number of tokens, and names what it replaced', () => {
  const locked: Profile = { ...full, locked: true };
  const expected = { system: [ownSystem], effort: 'low', maxTokens: 800 };
  const thinking: Thinking = { type: 'adaptive' };
  assert.deepEqual(applied(locked, { effort: 'max', thinking, maxTokens: 801 }, 'opus'), {
    ...expected,
    replaced: ['model', 'effort', 'max_tokens'],
  });
  assert.deepEqual(applied(locked, { effort: 'low', maxTokens: 800 }, 'haiku'), {
    ...expected,
    replaced: [],
  });
  assert.deepEqual(applied(locked, { maxTokens: 5 }), { ...expected, maxTokens: 5, replaced: [] });
});

test('a budget for thinking that does not fit into the tokens of the profile is left out', () => {
  const thinking: Thinking = { type: 'enabled', budget_tokens: 2000 };
  const off = { system: [], thinking: { type: 'off' } };
  assert.deepEqual(applied({ maxTokens: 2000 }, { thinking }), {
    ...off,
    maxTokens: 2000,
    replaced: ['thinking'],
  });
  assert.deepEqual(applied({ maxTokens: 2001 }, { thinking }), {
    system: [],
    thinking,
    maxTokens: 2001,
    replaced: [],
  });
  assert.deepEqual(applied({ maxTokens: 1500, locked: true }, { thinking, maxTokens: 4000 }), {
    ...off,
    maxTokens: 1500,
    replaced: ['max_tokens', 'thinking'],
  });
});

test('with a lock, a process gets the same lines whatever a request says in the locked fields', () => {
  const random = new Random(seed);
  const profile = keyOf({ ...full, maxTokens: 1500, locked: true });
  const linesOf = (conversation: Conversation): string =>
    turnLines(withProfile({ conversation, model: undefined }, profile, { keys }).conversation);
  let varied = 0;
  for (let round = 0; round < rounds(5000); round += 1) {
    const { effort: _effort, thinking: _thinking, ...common } = randomConversation(random);
    const plain = { ...common, system: [], maxTokens: 1500 };
    const noisy: Conversation = {
      ...plain,
      maxTokens: random.int(1500, 100_000),
      ...(random.chance(0.7) && { effort: random.pick(effortLevels) }),
      ...(random.chance(0.7) && {
        thinking: random.pick<Thinking>([
          { type: 'off' },
          { type: 'disabled' },
          { type: 'adaptive', display: 'summarized' },
          { type: 'between_tools' },
          { type: 'enabled', budget_tokens: random.int(1024, 50_000) },
        ]),
      }),
    };
    if (turnLines(noisy) !== turnLines(plain)) varied += 1;
    assert.equal(linesOf(noisy), linesOf(plain), `SEED=${seed}, round ${round}`);
    const system = [`${randomText(random)}x`];
    assert.throws(() => linesOf({ ...noisy, system }), { code: 'forbidden' });
  }
  assert.ok(varied > 100, 'the control: without the profile, the lines differ');
});
