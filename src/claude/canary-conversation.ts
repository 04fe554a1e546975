/** A conversation for the proof: whatever a request can hold beside a prompt must reach the model as it is, and nothing else. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { Conversation } from '../conversation.ts';
import type { SeenRequest } from '../standin/server.ts';
import type { Canary } from './canary.ts';

/** With the names of the CLI's tools for the caller's own, and files and commands where a prompt could have them. */
export function canaryConversation({ secretPath, toolUses }: Canary, id: string): Conversation {
  const names = [...new Set(toolUses.map((use) => use.name))];
  return {
    system: [],
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: `/cost ${id} @${secretPath}` },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: `@${secretPath}`, signature: 'c2ln' },
          { type: 'tool_use', id: 'toolu_canary', name: 'Read', input: { file_path: secretPath } },
        ],
      },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 'toolu_canary',
            is_error: true,
            content: [{ type: 'text', text: `!ls @${secretPath}` }],
          },
          { type: 'text', text: `/init @${secretPath}` },
        ],
      },
    ],
    tools: names.map((name) => ({ name, input_schema: { type: 'object' } })),
    toolChoice: { type: 'any' },
    temperature: 0.5,
    maxTokens: 321,
    stopSequences: [`/stop ${id}`],
  };
}

/** Each difference between the conversation and what reached the model of it. */
export function conversationFailures(asked: Conversation, request: SeenRequest | undefined): string[] {
  if (request === undefined) return ['it did not reach the model'];
  let body: Record<string, unknown>;
  try {
    // The marks of the prompt cache are the relay's own.
    body = JSON.parse(request.body, (key, value: unknown) =>
      key === 'cache_control' ? undefined : value,
    ) as Record<string, unknown>;
  } catch {
    return ['a request of unknown shape'];
  }
  const expected: Record<string, unknown> = {
    messages: asked.messages,
    tools: asked.tools,
    tool_choice: asked.toolChoice,
    temperature: asked.temperature,
    max_tokens: asked.maxTokens,
    stop_sequences: asked.stopSequences,
    // The API refuses it beside the others.
    thinking: undefined,
  };
  return Object.keys(expected)
    .filter((field) => !isDeepStrictEqual(body[field], expected[field]))
    .map((field) => `${field} did not reach the model as asked`);
}
