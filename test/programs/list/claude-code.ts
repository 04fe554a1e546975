import type { Program } from '../program.ts';

const setUp = ['export ANTHROPIC_BASE_URL=URL', 'export ANTHROPIC_AUTH_TOKEN=KEY'];
const tool: Program['tool'] = { name: /^Read$/, input: (file) => ({ file_path: file }) };

export const claudeCode: readonly Program[] = [
  {
    name: 'claude-code',
    title: 'Claude Code, `claude -p`',
    packages: ['@anthropic-ai/claude-code@2.1.332'],
    scripts: ['@anthropic-ai/claude-code'],
    setUp,
    tool,
    refused: /^404 HEAD \/api\/hello$/,
    ask: ({ prompt, url, key, run }) =>
      run('claude', ['-p', prompt, '--model', 'opus', '--allowedTools', 'Read'], {
        ANTHROPIC_BASE_URL: url,
        ANTHROPIC_AUTH_TOKEN: key,
        DISABLE_AUTOUPDATER: '1',
      }),
  },
];
