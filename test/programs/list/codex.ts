import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../program.ts';

const packages = ['@openai/codex@0.171.0'];
const tool: Program['tool'] = { name: /^exec_command$/, input: (file) => ({ cmd: `cat ${file}` }) };
/** Codex repeats a refused request five times, whatever the answer says. */
const tries = 6;
const options = [
  'exec',
  '--skip-git-repo-check',
  '--dangerously-bypass-approvals-and-sandbox',
  '--model',
  'opus',
];

/** The key is in the variable. */
function settings(url: string, variable: string): string[] {
  return [
    'model_provider = "relay"',
    `model_providers.relay = { name = "claude-relay", base_url = "${url}/v1", env_key = "${variable}", wire_api = "responses" }`,
  ];
}

export const codex: readonly Program[] = [
  {
    name: 'codex',
    title: 'Codex, with a provider',
    packages,
    setUp: ['# ~/.codex/config.toml', ...settings('URL', 'CLAUDE_RELAY_KEY')],
    tool,
    tries,
    ask: ({ prompt, url, key, home, run }) => {
      mkdirSync(join(home, '.codex'));
      writeFileSync(join(home, '.codex/config.toml'), settings(url, 'CLAUDE_RELAY_KEY').join('\n'));
      return run('codex', [...options, prompt], { CLAUDE_RELAY_KEY: key });
    },
  },
  {
    name: 'codex-openai',
    title: 'Codex, with its OpenAI provider',
    packages,
    setUp: ['export CODEX_API_KEY=KEY', 'codex -c openai_base_url="URL/v1" --model opus'],
    tool,
    tries,
    // It tries a WebSocket first.
    refused: /^426 GET/,
    ask: ({ prompt, url, key, run }) =>
      run('codex', [...options, '-c', `openai_base_url="${url}/v1"`, prompt], { CODEX_API_KEY: key }),
  },
];
