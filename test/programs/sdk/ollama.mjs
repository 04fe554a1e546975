import { Ollama } from 'ollama';
import { check, prompt, readFile, toolText, url } from './files.mjs';

const ollama = new Ollama({ host: url });
const parameters = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };
const tools = [{ type: 'function', function: { name: 'read_file', description: toolText, parameters } }];
const messages = [{ role: 'user', content: prompt }];
if (check === 'stream') {
  for await (const { message } of await ollama.chat({ model: 'opus', messages, stream: true }))
    process.stdout.write(message.content);
} else {
  for (;;) {
    const { message } = await ollama.chat({ model: 'opus', messages, tools });
    messages.push(message);
    if (message.tool_calls === undefined) break;
    for (const { function: called } of message.tool_calls)
      messages.push({ role: 'tool', tool_name: called.name, content: readFile(called.arguments) });
  }
  console.log(messages.at(-1).content);
}
