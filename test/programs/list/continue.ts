import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../program.ts';

function continueWith(provider: string, suffix: string): Program {
  const settings = (url: string, key: string): string =>
    `{ name: relay, version: 1.0.0, schema: v1, models: [{ name: opus, provider: ${provider}, model: opus, apiBase: "${url}${suffix}", apiKey: ${key} }] }`;
  return {
    name: `continue-${provider}`,
    title: `Continue CLI, \`${provider}\``,
    packages: ['@continuedev/cli@1.5.47'],
    setUp: ['# config.yaml', settings('URL', 'KEY')],
    tool: { name: /^Read$/, input: (file) => ({ filepath: file }) },
    ask: ({ prompt, url, key, home, run }) => {
      const file = join(home, 'config.yaml');
      writeFileSync(file, settings(url, key));
      return run('cn', ['-p', '--auto', '--config', file, prompt], { CONTINUE_TELEMETRY_ENABLED: '0' });
    },
  };
}

export const continues: readonly Program[] = [
  continueWith('anthropic', '/v1/'),
  continueWith('openai', '/v1'),
];
