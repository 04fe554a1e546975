/** Requests of twenty kinds, each of which sets something that the one after it must not have. */
import type { RunRequest } from '../../src/claude/runner.ts';
import type { Reply, SeenRequest } from './failing-model.ts';
import { images } from './media.ts';

type Kind = Omit<Partial<RunRequest>, 'messages'> & Partial<Pick<RunRequest, 'messages'>>;

const lookUp = {
  name: 'look_up',
  description: 'Looks a word up.',
  input_schema: { type: 'object', properties: { word: { type: 'string' } } },
};
const withTools: Kind = {
  tools: [lookUp, { name: 'Bash', input_schema: { type: 'object' }, strict: true }],
};
const say = (text: string): RunRequest['messages'][number] => ({
  role: 'user',
  content: [{ type: 'text', text }],
});
const rounds: RunRequest['messages'] = [
  say('Look up "kind".'),
  {
    role: 'assistant',
    content: [
      { type: 'text', text: 'I look.' },
      { type: 'tool_use', id: 'toolu_1', name: 'look_up', input: { word: 'kind' } },
    ],
  },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'a sort of thing' }] },
];
const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };

/** One model and one system prompt serve all of them. */
export const kinds: Readonly<Record<string, Kind>> = {
  plain: {},
  long: { messages: [say(`long ${'x'.repeat(200_000)}`)] },
  'a slash and a mention': { messages: [say('/compact @/etc/passwd')] },
  'several messages': {
    messages: [say('one'), { role: 'assistant', content: [{ type: 'text', text: 'two' }] }, say('three')],
  },
  'a system message': {
    messages: [say('one'), { role: 'system', content: [{ type: 'text', text: 'two' }] }],
  },
  tools: withTools,
  'a forced tool': { ...withTools, toolChoice: { type: 'tool', name: 'look_up' } },
  'no tool': { ...withTools, toolChoice: { type: 'none' } },
  'a tool result': { ...withTools, messages: rounds },
  image: {
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image', source: images.png },
          { type: 'text', text: 'What is it?' },
        ],
      },
    ],
  },
  'a large image': { messages: [{ role: 'user', content: [{ type: 'image', source: images.large }] }] },
  schema: { schema },
  'a schema with tools': { ...withTools, schema },
  'low effort': { effort: 'low' },
  'high effort': { effort: 'max' },
  'few tokens': { maxTokens: 17 },
  'many tokens and effort': { maxTokens: 5000, effort: 'high' },
  sampling: { temperature: 0.3, topP: 0.9, topK: 5 },
  thinking: { thinking: { type: 'enabled', budget_tokens: 2048, display: 'summarized' }, maxTokens: 4000 },
  'no thinking': { thinking: { type: 'disabled' } },
  'stop sequences': { stopSequences: ['STOP', '\n\n'] },
};

/** A clean end of every kind, so that its process can rest. */
export function replyToKind({ json }: SeenRequest): Extract<Reply, { kind: 'text' | 'tool_use' }> {
  if (json?.tools?.some(({ name }) => name === 'structured_output') === true)
    return { kind: 'tool_use', name: 'structured_output', input: { n: 1 } };
  if ((json?.tools ?? []).length > 0) return { kind: 'tool_use', name: 'look_up', input: { word: 'kind' } };
  if (json?.['stop_sequences'] !== undefined)
    return { kind: 'text', text: 'up to here', stopReason: 'stop_sequence' };
  return { kind: 'text', text: 'an answer' };
}
