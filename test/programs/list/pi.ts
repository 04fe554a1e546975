import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../program.ts';

/** One of the APIs that pi speaks, and the end of its base URL. */
function pi(name: string, api: string, suffix: string): Program {
  const settings = (url: string, key: string): object => ({
    providers: {
      relay: { baseUrl: `${url}${suffix}`, apiKey: key, api, models: [{ id: 'opus', reasoning: true }] },
    },
  });
  return {
    name,
    title: `pi, \`${api}\``,
    packages: ['@mariozechner/pi-coding-agent@0.73.1'],
    setUp: ['// ~/.pi/agent/models.json', JSON.stringify(settings('URL', 'KEY'))],
    tool: { name: /^read$/, input: (file) => ({ path: file }) },
    ask: ({ prompt, url, key, home, run }) => {
      const folder = join(home, '.pi/agent');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'models.json'), JSON.stringify(settings(url, key)));
      const options = ['--offline', '--provider', 'relay', '--model', 'opus', '--thinking', 'high'];
      return run('pi', [...options, '-p', prompt], { PI_TELEMETRY: '0' });
    },
  };
}

export const pis: readonly Program[] = [
  pi('pi-anthropic', 'anthropic-messages', ''),
  pi('pi-chat', 'openai-completions', '/v1'),
  pi('pi-responses', 'openai-responses', '/v1'),
];
