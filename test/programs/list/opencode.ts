import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../program.ts';

/** A provider of opencode.json: its npm package, and the name of its model. */
function opencode(name: string, title: string, provider: string, npm: string, model: string): Program {
  const settings = (url: string, key: string): object => ({
    model: `${provider}/${model}`,
    small_model: `${provider}/${model}`,
    provider: {
      [provider]: { npm, options: { baseURL: `${url}/v1`, apiKey: key }, models: { [model]: {} } },
    },
  });
  return {
    name,
    title,
    packages: ['opencode-ai@1.18.33'],
    scripts: ['opencode-ai'],
    setUp: ['// opencode.json', JSON.stringify(settings('URL', 'KEY'))],
    tool: { name: /^read$/, input: (file) => ({ filePath: file }) },
    // It asks for a title in a second request.
    tries: 2,
    ask: ({ prompt, url, key, directory, run }) => {
      writeFileSync(
        join(directory, 'opencode.json'),
        JSON.stringify({ ...settings(url, key), autoupdate: false, share: 'disabled' }),
      );
      return run('opencode', ['run', prompt], {
        OPENCODE_DISABLE_MODELS_FETCH: '1',
        OPENCODE_DISABLE_AUTOUPDATE: '1',
      });
    },
  };
}

export const opencodes: readonly Program[] = [
  opencode(
    'opencode-anthropic',
    'opencode, Anthropic',
    'anthropic',
    '@ai-sdk/anthropic',
    'claude-sonnet-4-5',
  ),
  opencode('opencode-openai', 'opencode, OpenAI', 'openai', '@ai-sdk/openai', 'opus'),
  opencode(
    'opencode-compatible',
    'opencode, OpenAI-compatible',
    'relay',
    '@ai-sdk/openai-compatible',
    'claude-sonnet-4-5',
  ),
];
