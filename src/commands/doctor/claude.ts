/** The doctor's lines about Claude Code: its path, its login, the proof of the lock, and what it adds to a request. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { configDirectory } from '../../claude/proof/canary-home.ts';
import { CliMissing, findCli, isScript, loginStatus, type Login } from '../../claude/cli.ts';
import { isHotCheck } from '../../claude/proof/checks.ts';
import { fallbackHost } from '../../claude/lock.ts';
import { chooseSeal } from '../../claude/seal/seal.ts';
import { proveLock, type Proof } from '../../claude/proof/proof.ts';
import type { Config } from '../../config.ts';
import { documentAt, relayCommand } from '../../installation.ts';
import { dayMs, iso } from '../../time.ts';
import { secondLoginLine } from './fallback.ts';
import { failure, ok, warning, type Line } from './line.ts';
import { partsOf, sealLines } from './seal.ts';
import { requireScratch } from '../scratch.ts';

/** The newest version that this project tests: the version to go back to when a newer one fails. */
const testedVersion = '2.1.332';

export async function* claudeLines(config: Config, signal?: AbortSignal): AsyncGenerator<Line> {
  let claudeBin: string;
  try {
    claudeBin = findCli(config.claudeBin, config.hostEnv);
  } catch (error) {
    if (!(error instanceof CliMissing)) throw error;
    yield failure('claude', error.message, 'npm install -g @anthropic-ai/claude-code');
    return;
  }
  yield programLine(claudeBin);
  requireScratch();
  const login = await loginStatus(claudeBin, config.hostEnv, signal);
  yield loginLine(login, config.hostEnv, Date.now());
  const second = fallbackHost(config.hostEnv);
  if (second !== undefined) yield secondLoginLine(await loginStatus(claudeBin, second, signal));
  yield* organisationLines(login, config.hostEnv);
  const { hostEnv } = config;
  const mode = config.seal === 'off' ? 'off' : 'auto';
  const seal = await chooseSeal({ mode, claudeBin, hostEnv, signal });
  try {
    yield* sealLines('seal', partsOf(seal), config.seal === 'required' ? failure : warning);
    yield* proofLines(await proveLock({ claudeBin, hostEnv, seal, signal }));
  } finally {
    seal.close();
  }
}

/** A script can start another program after an update, and the relay does not notice that. */
function programLine(claudeBin: string): Line {
  if (!isScript(claudeBin)) return ok('claude', claudeBin);
  const detail = `${claudeBin} is a script: when it starts another version, the relay notices only at the next turn, which fails`;
  return warning('claude', detail, 'set CLAUDE_BIN to the program that the script starts');
}

/** An organisation's settings apply under the lock. The CLI keeps fetched ones in a file. */
function* organisationLines({ plan }: Login, env: Config['hostEnv']): Generator<Line> {
  const isSeat = plan === 'team' || plan === 'enterprise';
  if (!isSeat && !existsSync(join(configDirectory(env), 'remote-settings.json'))) return;
  yield warning(
    'organisation',
    `${isSeat ? `a seat in an organisation's plan (${plan})` : "an organisation's settings have been fetched"}: they apply to each turn, and a hook in them makes the relay not ready until a restart`,
    `read "Seats of an organisation" in ${documentAt('SECURITY.md')}, or use another login: ${relayCommand} login`,
  );
}

/** Describes the login, without a credential, an address or a name. `now` is in milliseconds since 1970. */
export function loginLine(login: Login, env: Config['hostEnv'], now: number): Line {
  const inFix = `claude (and log in), or ${relayCommand} login`;
  if (login.loggedIn === false) return failure('login', 'Claude Code is not logged in', inFix);
  if (login.loggedIn === undefined) {
    return warning('login', 'this Claude Code does not report whether it is logged in', 'claude auth status');
  }
  const credentials = ['CLAUDE_CODE_OAUTH_TOKEN', 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_KEY'].filter(
    (name) => (env[name] ?? '') !== '',
  );
  const method = methodInWords(login, env);
  if (credentials.length > 1) {
    return warning(
      'login',
      `${method}; but ${credentials.join(' and ')} are all set, and versions of Claude Code differ in which one they use`,
      `keep one: remove the others from config.env, or unset ${credentials.at(-1)}`,
    );
  }
  const expiresAt = Date.parse(login.expiresAt ?? '');
  if (expiresAt <= now) return failure('login', `${method}, which has expired`, inFix);
  const detail = Number.isNaN(expiresAt) ? method : `${method}, until ${iso(expiresAt)}`;
  return expiresAt - now < 7 * dayMs ? warning('login', detail, inFix) : ok('login', detail);
}

const methods = new Map([
  ['api_key', 'an API key'],
  ['bedrock', 'Amazon Bedrock, with its own credentials (not checked)'],
  ['vertex', 'Google Vertex AI, with its own credentials (not checked)'],
]);

function methodInWords({ method, plan }: Login, env: Config['hostEnv']): string {
  if (method === 'claude.ai') {
    return `a subscription, by Claude Code's login${plan === undefined ? '' : ` (${plan})`}`;
  }
  if (method !== 'oauth_token') return methods.get(method) ?? method;
  return (env['CLAUDE_CODE_OAUTH_TOKEN'] ?? '') === ''
    ? 'a bearer token (ANTHROPIC_AUTH_TOKEN)'
    : 'a subscription, by a token of claude setup-token (CLAUDE_CODE_OAUTH_TOKEN)';
}

const sealFix = 'report the check that failed; SEAL=off in config.env serves without a seal';

function* proofLines(proof: Proof): Generator<Line> {
  const back = `npm install -g @anthropic-ai/claude-code@${testedVersion} (and report the check that failed)`;
  yield proof.cliVersion === undefined
    ? failure('claude-version', 'not reported', back)
    : ok('claude-version', proof.cliVersion);
  for (const check of proof.checks) {
    const { name, ok: held, detail } = check;
    // Without hot processes every request is still served, after a start.
    const failed = isHotCheck(check) ? warning : failure;
    const fix = name.startsWith('sealed-') ? sealFix : back;
    yield held ? ok(`lock/${name}`, detail) : failed(`lock/${name}`, detail, fix);
  }
  const took = `${proof.checks.length} checks in ${(proof.durationMs / 1000).toFixed(1)} s`;
  const failed = proof.checks.filter((check) => !check.ok && !isHotCheck(check)).length;
  yield proof.proved ? ok('lock-proved', took) : failure('lock-proved', `${took}, ${failed} failed`, back);
  if (proof.addedBytes > 0) {
    const characters = proof.addedTexts.reduce((sum, length) => sum + length, 0);
    yield ok(
      'claude-adds',
      `${proof.addedBytes} bytes to each request, of which ${characters} characters are text in the system prompt; nothing to the messages`,
    );
  }
}
