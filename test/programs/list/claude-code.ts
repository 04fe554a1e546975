import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../../support/relay.ts';
import { answerText } from '../script.ts';
import type { Program, Use } from '../program.ts';

const setUp = ['export ANTHROPIC_BASE_URL=URL', 'export ANTHROPIC_AUTH_TOKEN=KEY'];
const tool: Program['tool'] = { name: /^Read$/, input: (file) => ({ file_path: file }) };

const packages = ['@anthropic-ai/claude-code@2.1.332'];
const scripts = ['@anthropic-ai/claude-code'];
/** It asks whether the host is there. */
const refused = /^404 HEAD \/api\/hello$/;

function environment({ url, key }: Use): Record<string, string> {
  return { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: key, DISABLE_AUTOUPDATER: '1' };
}

export const claudeCode: readonly Program[] = [
  {
    name: 'claude-code',
    title: 'Claude Code, `claude -p`',
    packages,
    scripts,
    setUp,
    tool,
    refused,
    ask: (use) =>
      use.run('claude', ['-p', use.prompt, '--model', 'opus', '--allowedTools', 'Read'], environment(use)),
  },
  {
    name: 'claude-code-interactive',
    title: 'Claude Code, interactive',
    packages,
    scripts,
    setUp,
    tool,
    // It asks for a title, too.
    tries: 2,
    refused,
    ask: askInTerminal,
  },
];

/** Answers the questions of a first start before they are asked, types the prompt and reads the screen until the turn is over. */
async function askInTerminal(use: Use): Promise<string> {
  const { home, directory, installed, prompt, check } = use;
  const settings = {
    hasCompletedOnboarding: true,
    projects: { [directory]: { hasTrustDialogAccepted: true } },
  };
  writeFileSync(join(home, '.claude.json'), JSON.stringify(settings));
  const tmux = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)('tmux', ['-S', join(home, 'tmux'), ...args]);
    return stdout;
  };
  const shows = async (text: string | RegExp): Promise<string> => {
    let screen = '';
    await eventually(`the screen shows ${String(text)}`, async () => {
      screen = await tmux('capture-pane', '-p');
      return screen.search(text) >= 0;
    });
    return screen;
  };
  const variables = Object.entries({ HOME: home, ...environment(use) }).flatMap(([name, value]) => [
    '-e',
    `${name}=${value}`,
  ]);
  const program = join(installed, 'node_modules/.bin/claude');
  await tmux(
    '-f',
    '/dev/null',
    'new-session',
    '-d',
    '-x',
    '120',
    '-y',
    '50',
    '-c',
    directory,
    ...variables,
    program,
    '--model',
    'opus',
  );
  try {
    await shows('for agents');
    await tmux('send-keys', '-l', prompt);
    await shows(prompt);
    await tmux('send-keys', 'Enter');
    return await shows(check === 'key' ? /\/login/ : answerText);
  } finally {
    await tmux('kill-server');
  }
}
