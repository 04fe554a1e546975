/** Asks for an answer by a schema: `instructor.mjs DIRECTORY MODE STREAM PROMPT`, with OPENAI_BASE_URL and OPENAI_API_KEY. */
import { createRequire } from 'node:module';
import process from 'node:process';

const [directory, mode, stream, prompt] = process.argv.slice(2);
const load = createRequire(`${directory}/package.json`);
const { default: Instructor } = load('@instructor-ai/instructor');
const { default: OpenAI } = load('openai');
const { z } = load('zod');

const request = {
  model: 'opus',
  messages: [{ role: 'user', content: prompt }],
  response_model: { schema: z.object({ answer: z.string() }), name: 'Answer' },
};
const { completions } = Instructor({ client: new OpenAI(), mode }).chat;
if (stream === 'stream') {
  let last;
  for await (const part of await completions.create({ ...request, stream: true })) last = part;
  console.log(last.answer);
} else {
  console.log((await completions.create(request)).answer);
}
