import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Conversation, UserBlock } from '../conversation.ts';
import { estimateTokens } from './token-estimate.ts';

const of = (text: string): number => estimateTokens({ system: [text], messages: [] });
const ofBlock = (block: UserBlock): number =>
  estimateTokens({ system: [], messages: [{ role: 'user', content: [block] }] });

describe('estimateTokens', () => {
  // The tokens of Anthropic's published tokenizer (@anthropic-ai/tokenizer 0.0.4), times 1.3.
  const measured: [name: string, text: string, tokens: number][] = [
    ['prose', 'The committee met on Tuesday to discuss the new proposal. '.repeat(20), 287],
    ['TypeScript', 'for (const { keyId } of keys) if (isLive(keyId)) used += 1;\n'.repeat(20), 598],
    ['JSON', '{"id":17,"name":"Berlin","population":3664088},'.repeat(20), 365],
    ['German', 'Die Abgeordneten haben gestern über die Neuregelung beraten. '.repeat(20), 469],
    ['Chinese', '昨天晚上，议员们讨论了医疗保险改革。'.repeat(20), 650],
    ['emoji', 'Great job 🎉🎉 see you 👋 tomorrow 😀 ok ✅ '.repeat(20), 547],
  ];
  for (const [name, text, tokens] of measured) {
    test(`is within a quarter of the tokenizer for ${name}`, () => {
      const ratio = of(text) / tokens;
      assert.ok(ratio > 0.75 && ratio < 1.25, `${ratio} of ${tokens}`);
    });
  }

  test('counts every part of a request, and more for a longer one', () => {
    const hi = { type: 'text', text: 'Say hello to everybody.' } as const;
    const tool = { name: 'weather', description: 'The weather.', input_schema: { type: 'object' } };
    const image = { type: 'base64', media_type: 'image/png', data: 'AAAA' } as const;
    const steps: Conversation[] = [
      { system: [], messages: [] },
      { system: ['Be brief.'], messages: [] },
      { system: ['Be brief.'], messages: [{ role: 'user', content: [hi] }] },
      {
        system: ['Be brief.'],
        messages: [
          { role: 'user', content: [hi] },
          { role: 'assistant', content: [{ type: 'thinking', thinking: 'Well.', signature: 'x' }] },
        ],
      },
      {
        system: ['Be brief.'],
        messages: [
          { role: 'user', content: [hi, { type: 'image', source: image }] },
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: 'a', name: 'weather', input: { at: 'x' } }],
          },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: [hi] }] },
        ],
      },
    ];
    steps.push({ ...steps.at(-1), tools: [tool] } as Conversation);
    steps.push({ ...steps.at(-1), schema: { type: 'object' } } as Conversation);
    const counts = steps.map((each) => estimateTokens(each));
    assert.equal(counts[0], 0);
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(counts).size, counts.length);
  });

  test('counts the pages of a PDF, and guesses them by size where they are packed', () => {
    const pdf = (bytes: Buffer): number =>
      ofBlock({
        type: 'document',
        source: { type: 'base64', media_type: 'application/pdf', data: bytes.toString('base64') },
      });
    const one = pdf(Buffer.from('/Type /Pages ... /Type /Page /Parent'));
    assert.equal(pdf(Buffer.from('/Type/Page\n/Type/Page\n/Type /Pages')) - one, one - 5);
    assert.equal(pdf(Buffer.alloc(90_000)), 5 + 3 * 2400);
    assert.equal(pdf(Buffer.from('/Type/Page '.repeat(9000))), 5 + 600 * 2400);
  });

  test('counts the largest text', () => {
    const text = readFileSync(import.meta.filename, 'utf8')
      .repeat(300)
      .slice(0, 2 ** 20);
    assert.ok(of(text) > 200_000);
  });
});
