/**
 * The proof: the installed CLI, in the host's real configuration but with a dummy login of each kind, runs under the lock against a
 * stand-in for the model, with a canary. What the model would have been sent, and what was left on the host, shows whether the
 * lock holds on this build. There is no way to serve without it.
 */
import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Conversation } from '../../conversation.ts';
import { canaryPrompts, createCanary, type Canary } from './canary.ts';
import { canaryConversation } from './canary-conversation.ts';
import { configDirectory, createPerson, makeCanaryHome, type CanaryPerson } from './canary-home.ts';
import { runCanary, type CanaryRun } from './canary-run.ts';
import { readStart } from '../cli.ts';
import type { DummyLogin, HostEnv } from '../lock.ts';
import { checkSeal } from '../seal/checks.ts';
import { unsealed, type Seal } from '../seal/seal.ts';
import { addedBytes, addedTexts, checkEvidence, isHotCheck, type ProofCheck } from './checks.ts';

export type Proof = {
  /** Every check of the lock is ok. */
  proved: boolean;
  /** Why a process must not serve a second request, as a sentence. */
  hotProblem: string | undefined;
  cliVersion: string | undefined;
  /** ISO 8601. */
  provedAt: string;
  durationMs: number;
  checks: readonly ProofCheck[];
  /** What the CLI adds to a request: the bytes of its body without messages and system prompt. */
  addedBytes: number;
  /** The lengths, in characters, of the texts that the CLI adds to the system prompt. */
  addedTexts: readonly number[];
};

export type ProofOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  /** The one of real requests; none by default. */
  seal?: Seal;
  /** Ends the proof early; it is then not proved. */
  signal?: AbortSignal | undefined;
  /** For each of the runs, which happen at the same time. */
  timeoutMs?: number;
};

type Outcome = Pick<Proof, 'checks' | 'cliVersion' | 'addedBytes' | 'addedTexts'>;

/** Never rejects: a failure is a check that is not ok. Takes one to two seconds, and a little more than `timeoutMs` at most. */
export async function proveLock(options: ProofOptions): Promise<Proof> {
  const startedAt = performance.now();
  const provedAt = new Date().toISOString();
  const outcome = await withCanary(options).catch((error: unknown): Outcome => {
    const detail = error instanceof Error ? error.message : String(error);
    const checks = [{ name: 'runs', ok: false, detail }];
    return { checks, cliVersion: undefined, addedBytes: 0, addedTexts: [] };
  });
  const durationMs = Math.round(performance.now() - startedAt);
  const failed = outcome.checks.filter((check) => !check.ok);
  const hot = failed.filter(isHotCheck).map(({ name }) => name);
  return {
    proved: hot.length === failed.length,
    hotProblem:
      hot.length === 0
        ? undefined
        : `this Claude Code can serve one request a process only: ${hot.join(', ')}`,
    provedAt,
    durationMs,
    ...outcome,
  };
}

async function withCanary(options: ProofOptions): Promise<Outcome> {
  const canary = createCanary();
  try {
    const person = createPerson();
    const { seal = unsealed, hostEnv, signal } = options;
    const [{ runs, failing }, sealed] = await Promise.all([
      runAll(options, canary, person),
      checkSeal(seal, hostEnv, signal),
    ]);
    const evidence = { ...canary, runs, failing, person, traces: canary.traces() };
    return {
      checks: [...checkEvidence({ ...evidence, hostLines: hostInstructionLines(hostEnv) }), ...sealed],
      cliVersion: runs.find((run) => run.init !== undefined)?.init?.claude_code_version,
      addedBytes: Math.max(...runs.map(addedBytes)),
      addedTexts: runs.map(addedTexts)[0] ?? [],
    };
  } finally {
    canary.remove();
  }
}

/** At the same time: a run for each kind of login, and one in which the model fails. */
async function runAll(options: ProofOptions, canary: Canary, person: CanaryPerson) {
  const id = randomBytes(6).toString('hex');
  const prompts = canaryPrompts(canary, id);
  const system = [`You are a canary (${id}).\n\tAnswer "done" \\ סוף 🐤`];
  const conversation = canaryConversation(canary, id);
  const { claudeBin, hostEnv, seal = unsealed, signal, timeoutMs = 30_000 } = options;
  /** The host's environment, but of another person: a configuration directory and a user's name of the canary's. */
  const anothers = (login: DummyLogin): HostEnv => {
    const directory = join(canary.directory, login);
    makeCanaryHome(directory, hostEnv, person, login);
    return { ...hostEnv, CLAUDE_CONFIG_DIR: directory, USER: person.user, LOGNAME: person.user };
  };
  const run = (
    login: DummyLogin,
    env: HostEnv,
    asked: CanaryRun['asked'],
    overloaded = false,
  ): Promise<CanaryRun> =>
    runCanary({ ...canary, claudeBin, hostEnv: env, seal, login, asked, overloaded, timeoutMs, signal });
  const [failing, ...runs] = await Promise.all([
    run('api-key', hostEnv, [ask([], id)], true),
    // The host's configuration as it is, with the one kind of login that takes nothing out of it.
    run('api-key', hostEnv, [ask(system, prompts.command)]),
    // Each kind of conversation is a first one; the later ones show what is left of it.
    run('stored-login', anothers('stored-login'), [ask([], prompts.mention), conversation, ask([], id)]),
    run('setup-token', anothers('setup-token'), [
      { ...conversation, system },
      ask(system, prompts.mention),
      ask(system, prompts.command),
    ]),
  ]);
  return { failing, runs };
}

function ask(system: readonly string[], prompt: string): Conversation {
  return { system, messages: [{ role: 'user', content: [{ type: 'text', text: prompt }] }] };
}

const maxInstructionBytes = 256 * 1024;
/** Shorter lines ("# Notes") could be in any text. */
const minLineCharacters = 24;

/** Lines of the instruction files that the host's own sessions would be given, to look for them in what the model would be sent. */
function hostInstructionLines(host: HostEnv): string[] {
  const home = host['HOME'] ?? homedir();
  const config = configDirectory(host);
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
    .flatMap((file) => readStart(file, maxInstructionBytes).split('\n'))
    .map((line) => line.trim())
    .filter((line) => line.length >= minLineCharacters);
}
