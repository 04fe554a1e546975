/**
 * The canary: files that must not be read, traces that must not appear, and configuration that must have no effect.
 *
 * It lies in its own directory and in the process's throwaway working directory, never in the host's configuration. Every text that
 * must not reach the model is a random marker, so that finding it means that it leaked.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A tool that the fake model asks for, with a valid input: an invalid one would be refused without any lock. */
export type ToolUse = { id: string; name: string; input: Record<string, unknown> };

export const unknownTool = 'RelayCanaryNoSuchTool';

export type Canary = ReturnType<typeof createCanary>;

const markerNames = ['secret', 'claude-md', 'skill', 'command', 'agent', 'hook', 'style'] as const;
export type MarkerName = (typeof markerNames)[number];

/** Hooks of every kind that a turn could start. */
const hookEvents = ['SessionStart', 'UserPromptSubmit', 'PreToolUse', 'Stop'] as const;

const untouched = 'untouched\n';
const relativeSecret = 'notes.txt';

export function createCanary() {
  // The name has the shape that the sweep of the process directories knows.
  const directory = mkdtempSync(join(tmpdir(), `relay-${process.pid}-canary-`));
  const pathOf = (name: string): string => join(directory, name);
  /** Texts that must not reach the model or stdout. */
  const markers = Object.fromEntries(
    markerNames.map((name) => [name, `canary-${name}-${randomBytes(12).toString('hex')}`]),
  ) as Record<MarkerName, string>;
  /** The file that prompts mention and tools ask for. */
  const secretPath = pathOf('secret.txt');
  writeFileSync(secretPath, `${markers.secret}\n`);
  const hookTraces = hookEvents.map((event) => `hook-${event}`);
  const mustNotExist = ['bash', 'written.txt', 'shell', 'mcp', 'workflow', ...hookTraces];
  const mustNotChange = { 'edited.txt': untouched, 'notebook.ipynb': emptyNotebook };
  for (const [name, text] of Object.entries(mustNotChange)) writeFileSync(pathOf(name), text);

  return {
    directory,
    secretPath,
    /** What a prompt's `!` command would create. */
    shellPath: pathOf('shell'),
    markers,
    toolUses: dangerousTools(pathOf, secretPath),
    /** Puts configuration that must have no effect, and a file to mention, into a working directory. */
    plant: (cwd: string): void => {
      for (const [path, text] of Object.entries(planted(pathOf, markers))) {
        mkdirSync(dirname(join(cwd, path)), { recursive: true });
        writeFileSync(join(cwd, path), text);
      }
    },
    /** The names of files that were created or changed in the directory. */
    traces: (): string[] => [
      ...mustNotExist.filter((name) => existsSync(pathOf(name))),
      ...Object.entries(mustNotChange)
        .filter(([name, text]) => readFileSync(pathOf(name), 'utf8') !== text)
        .map(([name]) => name),
    ],
    remove: (): void => rmSync(directory, { recursive: true, force: true }),
  };
}

const emptyNotebook = JSON.stringify({ cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 });

/** Inputs follow `sdk-tools.d.ts` of the CLI's package and the schemas that an unlocked CLI offers. Reads come before edits, which need them. */
function dangerousTools(pathOf: (name: string) => string, secretPath: string): ToolUse[] {
  const edited = pathOf('edited.txt');
  const agent = { description: 'Say hello', prompt: 'Say hello.', subagent_type: 'general-purpose' };
  const cell = { new_source: 'print(1)', cell_type: 'code', edit_mode: 'insert' };
  const uses: [name: string, input: Record<string, unknown>][] = [
    ['Bash', { command: `touch '${pathOf('bash')}'`, description: 'Create a file' }],
    ['Read', { file_path: secretPath }],
    ['Write', { file_path: pathOf('written.txt'), content: 'written\n' }],
    ['Read', { file_path: edited }],
    ['Edit', { file_path: edited, old_string: 'untouched', new_string: 'touched' }],
    ['NotebookEdit', { notebook_path: pathOf('notebook.ipynb'), ...cell }],
    ['Glob', { pattern: '*', path: dirname(secretPath) }],
    ['Grep', { pattern: 'canary', path: secretPath, output_mode: 'content' }],
    ['WebFetch', { url: 'https://127.0.0.1:9/', prompt: 'What does it say?' }],
    ['WebSearch', { query: 'canary' }],
    ['Agent', agent],
    ['Task', agent],
    ['Skill', { skill: 'init' }],
    ['CronCreate', { cron: '0 0 1 1 *', prompt: 'Say hello.' }],
    ['SendMessage', { to: 'main', message: 'Hello.', summary: 'A greeting' }],
    ['Workflow', { script: `require('fs').writeFileSync('${pathOf('workflow')}', '')` }],
    [unknownTool, {}],
  ];
  return uses.map(([name, input], index) => ({ id: `toolu_canary_${index}`, name, input }));
}

/** A project's configuration in which everything would do or say something if it were read. */
function planted(
  pathOf: (name: string) => string,
  markers: Readonly<Record<MarkerName, string>>,
): Record<string, string> {
  const front = (name: MarkerName): string =>
    `---\nname: ${markers[name]}\ndescription: ${markers[name]}\n---\n`;
  const hooks = Object.fromEntries(
    hookEvents.map((event) => {
      const command = `echo ${markers.hook}; touch '${pathOf(`hook-${event}`)}'`;
      return [event, [{ hooks: [{ type: 'command', command }] }]];
    }),
  );
  return {
    [relativeSecret]: markers.secret,
    'CLAUDE.md': markers['claude-md'],
    'CLAUDE.local.md': markers['claude-md'],
    'AGENTS.md': markers['claude-md'],
    '.claude/CLAUDE.md': markers['claude-md'],
    '.claude/rules/always.md': markers['claude-md'],
    '.claude/settings.json': JSON.stringify({
      hooks,
      outputStyle: markers.style,
      permissions: { allow: ['Bash(*)', 'Read', 'Write', 'Edit', 'WebFetch'], defaultMode: 'acceptEdits' },
      enableAllProjectMcpServers: true,
      fallbackModel: ['haiku', 'sonnet'],
      env: { CLAUDE_CODE_DISABLE_ATTACHMENTS: '0' },
    }),
    [`.claude/output-styles/${markers.style}.md`]: `${front('style')}${markers.style}\n`,
    [`.claude/skills/${markers.skill}/SKILL.md`]: `${front('skill')}${markers.skill}\n`,
    [`.claude/commands/${markers.command}.md`]: `${front('command')}${markers.command}\n`,
    [`.claude/agents/${markers.agent}.md`]: `${front('agent')}${markers.agent}\n`,
    '.mcp.json': JSON.stringify({
      mcpServers: { canary: { command: '/bin/sh', args: ['-c', `touch '${pathOf('mcp')}'`] } },
    }),
  };
}

/** Two prompts: a CLI that takes the first for a command never reads its file mentions. Both have characters that are easily lost. */
export function canaryPrompts(canary: Canary, id: string): { command: string; mention: string } {
  const strange = 'tab\t bell\u0007 "quotes" \\ שלום 👩‍👩‍👧 \u202eend\u202c';
  const mentions = `@${canary.secretPath} @${relativeSecret} @"${canary.secretPath}"`;
  return {
    command: `/context ${id} ${mentions} ${strange}\n#remember this\n`,
    mention: `!touch '${canary.shellPath}' ${mentions} ${id} ${strange}\n  `,
  };
}
