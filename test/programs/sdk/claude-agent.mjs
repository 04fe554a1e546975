import { createSdkMcpServer, query, tool } from '@anthropic-ai/claude-agent-sdk';
import { z } from 'zod';
import { prompt, readFile, toolText } from './files.mjs';

const readTool = tool('read_file', toolText, { path: z.string() }, (input) =>
  Promise.resolve({ content: [{ type: 'text', text: readFile(input) }] }),
);
const options = {
  model: 'opus',
  mcpServers: { files: createSdkMcpServer({ name: 'files', tools: [readTool], alwaysLoad: true }) },
  allowedTools: ['mcp__files__read_file'],
};
for await (const message of query({ prompt, options })) {
  if (message.type === 'result') console.log(message.result ?? message.errors);
}
