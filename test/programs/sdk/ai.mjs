import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { check, key, mode, prompt, readFile, toolText, url } from './files.mjs';

const options = { baseURL: `${url}/v1`, apiKey: key };
const models = {
  responses: () => createOpenAI(options)('opus'),
  chat: () => createOpenAI(options).chat('opus'),
  anthropic: () => createAnthropic(options)('opus'),
  'open-responses': () =>
    createOpenResponses({ name: 'relay', url: `${url}/v1/responses`, apiKey: key })('opus'),
};
const tools = {
  read_file: tool({ description: toolText, inputSchema: z.object({ path: z.string() }), execute: readFile }),
};
const call = { model: models[mode](), prompt, tools, stopWhen: isStepCount(5) };
console.log(check === 'stream' ? await streamText(call).text : (await generateText(call)).text);
