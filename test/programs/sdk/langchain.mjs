import { ChatAnthropic } from '@langchain/anthropic';
import { ChatOpenAI } from '@langchain/openai';
import { createAgent, tool } from 'langchain';
import { z } from 'zod';
import { check, key, mode, prompt, readFile, toolText, url } from './files.mjs';

const openai = { model: 'opus', apiKey: key, configuration: { baseURL: `${url}/v1` } };
const models = {
  anthropic: () => new ChatAnthropic({ model: 'opus', apiKey: key, anthropicApiUrl: url }),
  chat: () => new ChatOpenAI(openai),
  responses: () => new ChatOpenAI({ ...openai, useResponsesApi: true }),
};
const model = models[mode]();
const tools = [
  tool(readFile, { name: 'read_file', description: toolText, schema: z.object({ path: z.string() }) }),
];
if (check === 'stream') {
  for await (const part of await model.stream(prompt)) process.stdout.write(part.text);
} else {
  const { messages } = await createAgent({ model, tools }).invoke({
    messages: [{ role: 'user', content: prompt }],
  });
  console.log(messages.at(-1).text);
}
