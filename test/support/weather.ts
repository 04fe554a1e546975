/** A conversation about the weather in which the model calls a tool in three rounds: two calls at once, one after an error, one more. */
import type { AnswerBlock, Reply, SeenRequest } from './failing-model.ts';

type AnswerReply = Extract<Reply, { kind: 'text' | 'tool_use' | 'blocks' }>;

const call = (id: string, city: string): AnswerBlock => ({
  type: 'tool_use',
  id,
  name: 'weather',
  input: { city },
});

const rounds: readonly (readonly AnswerBlock[])[] = [
  [{ type: 'text', text: 'I look.' }, call('toolu_a', 'Oslo'), call('toolu_b', 'Rome')],
  [call('toolu_c', 'Roma')],
  [call('toolu_d', 'Bergen')],
  [{ type: 'text', text: 'It rains.' }],
];

/** The model's answers: each depends on how many answers it has given. */
export function weatherModel({ json }: SeenRequest): AnswerReply {
  const spoken = json?.messages.filter(({ role }) => role === 'assistant').length ?? 0;
  return { kind: 'blocks', blocks: rounds[spoken] ?? [] };
}

/** The tool's result for each city. */
export const weatherOf: Readonly<Record<string, string>> = {
  Oslo: 'rain, 4 °C',
  Rome: 'no such city; did you mean Roma?',
  Roma: 'sun',
  Bergen: 'rain',
};

/** The cities in the order in which the model asks. */
export const citiesAsked = ['Oslo', 'Rome', 'Roma', 'Bergen'];

type Turn = { role: string; content: object[] };

/**
 * The messages that must reach the model by the last round. `result` writes the content of a tool's result as the client does; Rome's
 * is an error.
 */
export function weatherTurns(
  first: object,
  result: (city: string) => object = (city) => ({ content: weatherOf[city] }),
): Turn[] {
  const said = (index: number): object[] => [...(rounds[index] ?? [])];
  const told = (id: string, city: string): object => ({
    type: 'tool_result',
    tool_use_id: id,
    ...result(city),
  });
  return [
    { role: 'user', content: [first] },
    { role: 'assistant', content: said(0) },
    { role: 'user', content: [told('toolu_a', 'Oslo'), told('toolu_b', 'Rome')] },
    { role: 'assistant', content: said(1) },
    { role: 'user', content: [told('toolu_c', 'Roma')] },
    { role: 'assistant', content: said(2) },
    { role: 'user', content: [told('toolu_d', 'Bergen')] },
  ];
}

/** The model's answer to a request for JSON: by the tool that it is made to call, or as text. */
export function structuredModel({ json }: SeenRequest, value: unknown): AnswerReply {
  const choice = json?.['tool_choice'] as { name?: string } | undefined;
  const name = choice?.name ?? json?.tools?.at(-1)?.name;
  return name === undefined
    ? { kind: 'text', text: JSON.stringify(value) }
    : { kind: 'tool_use', name, input: value };
}
