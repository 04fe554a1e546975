import { Agent, run, setDefaultOpenAIClient, setOpenAIAPI, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { check, key, mode, prompt, readFile, toolText, url } from './files.mjs';

setTracingDisabled(true);
setDefaultOpenAIClient(new OpenAI({ baseURL: `${url}/v1`, apiKey: key }));
if (mode === 'chat') setOpenAIAPI('chat_completions');
const agent = new Agent({
  name: 'Reader',
  model: 'opus',
  tools: [
    tool({
      name: 'read_file',
      description: toolText,
      parameters: z.object({ path: z.string() }),
      execute: readFile,
    }),
  ],
});
if (check === 'stream') {
  const result = await run(agent, prompt, { stream: true });
  for await (const part of result.toTextStream()) process.stdout.write(part);
} else {
  console.log((await run(agent, prompt)).finalOutput);
}
