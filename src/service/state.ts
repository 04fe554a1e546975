/** What the machine's service manager says about a service of the relay's. Asked, never changed. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Config } from '../config.ts';

/** The units that `install.sh` and `systemd/` have. */
export const relayUnit = 'claude-relay.service';
export const ngrokUnit = 'claude-relay-ngrok.service';
export const cloudflaredUnit = 'claude-relay-cloudflared.service';
/** The launchd agent of the relay on macOS. */
export const relayAgent = 'claude-relay';

export type ServiceState =
  /** No systemd for this user (a container, another system), so no service either. */
  | { kind: 'no manager' }
  | { kind: 'not installed' }
  | {
      kind: 'systemd';
      active: string;
      sub: string;
      result: string;
      restarts: number;
      atBoot: boolean;
      lingers: boolean;
    }
  | { kind: 'launchd'; running: boolean };

export async function serviceState(
  unit: string,
  env: Config['hostEnv'],
  platform: NodeJS.Platform = process.platform,
): Promise<ServiceState> {
  return platform === 'darwin' ? launchd(env) : systemd(unit, env);
}

async function systemd(unit: string, env: Config['hostEnv']): Promise<ServiceState> {
  const properties = 'LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState';
  const shown = await run('systemctl', ['--user', 'show', unit, `--property=${properties}`], env);
  const said = shown?.code === 0 ? fields(shown.stdout) : {};
  if (said['LoadState'] === undefined) return { kind: 'no manager' };
  if (said['LoadState'] === 'not-found') return { kind: 'not installed' };
  const linger = await run(
    'loginctl',
    ['show-user', String(process.getuid?.() ?? ''), '--property=Linger'],
    env,
  );
  return {
    kind: 'systemd',
    active: said['ActiveState'] ?? 'unknown',
    sub: said['SubState'] ?? '',
    result: said['Result'] ?? '',
    restarts: Number(said['NRestarts'] ?? 0),
    atBoot: said['UnitFileState'] === 'enabled',
    lingers: fields(linger?.stdout ?? '')['Linger'] === 'yes',
  };
}

async function launchd(env: Config['hostEnv']): Promise<ServiceState> {
  const shown = await run('launchctl', ['print', `gui/${process.getuid?.() ?? ''}/${relayAgent}`], env);
  if (shown === undefined) return { kind: 'no manager' };
  if (shown.code !== 0) return { kind: 'not installed' };
  return { kind: 'launchd', running: /^\s*state = running$/m.test(shown.stdout) };
}

/** `Name=value` lines. */
function fields(text: string): Record<string, string | undefined> {
  return Object.fromEntries(
    text.split('\n').map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  );
}

/** How a relay that does not run is started on this machine. */
export function startCommand(service: ServiceState): string {
  switch (service.kind) {
    case 'systemd':
      return `systemctl --user start ${relayUnit}`;
    case 'launchd':
      return `launchctl kickstart gui/$(id -u)/${relayAgent}`;
    case 'no manager':
    case 'not installed':
      return './run.sh';
  }
}

/** How one that runs is started again. */
export function restartCommand(service: ServiceState): string {
  switch (service.kind) {
    case 'systemd':
      return `systemctl --user restart ${relayUnit}`;
    case 'launchd':
      return `launchctl kickstart -k gui/$(id -u)/${relayAgent}`;
    case 'no manager':
    case 'not installed':
      return 'stop the relay (Ctrl-C) and ./run.sh';
  }
}

/** What a service manager's client needs: no login of config.env goes to it. */
const passed = ['PATH', 'HOME', 'USER', 'LOGNAME', 'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'] as const;

/** Undefined when there is no such program, or it does not answer within 5 seconds. */
export async function run(
  program: string,
  args: readonly string[],
  env: Config['hostEnv'],
): Promise<{ code: number; stdout: string } | undefined> {
  const own = Object.fromEntries(
    passed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  return promisify(execFile)(program, args, { env: { ...own, LC_ALL: 'C' }, timeout: 5000 }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code?: unknown; stdout?: string }) =>
      typeof error.code === 'number' ? { code: error.code, stdout: error.stdout ?? '' } : undefined,
  );
}
