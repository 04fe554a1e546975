import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../program.ts';

const scripts = join(import.meta.dirname, '../sdk');
const tool: NonNullable<Program['tool']> = { name: /(^|__)read_file$/, input: (file) => ({ path: file }) };

/** Runs a script of `../sdk` next to the packages that it imports. */
function script(file: string, mode = ''): Program['ask'] {
  return ({ prompt, check, url, key, installed, run }) => {
    for (const each of ['files.mjs', file]) copyFileSync(join(scripts, each), join(installed, each));
    return run('node', [join(installed, file)], {
      RELAY_URL: url,
      RELAY_KEY: key,
      PROMPT: prompt,
      CHECK: check,
      MODE: mode,
      // For the Agent SDK.
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_AUTH_TOKEN: key,
    });
  };
}

const ai = [
  'ai@7.0.173',
  '@ai-sdk/openai@4.0.118',
  '@ai-sdk/anthropic@4.0.105',
  '@ai-sdk/open-responses@2.0.36',
  'zod@4.6.7',
];
function aiSdk(mode: string, title: string, ...setUp: string[]): Program {
  return {
    name: `ai-sdk-${mode}`,
    title: `Vercel AI SDK, ${title}`,
    packages: ai,
    setUp,
    tool,
    ask: script('ai.mjs', mode),
  };
}

const agents = ['@openai/agents@0.20.0', 'openai@7.57.0', 'zod@4.6.7'];
function agentsSdk(mode: string, title: string, ...setUp: string[]): Program {
  return {
    name: `agents-sdk-${mode}`,
    title: `OpenAI Agents SDK, ${title}`,
    packages: agents,
    setUp,
    tool,
    ask: script('agents.mjs', mode),
  };
}

const chain = [
  'langchain@1.5.14',
  '@langchain/core@1.4.0',
  '@langchain/openai@1.6.0',
  '@langchain/anthropic@1.5.11',
  'zod@4.6.7',
];
function langChain(mode: string, title: string, ...setUp: string[]): Program {
  return {
    name: `langchain-${mode}`,
    title: `LangChain, ${title}`,
    packages: chain,
    setUp,
    tool,
    ask: script('langchain.mjs', mode),
  };
}

export const sdks: readonly Program[] = [
  {
    name: 'claude-agent-sdk',
    title: 'Claude Agent SDK',
    packages: ['@anthropic-ai/claude-agent-sdk@0.3.332'],
    setUp: ['export ANTHROPIC_BASE_URL=URL', 'export ANTHROPIC_AUTH_TOKEN=KEY'],
    tool,
    // It asks for a title, too.
    tries: 2,
    refused: /^404 HEAD \/api\/hello$/,
    ask: script('claude-agent.mjs'),
  },
  aiSdk(
    'responses',
    '`openai()`',
    "const openai = createOpenAI({ baseURL: 'URL/v1', apiKey: 'KEY' });",
    "openai('opus')",
  ),
  aiSdk(
    'chat',
    '`openai.chat()`',
    "const openai = createOpenAI({ baseURL: 'URL/v1', apiKey: 'KEY' });",
    "openai.chat('opus')",
  ),
  aiSdk(
    'anthropic',
    '`anthropic()`',
    "const anthropic = createAnthropic({ baseURL: 'URL/v1', apiKey: 'KEY' });",
    "anthropic('opus')",
  ),
  aiSdk(
    'open-responses',
    'Open Responses',
    "const relay = createOpenResponses({ name: 'relay', url: 'URL/v1/responses', apiKey: 'KEY' });",
    "relay('opus')",
  ),
  agentsSdk(
    'responses',
    'as it comes',
    "setDefaultOpenAIClient(new OpenAI({ baseURL: 'URL/v1', apiKey: 'KEY' }));",
    'setTracingDisabled(true);',
  ),
  agentsSdk(
    'chat',
    'chat completions',
    "setDefaultOpenAIClient(new OpenAI({ baseURL: 'URL/v1', apiKey: 'KEY' }));",
    "setOpenAIAPI('chat_completions');",
  ),
  langChain(
    'anthropic',
    '`ChatAnthropic`',
    "new ChatAnthropic({ model: 'opus', apiKey: 'KEY', anthropicApiUrl: 'URL' })",
  ),
  langChain(
    'chat',
    '`ChatOpenAI`',
    "new ChatOpenAI({ model: 'opus', apiKey: 'KEY', configuration: { baseURL: 'URL/v1' } })",
  ),
  langChain(
    'responses',
    '`ChatOpenAI` with `useResponsesApi`',
    "new ChatOpenAI({ model: 'opus', apiKey: 'KEY', useResponsesApi: true, configuration: { baseURL: 'URL/v1' } })",
  ),
  {
    name: 'ollama',
    title: 'ollama-js',
    packages: ['ollama@0.6.4'],
    setUp: [
      'claude-relay key set NAME --ollama-port 11434',
      "new Ollama({ host: 'http://127.0.0.1:11434' })",
    ],
    tool,
    ollama: true,
    ask: script('ollama.mjs'),
  },
];
