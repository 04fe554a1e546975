/** The relay as a service of the user's systemd: install, upgrade in place, remove. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { HostEnv } from '../claude/lock.ts';
import { awaitReady, localUrl, type ServiceState } from './probe.ts';
import { readOwnFile, removeOwnFile, writeOwnFile } from './own-file.ts';
import { enabledLinger, relayUnit } from './relay-unit.ts';
import { saidBy, type Run, ServiceError } from './run.ts';
import type { ServicePlan } from './service-environment.ts';
import { removeTunnelSettings } from './tunnel-service.ts';
import { busRunner, hasNamespaces, type UserManager } from './user-manager.ts';

export const relayService = 'claude-relay.service';
const tunnelServices = ['claude-relay-ngrok.service', 'claude-relay-cloudflared.service'] as const;

/** Where a user's own units are. */
export function unitPath(env: HostEnv, service: string): string {
  const config = env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? '', '.config');
  return join(config, 'systemd/user', service);
}

export type SystemdInstall = {
  plan: ServicePlan;
  manager: UserManager;
  /** The template of the unit. */
  template: string;
  /** Where the unit goes. */
  unit: string;
  waitMs: number;
  /** Tells the person what is being done, a line at a time. */
  say: (line: string) => void;
};

/** Writes the unit, starts the service and waits until it is ready. Throws ServiceError. */
export async function installSystemd({
  plan,
  manager,
  template,
  unit,
  waitMs,
  say,
}: SystemdInstall): Promise<void> {
  const { run, version, runtimeDir } = manager;
  const before = readOwnFile(unit);
  const namespaces = await hasNamespaces(run);
  const lingerEnabled = manager.lingerEnabled || (before !== undefined && enabledLinger(before));
  const text = relayUnit(template, plan.config, plan.host, {
    version,
    runtimeDir,
    namespaces,
    lingerEnabled,
  });
  mkdirSync(plan.config.dataDir, { recursive: true, mode: 0o700 });
  mkdirSync(plan.host.cacheDir, { recursive: true, mode: 0o700 });
  const changed = writeOwnFile(unit, text);
  say(`${before === undefined ? 'Wrote' : changed ? 'Updated' : 'Kept'} ${unit}`);
  if (manager.lingerEnabled)
    say('Turned lingering on: the relay starts with the machine and stays when you log out.');
  if (manager.notLingering !== undefined) {
    say(
      `Warning: lingering is off (${manager.notLingering}). The relay runs only while you are logged in; an administrator can run: loginctl enable-linger`,
    );
  }
  if (!namespaces) {
    say(
      'Warning: this kernel gives an ordinary user no namespaces: the service runs without those parts of its hardening. docs/operations.md says which.',
    );
  }
  await must(run, ['daemon-reload']);
  await must(run, ['enable', relayService]);
  await run('systemctl', ['--user', 'reset-failed', relayService]);
  const invocation = (await show(run))('InvocationID');
  // What runs gets its time to finish; the wait below is for the new one.
  await must(run, ['restart', '--no-block', relayService]);
  const url = localUrl(plan.config);
  say(
    `${before === undefined ? 'Started' : 'Restarted'} ${relayService}; it proves the lock before it serves ...`,
  );
  const awaited = await awaitReady(url, () => stateOf(run, invocation), waitMs);
  if (awaited.state === 'ready') return;
  const log = await run('journalctl', [
    '--user',
    '--unit',
    relayService,
    '--lines=20',
    '--output=cat',
    '--no-pager',
  ]);
  const why =
    awaited.state === 'failed'
      ? 'The service does not start.'
      : `The service is installed and not ready after ${Math.round(waitMs / 1000)} s: ${awaited.wrong.join('; ')}.`;
  throw new ServiceError(
    `${why} It says:\n\n${saidBy(log)}\n\nSee: systemctl --user status ${relayService}; bin/claude-relay doctor. To take it away again: ./install.sh --uninstall`,
  );
}

async function must(run: Run, args: readonly string[]): Promise<void> {
  const ran = await run('systemctl', ['--user', ...args]);
  if (ran.status !== 0) throw new ServiceError(`systemctl --user ${args.join(' ')} failed: ${saidBy(ran)}`);
}

async function show(run: Run): Promise<(name: string) => string> {
  const properties = '--property=ActiveState,NRestarts,InvocationID';
  const { stdout } = await run('systemctl', ['--user', 'show', relayService, properties]);
  return (name) => new RegExp(`^${name}=(.*)$`, 'm').exec(stdout)?.[1] ?? '';
}

/** `before` is the invocation that the restart ends: until it has ended it would be taken for the new one. */
async function stateOf(run: Run, before: string): Promise<ServiceState> {
  const value = await show(run);
  if (value('InvocationID') === before) return 'starting';
  // One that has to be restarted before it was ready once will not be ready the next time.
  if (value('ActiveState') === 'failed' || Number(value('NRestarts')) > 0) return 'failed';
  return value('ActiveState') === 'active' ? 'running' : 'starting';
}

export type SystemdUninstall = {
  env: Record<string, string>;
  user: { uid: number; name: string };
  say: (line: string) => void;
};

/** Stops and removes what an install made, tunnels too. Resolves to whether there was anything. */
export async function uninstallSystemd({ env, user, say }: SystemdUninstall): Promise<boolean> {
  const run = busRunner(env, user.uid);
  const services = [...tunnelServices, relayService].filter(
    (service) => readOwnFile(unitPath(env, service)) !== undefined,
  );
  for (const service of services) {
    const unit = unitPath(env, service);
    const linger = enabledLinger(readOwnFile(unit) ?? '');
    const stopped = await run('systemctl', ['--user', 'disable', '--now', service], {
      timeoutMs: 15 * 60_000,
    });
    // Where no manager answers, its link is taken away by hand.
    rmSync(join(unit, '..', 'default.target.wants', service), { force: true });
    removeOwnFile(unit);
    removeTunnelSettings(service, env['HOME'] ?? '');
    say(
      stopped.status === 0
        ? `Stopped ${service} and removed ${unit}`
        : `Removed ${unit}. Warning: ${service} could not be stopped (${saidBy(stopped)}); if it runs, it does until the machine restarts.`,
    );
    if (linger) {
      const disabled = await run('loginctl', ['disable-linger', user.name]);
      if (disabled.status === 0) say('Turned lingering off again, as it was before.');
    }
  }
  if (services.length > 0) await run('systemctl', ['--user', 'daemon-reload']);
  return services.length > 0;
}
