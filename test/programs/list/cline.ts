import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../program.ts';

/** `auth` takes a base URL for the OpenAI providers; the file has one for each. */
function cline(provider: string, title: string, model: string): Program {
  const settings = (url: string, key: string): object => ({
    version: 1,
    lastUsedProvider: provider,
    providers: {
      [provider]: {
        settings: { provider, apiKey: key, model, baseUrl: `${url}/v1` },
        updatedAt: '2026-01-01T00:00:00.000Z',
        tokenSource: 'manual',
      },
    },
  });
  return {
    name: `cline-${provider}`,
    title: `Cline CLI, ${title}`,
    packages: ['cline@3.0.65'],
    setUp: ['// ~/.cline/data/settings/providers.json', JSON.stringify(settings('URL', 'KEY'))],
    tool: { name: /^read_files$/, input: (file) => ({ files: [{ path: file }] }) },
    ask: ({ prompt, url, key, home, run }) => {
      const folder = join(home, '.cline/data/settings');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'providers.json'), JSON.stringify(settings(url, key)));
      return run('cline', ['-P', provider, '-m', model, prompt], { CLINE_TELEMETRY_DISABLED: '1' });
    },
  };
}

export const clines: readonly Program[] = [
  cline('anthropic', 'Anthropic', 'claude-sonnet-4-5'),
  cline('openai-compatible', 'OpenAI-compatible', 'opus'),
  cline('openai-native', 'OpenAI', 'opus'),
];
