import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program, Use } from '../program.ts';

const packages = ['promptfoo@0.123.1', '@modelcontextprotocol/server-filesystem@2026.8.31'];
const openAi = {
  packages,
  setUp: ['export OPENAI_BASE_URL=URL/v1', 'export OPENAI_API_KEY=KEY'],
  note: 'It runs tools for this provider, but does not send the results to the model.',
  streams: false,
} as const;

export const promptfoo: readonly Program[] = [
  {
    ...openAi,
    name: 'promptfoo-chat',
    title: 'promptfoo, `openai:chat:opus`',
    ask: (use) => evaluate(use, { id: 'openai:chat:opus' }),
  },
  {
    ...openAi,
    name: 'promptfoo-responses',
    title: 'promptfoo, `openai:responses:opus`',
    ask: (use) => evaluate(use, { id: 'openai:responses:opus' }),
  },
  {
    name: 'promptfoo-anthropic',
    title: 'promptfoo, `anthropic:messages:opus`',
    packages,
    setUp: ['export ANTHROPIC_BASE_URL=URL', 'export ANTHROPIC_API_KEY=KEY'],
    note: 'Its tools are those of an MCP server for files.',
    tool: { name: /^read_text_file$/, input: (path) => ({ path }) },
    ask: (use) => {
      const server = { name: 'files', command: 'mcp-server-filesystem', args: [use.directory] };
      const config = {
        tools: { mcp: { enabled: true, server } },
        stream: { stream: true },
        text: {},
        key: {},
      }[use.check];
      return evaluate(use, { id: 'anthropic:messages:opus', config });
    },
  },
];

/** Resolves to what an evaluation of the prompt printed. */
function evaluate({ prompt, url, key, directory, run }: Use, provider: object): Promise<string> {
  const file = join(directory, 'promptfooconfig.json');
  writeFileSync(file, JSON.stringify({ prompts: [prompt], providers: [provider] }));
  return run('promptfoo', ['eval', '--config', file, '--no-cache'], {
    OPENAI_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: key,
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: key,
    PROMPTFOO_DISABLE_TELEMETRY: '1',
    PROMPTFOO_DISABLE_UPDATE: '1',
  });
}
