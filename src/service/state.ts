/** What the machine's service manager reports about a service of the relay. Only read here, never changed. */
import type { RunProgram } from './run-program.ts';

/** The services that an install and `expose` make, by the names of their systemd units. */
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
  /** Changes with each start. */
  invocation: string;
};

export type ServiceState =
  /** This user has no systemd or launchd (a container, another system), so no service either. */
  | { kind: 'no manager' }
  | { kind: 'not installed' }
  | SystemdState
  | { kind: 'launchd'; running: boolean; failed: boolean };

const properties = 'LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,InvocationID';

export async function systemdState(
  run: RunProgram,
  unit: Unit,
): Promise<Exclude<ServiceState, { kind: 'launchd' }>> {
  const args = ['--user', 'show', unit, `--property=${properties}`];
  const shown = await run('systemctl', args, { timeoutMs: 5000 });
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(shown.stdout)?.[1] ?? '';
  if (shown.status !== 0 || value('LoadState') === '') return { kind: 'no manager' };
  if (value('LoadState') === 'not-found') return { kind: 'not installed' };
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

/** The desktop's session where there is one; over ssh only the user's own domain is there. */
export async function launchdDomain(run: RunProgram): Promise<string> {
  const uid = process.getuid?.() ?? '';
  const gui = await run('launchctl', ['print', `gui/${uid}`]);
  return gui.status === 0 ? `gui/${uid}` : `user/${uid}`;
}

export async function launchdState(run: RunProgram): Promise<ServiceState> {
  const shown = await run('launchctl', ['print', `${await launchdDomain(run)}/${agentLabel}`]);
  if (shown.missing) return { kind: 'no manager' };
  if (shown.status !== 0) return { kind: 'not installed' };
  return {
    kind: 'launchd',
    running: /^\s*state = running$/m.test(shown.stdout),
    // It ended at least once, and not well.
    failed: /^\s*last exit code = [1-9]/m.test(shown.stdout),
  };
}

export async function relayState(run: RunProgram): Promise<ServiceState> {
  return process.platform === 'darwin' ? launchdState(run) : systemdState(run, units.relay);
}

/** How the relay is started on this machine, or started again where it runs. */
export function startCommand({ kind }: ServiceState, { again = false } = {}): string {
  switch (kind) {
    case 'systemd':
      return `systemctl --user ${again ? 'restart' : 'start'} ${units.relay}`;
    case 'launchd':
      return `launchctl kickstart ${again ? '-k ' : ''}gui/$(id -u)/${agentLabel}`;
    case 'no manager':
    case 'not installed':
      return again ? 'stop the relay (Ctrl-C) and ./run.sh' : './run.sh';
  }
}
