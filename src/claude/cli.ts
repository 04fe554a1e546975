/** The installed CLI: where it is, whether it is still the same file, and whether it is logged in. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { findProgram, isExecutable } from '../find-program.ts';
import { z } from 'zod';
import { commandBeforeStart, way } from '../installation.ts';
import { lockedEnv, type HostEnv } from './lock.ts';
import { goneWithin, startProcess } from './process.ts';

/** A sentence for the owner: what the CLI lacks and what to do. */
export class CliMissing extends Error {
  override name = 'CliMissing';
}

/**
 * The path of the CLI: `claudeBin` where it is set, otherwise the first `claude` on PATH. Throws CliMissing.
 * The commands of npm projects on PATH are ignored: the relay is for the owner's CLI.
 */
export function findCli(claudeBin: string | undefined, hostEnv: HostEnv): string {
  if (claudeBin !== undefined) {
    if (isExecutable(claudeBin)) return claudeBin;
    throw new CliMissing(`CLAUDE_BIN is ${claudeBin}, which is not an executable program.`);
  }
  const path = findProgram('claude', hostEnv['PATH']);
  if (path !== undefined) return path;
  throw new CliMissing(
    'Claude Code is not installed: there is no `claude` on PATH. Install it (npm install -g @anthropic-ai/claude-code), run `claude` once to log in, or set CLAUDE_BIN to its path.',
  );
}

export function notLoggedIn(claudeBin: string): CliMissing {
  if (way === 'image') {
    return new CliMissing(
      `There is no login for Claude Code. Name a secret file with CLAUDE_CODE_OAUTH_TOKEN_FILE or ANTHROPIC_API_KEY_FILE, or run ${commandBeforeStart} login`,
    );
  }
  return new CliMissing(
    `Claude Code (${claudeBin}) is installed but not logged in. Run \`claude\` once and log in, or set CLAUDE_CODE_OAUTH_TOKEN (from \`claude setup-token\`) or ANTHROPIC_API_KEY in config.env.`,
  );
}

/** Whether the file is a script, which starts another program; false when it cannot be read. */
export function isScript(path: string): boolean {
  return readStart(path, 2) === '#!';
}

/** The first bytes of a file as text; empty when it cannot be read. */
export function readStart(path: string, maxBytes: number): string {
  try {
    const file = openSync(path, 'r');
    try {
      const buffer = Buffer.alloc(maxBytes);
      return buffer.toString('utf8', 0, readSync(file, buffer));
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
}

/**
 * Changes when the file behind the path does: which file it is, its size, or one of its times. npm gives all its files one
 * modification time, and only the time of the last change to the inode cannot be set. Undefined when it is gone.
 * Asked several times a request: one system call, where resolving the path's links by name would take one for each of its parts.
 */
export function cliIdentity(path: string): string | undefined {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch {
    return undefined;
  }
}

export type Login = {
  /** Undefined when the CLI could not say. */
  loggedIn: boolean | undefined;
  /** `api_key`, `oauth_token`, `claude.ai`, ... as the CLI names it; never a credential. */
  method: string;
  /** The kind of plan, such as `max`, for a subscription (2.1.197 and 2.1.330). */
  plan?: string | undefined;
  /** ISO 8601 (2.1.330). */
  expiresAt?: string | undefined;
};

/** The rest of the document (the account's address and names) is not read. */
const authDocument = z.object({
  loggedIn: z.boolean(),
  authMethod: z.string().catch('unknown'),
  subscriptionType: z.string().optional().catch(undefined),
  loginExpiresAt: z.string().optional().catch(undefined),
});

/** Asks the CLI (`claude auth status`, which sends nothing). Never rejects. A signal ends it early; the login is then unknown. */
export async function loginStatus(path: string, hostEnv: HostEnv, signal?: AbortSignal): Promise<Login> {
  if (hostEnv['CLAUDE_CODE_USE_BEDROCK'] !== undefined) return { loggedIn: true, method: 'bedrock' };
  if (hostEnv['CLAUDE_CODE_USE_VERTEX'] !== undefined) return { loggedIn: true, method: 'vertex' };
  try {
    // Exit code 1 says "not logged in", with the same document on stdout.
    const document = authDocument.parse(JSON.parse(await authStatus(path, hostEnv, signal)));
    const { loggedIn, authMethod, subscriptionType, loginExpiresAt } = document;
    return { loggedIn, method: authMethod, plan: subscriptionType, expiresAt: loginExpiresAt };
  } catch {
    // A build that has no such command.
    return { loggedIn: undefined, method: 'unknown' };
  }
}

const authTimeoutMs = 15_000;

async function authStatus(path: string, hostEnv: HostEnv, signal: AbortSignal | undefined): Promise<string> {
  let printed = '';
  const child = startProcess({
    // A last line without a newline would not be read.
    command: '/bin/sh',
    args: ['-c', '"$@"; echo', 'claude-relay-login', path, 'auth', 'status', '--json'],
    env: (tmpDir) => lockedEnv(hostEnv, tmpDir),
    listener: { onLine: (text) => (printed += `${text}\n`) },
  });
  child.finish();
  await goneWithin(child, authTimeoutMs, signal);
  return printed;
}
