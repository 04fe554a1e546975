/** What the stand-in for the API answers a program. */
import { z } from 'zod';
import { blocksOf, type Reply, type SeenRequest } from '../support/failing-model.ts';
import type { Program } from './program.ts';

export const answerText = 'The answer is 4711.';

/** One word in each of the two files that a program's tool reads. */
export const files = { 'first.txt': 'walnut-5f0c1e', 'second.txt': 'hazel-77b2d9' } as const;

/**
 * Calls the program's tool for one file after the other, by the results that the request holds, then answers. A request without that
 * tool (a title, a check of a command) is answered at once. `path` makes a file's name one that the tool takes. Where the request
 * leaves no choice but one tool, as for an answer by a schema, each field of that tool's input is the answer.
 */
export function reply(
  tool: Program['tool'],
  path: (file: string) => string,
): (request: SeenRequest) => Reply {
  return ({ json }) => {
    const forced = forcedTool.safeParse(json?.['tool_choice']);
    if (forced.success) {
      const { name } = forced.data;
      const schema = textsOf.parse(json?.tools?.find((offered) => offered.name === name)?.['input_schema']);
      const input = Object.fromEntries(Object.keys(schema.properties).map((each) => [each, answerText]));
      return { kind: 'tool_use', name, input };
    }
    const results = resultsIn(json);
    const file = Object.keys(files)[results.length];
    const name = json?.tools?.find((offered) => tool?.name.test(offered.name))?.name;
    if (tool === undefined || name === undefined || file === undefined)
      return { kind: 'text', text: ['The answer ', 'is 4711.'] };
    return {
      kind: 'tool_use',
      text: 'I look.',
      id: `toolu_${results.length + 1}`,
      name,
      input: tool.input(path(file)),
    };
  };
}

const textsOf = z.object({ properties: z.record(z.string(), z.unknown()) });
const forcedTool = z.object({ type: z.literal('tool'), name: z.string() });

/** The tools' results in a request, as JSON, oldest first. */
export function resultsIn(json: SeenRequest['json']): string[] {
  return (json?.messages ?? []).flatMap(({ content }) =>
    blocksOf(content)
      .filter(({ type }) => type === 'tool_result')
      .map((block) => JSON.stringify(block)),
  );
}
