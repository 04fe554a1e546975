/** A caller's request as it reached the model: the system prompt without the CLI's additions, the rest byte for byte. */
import assert from 'node:assert/strict';
import { type SeenRequest, blocksOf, textOf } from './failing-model.ts';

export type Sent = {
  /** The caller's system prompt; '' for none. */
  system: string;
  messages: { role: string; content: Record<string, unknown>[] }[];
  tools: Record<string, unknown>[];
  /** The body as it came, for its other fields. */
  body: Record<string, unknown>;
};

export function sentBy(request: SeenRequest | undefined): Sent {
  assert.ok(request?.json !== undefined, 'nothing reached the model');
  const { system, messages, tools = [] } = request.json;
  return {
    system: blocksOf(system)
      .map((block) => textOf(block) ?? '')
      .filter((text) => !/^(?:x-anthropic-billing-header:|You are a Claude agent)/.test(text))
      .join('\n\n'),
    messages: messages.map(({ role, content }) => ({
      role,
      content: blocksOf(content).map(withoutCacheMark),
    })),
    tools: tools.map(withoutCacheMark),
    body: request.json,
  };
}

function withoutCacheMark({
  cache_control: _mark,
  ...rest
}: Record<string, unknown>): Record<string, unknown> {
  return rest;
}
