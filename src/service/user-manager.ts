/** The systemd of one user: whether there is one, what it gives its services, and lingering, which keeps it while nobody is logged in. */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { runner, saidBy, type Run, ServiceError } from './run.ts';

export type UserManager = {
  run: Run;
  /** The variables that every service gets. */
  environment: Record<string, string>;
  version: number;
  /** Where its sockets are; undefined when it does not tell. */
  runtimeDir: string | undefined;
  /** Undefined when it lingers now; otherwise why it does not. */
  notLingering: string | undefined;
  /** Whether lingering was turned on just now. */
  lingerEnabled: boolean;
};

/** Milliseconds that a user's manager gets to come up. */
const startMs = 10_000;

/** A runner whose programs find the user's bus, also after `su` or in a cron job. */
export function busRunner(env: Readonly<Record<string, string>>, uid: number): Run {
  const runtime = `/run/user/${uid}`;
  const known = env['XDG_RUNTIME_DIR'] !== undefined || !existsSync(runtime);
  return runner(known ? env : { ...env, XDG_RUNTIME_DIR: runtime });
}

export type User = { uid: number; name: string };

/** Finds the user's service manager, and turns lingering on where it is asked to. Throws ServiceError where there is none. */
export async function userManager(
  env: Readonly<Record<string, string>>,
  user: User,
  { linger }: { linger: boolean },
): Promise<UserManager> {
  const first = await busRunner(env, user.uid)('systemctl', ['--user', 'show-environment']);
  if (first.missing) throw noSystemd('there is no systemctl');
  let notLingering: string | undefined;
  let lingerEnabled = false;
  if (linger && !(await lingers(busRunner(env, user.uid), user.name))) {
    const enabled = await busRunner(env, user.uid)('loginctl', ['enable-linger', user.name]);
    if (enabled.status === 0) lingerEnabled = true;
    else notLingering = saidBy(enabled).split('\n')[0] ?? '';
  }
  // The first lingering starts the manager, and only then is there a directory for its bus.
  const until = Date.now() + (lingerEnabled ? startMs : 0);
  for (;;) {
    const run = busRunner(env, user.uid);
    const shown = await run('systemctl', ['--user', 'show-environment']);
    if (shown.status === 0) {
      const environment = variables(shown.stdout);
      return {
        run,
        environment,
        runtimeDir: environment['XDG_RUNTIME_DIR'],
        version: await versionOf(run),
        notLingering,
        lingerEnabled,
      };
    }
    if (Date.now() > until) {
      if (lingerEnabled) await run('loginctl', ['disable-linger', user.name]);
      throw noSystemd(`\`systemctl --user\` says: ${saidBy(shown).split('\n')[0] ?? ''}`);
    }
    await delay(200);
  }
}

function noSystemd(why: string): ServiceError {
  return new ServiceError(
    `This user has no systemd to run a service (${why}). Run the relay in the foreground with ./run.sh, or log in as this user directly (not with su or sudo) and try again. In WSL, systemd has to be turned on first.`,
  );
}

async function lingers(run: Run, name: string): Promise<boolean> {
  const shown = await run('loginctl', ['show-user', name, '--property=Linger', '--value']);
  return shown.status === 0 && shown.stdout.trim() === 'yes';
}

async function versionOf(run: Run): Promise<number> {
  const { stdout } = await run('systemctl', ['--version']);
  return Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0);
}

/** Lines of `NAME=value`; a value with special characters is in shell quotes, `$'...'`. */
function variables(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => /^([A-Za-z_]\w*)=(?:\$'(.*)'|(.*))$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name = '', quoted, plain]) => [name, quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '']),
  );
}

/** Whether this user's services can have namespaces: asked of the manager itself, with a service that does nothing. */
export async function hasNamespaces(run: Run): Promise<boolean> {
  const properties = [
    'PrivateUsers=yes',
    'ProtectSystem=strict',
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'ProtectHostname=yes',
  ];
  const ran = await run('systemd-run', [
    '--user',
    '--quiet',
    '--wait',
    '--collect',
    ...properties.map((property) => `--property=${property}`),
    '/bin/true',
  ]);
  return ran.status === 0;
}
