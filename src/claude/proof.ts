/**
 * The proof: the installed CLI, in the host's real configuration but with a dummy login, is run under the lock against a
 * stand-in for the model, with a canary. What the model would have been sent, and what was left on the host, tells whether the
 * lock holds on this build. There is no way to serve without it.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Conversation } from '../conversation.ts';
import type { Reply } from '../standin/reply.ts';
import { canaryPrompts, createCanary, type Canary } from './canary.ts';
import { canaryConversation } from './canary-conversation.ts';
import { runCanary, type CanaryRun } from './canary-run.ts';
import type { HostEnv } from './lock.ts';
import { addedBytes, addedTexts, checkEvidence, type AddedText, type ProofCheck } from './proof-checks.ts';
import { turnLines } from './turn-lines.ts';

export type { ProofCheck } from './proof-checks.ts';

export type Proof = {
  /** Every check is ok. */
  proved: boolean;
  cliVersion: string | undefined;
  /** ISO 8601. */
  provedAt: string;
  durationMs: number;
  checks: readonly ProofCheck[];
  /** What the CLI adds to every request: the bytes of its body without prompt and system prompt. */
  addedBytes: number;
  /** Those of them that are text for the model. */
  addedTexts: readonly AddedText[];
};

export type ProofOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  /** Ends the proof early; it is then not proved. */
  signal?: AbortSignal;
  /** For each of two runs that happen at the same time. */
  timeoutMs?: number;
};

type Outcome = Pick<Proof, 'checks' | 'cliVersion' | 'addedBytes' | 'addedTexts'>;

/** Never throws: what fails is a check that is not ok. Takes one to two seconds, and a little more than `timeoutMs` at most. */
export async function proveLock(options: ProofOptions): Promise<Proof> {
  const startedAt = performance.now();
  const provedAt = new Date().toISOString();
  let outcome: Outcome;
  try {
    outcome = await withCanary(options);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    outcome = {
      checks: [{ name: 'runs', ok: false, detail }],
      cliVersion: undefined,
      addedBytes: 0,
      addedTexts: [],
    };
  }
  const durationMs = Math.round(performance.now() - startedAt);
  return { proved: outcome.checks.every((check) => check.ok), provedAt, durationMs, ...outcome };
}

async function withCanary(options: ProofOptions): Promise<Outcome> {
  const canary = createCanary();
  try {
    const conversation = canaryConversation(canary, randomBytes(6).toString('hex'));
    const [tools, bare] = await runBoth(options, canary, conversation);
    const { toolUses, markers } = canary;
    return {
      checks: checkEvidence({
        tools,
        bare,
        conversation,
        toolUses,
        markers,
        traces: canary.traces(),
        hostLines: hostInstructionLines(options.hostEnv),
      }),
      cliVersion: (tools.init ?? bare.init)?.claude_code_version,
      addedBytes: addedBytes(tools),
      addedTexts: addedTexts(tools),
    };
  } finally {
    canary.remove();
  }
}

function runBoth(
  options: ProofOptions,
  canary: Canary,
  conversation: Conversation,
): Promise<[CanaryRun, CanaryRun]> {
  const id = randomBytes(6).toString('hex');
  const prompts = canaryPrompts(canary, id);
  const common = {
    claudeBin: options.claudeBin,
    hostEnv: options.hostEnv,
    plant: canary.plant,
    timeoutMs: options.timeoutMs ?? 15_000,
    signal: options.signal,
  };
  const done: Reply = { kind: 'text', text: 'done' };
  const askForTools: Reply = {
    kind: 'blocks',
    blocks: canary.toolUses.map((use) => ({ type: 'tool_use', ...use })),
  };
  return Promise.all([
    runCanary({
      ...common,
      system: `You are a canary (${id}).\n\tAnswer "done" \\ סוף 🐤`,
      prompt: prompts.command,
      reply: (_request, index) => (index === 0 ? askForTools : done),
    }),
    runCanary({
      ...common,
      system: '',
      prompt: prompts.mention,
      further: turnLines(conversation),
      reply: (_request, index) => (index === 1 ? askForTools : done),
    }),
  ]);
}

const maxInstructionBytes = 256 * 1024;
/** Shorter lines ("# Notes") could be in any text. */
const minLineCharacters = 24;

/** Lines of the instruction files that the host's own sessions would be given, to look for them in what the model would be sent. */
function hostInstructionLines(host: HostEnv): string[] {
  const home = host['HOME'] ?? homedir();
  const config = host['CLAUDE_CONFIG_DIR'] ?? join(home, '.claude');
  const files = [
    join(config, 'CLAUDE.md'),
    join(config, 'AGENTS.md'),
    join(home, 'CLAUDE.md'),
    join(home, 'CLAUDE.local.md'),
    join(home, 'AGENTS.md'),
    '/etc/claude-code/CLAUDE.md',
    '/Library/Application Support/ClaudeCode/CLAUDE.md',
  ];
  return files
    .flatMap((file) => readStart(file).split('\n'))
    .map((line) => line.trim())
    .filter((line) => line.length >= minLineCharacters);
}

function readStart(file: string): string {
  try {
    const handle = openSync(file, 'r');
    try {
      const buffer = Buffer.alloc(maxInstructionBytes);
      return buffer.toString('utf8', 0, readSync(handle, buffer));
    } finally {
      closeSync(handle);
    }
  } catch {
    return '';
  }
}
