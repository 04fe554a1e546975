import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Program, Use } from '../program.ts';

const script = fileURLToPath(new URL('n8n.mjs', import.meta.url));
const model = { __rl: true, mode: 'id', value: 'opus' };

/** A server that calls nobody, as its documentation sets one up, and logs errors. */
const environment = {
  N8N_LOG_LEVEL: 'error',
  N8N_ENCRYPTION_KEY: 'relay',
  N8N_DIAGNOSTICS_ENABLED: 'false',
  N8N_VERSION_NOTIFICATIONS_ENABLED: 'false',
  N8N_TEMPLATES_ENABLED: 'false',
  EXTERNAL_FRONTEND_HOOKS_URLS: '',
  N8N_DIAGNOSTICS_CONFIG_FRONTEND: '',
  N8N_DIAGNOSTICS_CONFIG_BACKEND: '',
  N8N_DYNAMIC_BANNERS_ENABLED: 'false',
  N8N_COMMUNITY_PACKAGES_ENABLED: 'false',
  N8N_DISABLED_MODULES: 'mcp-registry',
};

const openAi: Omit<Program, 'name' | 'title' | 'ask'> = {
  packages: ['n8n@2.39.10'],
  scripts: ['sqlite3'],
  setUp: ['# the credential "OpenAI": API Key KEY, Base URL URL/v1'],
  tool: {
    name: /^calculator$/i,
    input: (file) => ({ input: file.endsWith('first.txt') ? '17 * 71' : '19 * 73' }),
    results: ['1207', '1387'],
  },
};
const anthropic: typeof openAi = {
  ...openAi,
  setUp: ['# the credential "Anthropic account": API Key KEY, Base URL URL'],
};

export const n8n: readonly Program[] = [
  {
    ...openAi,
    name: 'n8n-openai-chat-model',
    title: 'n8n, AI Agent with OpenAI Chat Model 1.3',
    ask: (use) => askAgent(use, { type: 'lmChatOpenAi', typeVersion: 1.3, parameters: { model } }),
  },
  {
    ...openAi,
    name: 'n8n-openai-chat-model-chat',
    title: 'n8n, AI Agent with OpenAI Chat Model 1.3, "Use Responses API" off',
    ask: (use) =>
      askAgent(use, {
        type: 'lmChatOpenAi',
        typeVersion: 1.3,
        parameters: { model, responsesApiEnabled: false },
      }),
  },
  {
    ...anthropic,
    name: 'n8n-anthropic-chat-model',
    title: 'n8n, AI Agent with Anthropic Chat Model 1.6',
    ask: (use) => askAgent(use, { type: 'lmChatAnthropic', typeVersion: 1.6, parameters: { model } }),
  },
  {
    ...openAi,
    name: 'n8n-openai-node-1',
    title: 'n8n, OpenAI node 1.8',
    streams: false,
    ask: (use) =>
      ask(use, {
        type: 'openAi',
        typeVersion: 1.8,
        parameters: { modelId: model, messages: { values: [{ content: '={{ $json.chatInput }}' }] } },
      }),
  },
  {
    ...openAi,
    name: 'n8n-openai-node-2',
    title: 'n8n, OpenAI node 2.3',
    streams: false,
    ask: (use) =>
      ask(use, {
        type: 'openAi',
        typeVersion: 2.3,
        parameters: { modelId: model, responses: { values: [{ content: '={{ $json.chatInput }}' }] } },
      }),
  },
];

type Node = { type: string; typeVersion: number; parameters: object };

const credentialOf: Record<string, string> = {
  lmChatOpenAi: 'openAiApi',
  openAi: 'openAiApi',
  lmChatAnthropic: 'anthropicApi',
};

function askAgent(use: Use, chatModel: Node): Promise<string> {
  return ask(use, { type: 'agent', typeVersion: 3.1, parameters: {} }, chatModel);
}

/** A chat whose messages go to `root`, with a calculator. */
async function ask(
  { check, prompt, url, key, directory, run }: Use,
  root: Node,
  chatModel?: Node,
): Promise<string> {
  const chat = {
    type: 'chatTrigger',
    typeVersion: 1.4,
    webhookId: 'relay',
    parameters: {
      public: true,
      mode: 'webhook',
      options: { responseMode: check === 'stream' ? 'streaming' : 'lastNode' },
    },
  };
  const tool = { type: 'toolCalculator', typeVersion: 1, parameters: {} };
  const named = {
    Chat: chat,
    Root: root,
    Calculator: tool,
    ...(chatModel === undefined ? {} : { Model: chatModel }),
  };
  const link = (type: string) => ({ [type]: [[{ node: 'Root', type, index: 0 }]] });
  const workflow = {
    id: 'relay',
    name: 'relay',
    settings: { executionOrder: 'v1' },
    nodes: Object.entries(named).map(([name, { type, ...node }]) => {
      const credential = credentialOf[type];
      return Object.assign(
        { id: name, name, type: `@n8n/n8n-nodes-langchain.${type}`, position: [0, 0] },
        node,
        credential === undefined ? {} : { credentials: { [credential]: { id: credential, name } } },
      );
    }),
    connections: {
      Chat: link('main'),
      Calculator: link('ai_tool'),
      ...(chatModel === undefined ? {} : { Model: link('ai_languageModel') }),
    },
  };
  const credentials = [
    { id: 'openAiApi', name: 'relay', type: 'openAiApi', data: { apiKey: key, url: `${url}/v1` } },
    { id: 'anthropicApi', name: 'relay', type: 'anthropicApi', data: { apiKey: key, url } },
  ];
  const file = (name: string, content: object): string => {
    const path = join(directory, name);
    writeFileSync(path, JSON.stringify(content));
    return path;
  };
  const printed: string[] = [];
  for (const args of [
    ['import:credentials', `--input=${file('credentials.json', credentials)}`],
    ['import:workflow', `--input=${file('workflow.json', workflow)}`],
    ['publish:workflow', `--id=${workflow.id}`],
  ])
    printed.push(await run('n8n', args, environment));
  printed.push(await run('node', [script, '/webhook/relay/chat', prompt], environment));
  return printed.join('');
}
