/** One user's systemd: finds it, reads its environment, and turns on lingering, which keeps it running while nobody is logged in. */
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError } from '../command-error.ts';
import { runCommand } from '../installation.ts';
import { firstLine, runProgramWith, saidBy, type RunProgram } from './run-program.ts';

export type UserManager = {
  run: RunProgram;
  /** The variables of every service. XDG_RUNTIME_DIR is the directory of the manager's sockets. */
  environment: Record<string, string>;
  /** Systemd's major version. */
  version: number;
  /** Why the user does not linger; undefined when the user does. */
  notLingering: string | undefined;
  /** Whether this command turned lingering on. */
  lingerEnabled: boolean;
};

/** Milliseconds in which a user's manager must start. */
const startMs = 10_000;

/** Runs programs in an environment in which they find the user's bus, also after `su` or in a cron job. */
export function runOnBus(env: Readonly<Record<string, string>>, signal?: AbortSignal): RunProgram {
  const runtime = `/run/user/${process.getuid?.() ?? ''}`;
  const known = env['XDG_RUNTIME_DIR'] !== undefined || !existsSync(runtime);
  return runProgramWith(known ? env : { ...env, XDG_RUNTIME_DIR: runtime }, signal);
}

/** Throws CommandError when systemctl fails. */
export async function systemctl(run: RunProgram, ...args: string[]): Promise<void> {
  const ran = await run('systemctl', ['--user', ...args]);
  if (ran.status !== 0) throw new CommandError(`systemctl --user ${args.join(' ')} failed: ${saidBy(ran)}`);
}

/** Finds the user's service manager and, with `linger`, turns lingering on. Throws CommandError when the user has no manager. */
export async function userManager(
  env: Readonly<Record<string, string>>,
  { linger }: { linger: boolean },
): Promise<UserManager> {
  let notLingering: string | undefined;
  let lingerEnabled = false;
  if (linger && !(await lingers(runOnBus(env)))) {
    const enabled = await runOnBus(env)('loginctl', ['enable-linger', userInfo().username]);
    if (enabled.status === 0) lingerEnabled = true;
    else notLingering = firstLine(enabled);
  }
  // Lingering starts the manager, and the bus directory exists only after that.
  const until = Date.now() + (lingerEnabled ? startMs : 0);
  for (;;) {
    const run = runOnBus(env);
    const shown = await run('systemctl', ['--user', 'show-environment']);
    if (shown.status === 0) {
      const { stdout } = await run('systemctl', ['--version']);
      const version = Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0);
      return { run, environment: variables(shown.stdout), version, notLingering, lingerEnabled };
    }
    if (shown.missing || Date.now() > until) {
      if (lingerEnabled) await disableLinger(run);
      throw noSystemd(shown.missing ? 'there is no systemctl' : `systemctl reports: ${firstLine(shown)}`);
    }
    await delay(200);
  }
}

function noSystemd(why: string): CommandError {
  return new CommandError(
    `This user has no systemd to run a service (${why}). Run the relay in the foreground with ${runCommand}, or log in as this user directly (not with su or sudo) and try again. In WSL, turn systemd on first.`,
  );
}

export async function lingers(run: RunProgram): Promise<boolean> {
  const uid = String(process.getuid?.() ?? '');
  const shown = await run('loginctl', ['show-user', uid, '--property=Linger', '--value']);
  return shown.status === 0 && shown.stdout.trim() === 'yes';
}

export async function disableLinger(run: RunProgram): Promise<boolean> {
  return (await run('loginctl', ['disable-linger', userInfo().username])).status === 0;
}

/** Reads lines of `NAME=value`. A value with special characters is in shell quotes, `$'...'`. */
function variables(text: string): Record<string, string> {
  const found = [...text.matchAll(/^([A-Za-z_]\w*)=(?:\$'(.*)'|(.*))$/gm)];
  return Object.fromEntries(
    found.map(([, name = '', quoted, plain]) => [name, quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '']),
  );
}

const namespaces = [
  'PrivateUsers=yes',
  'ProtectSystem=strict',
  'PrivateTmp=yes',
  'PrivateDevices=yes',
  'ProtectHostname=yes',
];

/** Whether this user's services can have namespaces. Starts a service that does nothing, because only the manager knows. */
export async function hasNamespaces(run: RunProgram): Promise<boolean> {
  const properties = namespaces.map((property) => `--property=${property}`);
  const args = ['--user', '--quiet', '--wait', '--collect', ...properties, '/bin/true'];
  return (await run('systemd-run', args)).status === 0;
}
