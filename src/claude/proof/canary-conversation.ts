/** A conversation for the proof: whatever a request can hold next to a prompt. Pure. */
import type { Conversation } from '../../conversation.ts';
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
    effort: 'low',
    maxTokens: 321,
    stopSequences: [`/stop ${id}`],
  };
}
