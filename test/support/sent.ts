/** What reached the model of a caller's request: the CLI's own additions taken away, the rest to the byte. */
import assert from 'node:assert/strict';
import { blocksOf, textOf, type RequestBlock } from '../../src/standin/messages.ts';
import type { SeenRequest } from '../../src/standin/server.ts';

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
  const given = messages.map(({ role, content }) => ({
    role,
    content: blocksOf(content).filter(isCallers).map(withoutCacheMark),
  }));
  return {
    system: blocksOf(system)
      .map((block) => textOf(block) ?? '')
      .filter((text) => !/^(?:x-anthropic-billing-header:|You are a Claude agent)/.test(text))
      .join('\n\n'),
    messages: given.filter(({ content }) => content.length > 0),
    tools: tools.map(withoutCacheMark),
    body: request.json,
  };
}

/** 2.1.197 tells the date in a text before the prompt, 2.1.330 the environment in a message of its own. */
function isCallers(block: RequestBlock): boolean {
  return !/^(?:<system-reminder>\nAs you answer the user's questions|# Environment\n)/.test(
    textOf(block) ?? '',
  );
}

function withoutCacheMark({
  cache_control: _mark,
  ...rest
}: Record<string, unknown>): Record<string, unknown> {
  return rest;
}
