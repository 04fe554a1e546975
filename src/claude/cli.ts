/** The installed CLI: where it is, whether it is still the same file, and whether it is logged in. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { findProgram, isExecutable } from '../find-program.ts';
import { lockedEnv, type HostEnv } from './lock.ts';
import { goneWithin, ignoreOutput, startProcess } from './process.ts';

/** A sentence for the owner: what the CLI lacks and what to do. */
export class CliMissing extends Error {
  override name = 'CliMissing';
}

/**
 * The path of the CLI: `claudeBin` where it is set, otherwise the first `claude` on PATH. Throws CliMissing.
 * npm puts a project's own commands on PATH; those are passed over, since the owner's CLI is what the relay is for.
 */
export function findCli(claudeBin: string | undefined, hostEnv: HostEnv): string {
  if (claudeBin !== undefined) {
    if (isExecutable(claudeBin)) return claudeBin;
    throw new CliMissing(`CLAUDE_BIN is ${claudeBin}, and that is not a program that can be run.`);
  }
  const path = findProgram('claude', hostEnv['PATH']);
  if (path !== undefined) return path;
  throw new CliMissing(
    'Claude Code is not installed: there is no `claude` on PATH. Install it (npm install -g @anthropic-ai/claude-code), run `claude` once to log in, or set CLAUDE_BIN to its path.',
  );
}

export function notLoggedIn(claudeBin: string): CliMissing {
  return new CliMissing(
    `Claude Code (${claudeBin}) is installed but not logged in. Run \`claude\` once and log in, or put CLAUDE_CODE_OAUTH_TOKEN (from \`claude setup-token\`) or ANTHROPIC_API_KEY into config.env.`,
  );
}

/** Whether the file is a script, which starts another program; false when it cannot be read. */
export function isScript(path: string): boolean {
  try {
    const file = openSync(path, 'r');
    try {
      const start = Buffer.alloc(2);
      return readSync(file, start) === 2 && start.toString('latin1') === '#!';
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
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
  /** The kind of plan, such as `max`, where the CLI tells (2.1.197 and 2.1.330, of a subscription). */
  plan?: string;
  /** ISO 8601, where the CLI tells (2.1.330). */
  expiresAt?: string;
};

/** Asks the CLI itself (`claude auth status`, which sends nothing). Never throws. A signal ends it early, and it could not say. */
export async function loginStatus(path: string, hostEnv: HostEnv, signal?: AbortSignal): Promise<Login> {
  if (hostEnv['CLAUDE_CODE_USE_BEDROCK'] !== undefined) return { loggedIn: true, method: 'bedrock' };
  if (hostEnv['CLAUDE_CODE_USE_VERTEX'] !== undefined) return { loggedIn: true, method: 'vertex' };
  try {
    // Exit code 1 says "not logged in", with the same document on stdout.
    const status: unknown = JSON.parse(await authStatus(path, hostEnv, signal));
    if (typeof status === 'object' && status !== null && 'loggedIn' in status) {
      const method =
        'authMethod' in status && typeof status.authMethod === 'string' ? status.authMethod : 'unknown';
      return {
        loggedIn: status.loggedIn === true,
        method,
        // The rest of the document (the account's address and names) stays here.
        ...('subscriptionType' in status && typeof status.subscriptionType === 'string'
          ? { plan: status.subscriptionType }
          : {}),
        ...('loginExpiresAt' in status && typeof status.loginExpiresAt === 'string'
          ? { expiresAt: status.loginExpiresAt }
          : {}),
      };
    }
  } catch {
    // Not a build that can tell.
  }
  return { loggedIn: undefined, method: 'unknown' };
}

const authTimeoutMs = 15_000;

/** What it prints. */
async function authStatus(path: string, hostEnv: HostEnv, signal: AbortSignal | undefined): Promise<string> {
  let printed = '';
  const child = startProcess({
    // A last line without an end would not be told.
    command: '/bin/sh',
    args: ['-c', '"$@"; echo', 'claude-relay-login', path, 'auth', 'status', '--json'],
    env: (tmpDir) => lockedEnv(hostEnv, tmpDir),
    listener: {
      ...ignoreOutput,
      onLine: (text) => {
        printed += `${text}\n`;
      },
      onGarbage: () => child.terminate(),
    },
  });
  child.finish();
  await goneWithin(child, authTimeoutMs, signal);
  return printed;
}
