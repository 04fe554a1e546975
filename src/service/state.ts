/** What the service manager reports about the relay's services. Nothing here changes a service. */
import { runCommand, way } from '../installation.ts';
import type { RunProgram } from './run-program.ts';

/** The systemd units of the services that `install` and `expose` create. */
export const units = {
  relay: 'claude-relay.service',
  ngrok: 'claude-relay-ngrok.service',
  cloudflared: 'claude-relay-cloudflared.service',
} as const;
export type Unit = (typeof units)[keyof typeof units];
/** The relay's launchd agent on macOS. */
export const agentLabel = 'claude-relay';

export type SystemdState = {
  kind: 'systemd';
  active: string;
  sub: string;
  result: string;
  restarts: number;
  atBoot: boolean;
  /** A different id after each start. */
  invocation: string;
};

/** Perhaps because this user has no systemd or launchd, as in a container. */
type NotInstalled = { kind: 'not installed' };

export type ServiceState =
  | NotInstalled
  | SystemdState
  | { kind: 'launchd'; running: boolean; failed: boolean };

const properties = 'LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,InvocationID';

export async function systemdState(run: RunProgram, unit: Unit): Promise<NotInstalled | SystemdState> {
  const args = ['--user', 'show', unit, `--property=${properties}`];
  const shown = await run('systemctl', args, { timeoutMs: 5000 });
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(shown.stdout)?.[1] ?? '';
  if (shown.status !== 0 || ['', 'not-found'].includes(value('LoadState'))) return { kind: 'not installed' };
  return {
    kind: 'systemd',
    active: value('ActiveState'),
    sub: value('SubState'),
    result: value('Result'),
    restarts: Number(value('NRestarts')),
    atBoot: value('UnitFileState') === 'enabled',
    invocation: value('InvocationID'),
  };
}

/** The desktop session's domain; over ssh only the user's domain exists. */
export async function launchdDomain(run: RunProgram): Promise<string> {
  const uid = process.getuid?.() ?? '';
  const gui = await run('launchctl', ['print', `gui/${uid}`]);
  return gui.status === 0 ? `gui/${uid}` : `user/${uid}`;
}

export async function launchdState(run: RunProgram): Promise<ServiceState> {
  const shown = await run('launchctl', ['print', `${await launchdDomain(run)}/${agentLabel}`]);
  if (shown.status !== 0) return { kind: 'not installed' };
  return {
    kind: 'launchd',
    running: /^\s*state = running$/m.test(shown.stdout),
    // It has exited with an error at least once.
    failed: /^\s*last exit code = [1-9]/m.test(shown.stdout),
  };
}

export async function relayState(run: RunProgram): Promise<ServiceState> {
  return process.platform === 'darwin' ? launchdState(run) : systemdState(run, units.relay);
}

/** The command that starts the relay on this machine, or restarts it. */
export function startCommand({ kind }: ServiceState, { again = false } = {}): string {
  switch (kind) {
    case 'systemd':
      return `systemctl --user ${again ? 'restart' : 'start'} ${units.relay}`;
    case 'launchd':
      return `launchctl kickstart ${again ? '-k ' : ''}gui/$(id -u)/${agentLabel}`;
    case 'not installed':
      if (again && way === 'image') return 'docker compose restart relay';
      return again ? `stop the relay (Ctrl-C) and run ${runCommand}` : runCommand;
  }
}
