/** The relay as a service of the user's systemd: install, upgrade, uninstall. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { HostEnv } from '../claude/lock.ts';
import { CommandError } from '../command-error.ts';
import { documentAt, installCommand, relayCommand } from '../installation.ts';
import { xdgDirectory } from '../xdg.ts';
import { readOwnFile, removeOwnFile, writeOwnFile } from './own-file.ts';
import { awaitReady, localUrl } from './ready.ts';
import { enabledLinger, relayUnit } from './relay-unit.ts';
import { saidBy, type RunProgram } from './run-program.ts';
import type { Say, ServiceInstall } from './setup.ts';
import { systemdState, units, type Unit } from './state.ts';
import { removeTunnelSettings } from './tunnel-service.ts';
import { disableLinger, hasNamespaces, runOnBus, systemctl, type UserManager } from './user-manager.ts';

export function unitPath(env: HostEnv, unit: Unit): string {
  return join(xdgDirectory(env, 'XDG_CONFIG_HOME', '.config'), 'systemd/user', unit);
}

export async function journal(run: RunProgram, unit: Unit, lines: number): Promise<string> {
  const args = ['--user', '--unit', unit, `--lines=${lines}`, '--output=cat', '--no-pager'];
  return saidBy(await run('journalctl', args));
}

/** Writes the unit to `path`, starts the service and waits until it is ready. Throws CommandError. */
export async function installSystemd(
  { setup, waitMs, say }: ServiceInstall,
  manager: UserManager,
  path: string,
): Promise<void> {
  const { run } = manager;
  const before = readOwnFile(path);
  const namespaces = await hasNamespaces(run);
  const lingerEnabled = manager.lingerEnabled || (before !== undefined && enabledLinger(before));
  const changed = writeOwnFile(path, relayUnit(setup, { ...manager, namespaces, lingerEnabled }));
  say(`${changed ? 'Wrote' : 'Kept'} ${path}`);
  if (manager.lingerEnabled)
    say('Turned lingering on: the relay starts with the machine and keeps running when you log out.');
  if (manager.notLingering !== undefined) {
    say(
      `Warning: lingering is off (${manager.notLingering}). The relay runs only while you are logged in. An administrator can run: loginctl enable-linger`,
    );
  }
  if (!namespaces) {
    say(
      `Warning: this kernel does not give namespaces to ordinary users. The service runs without the hardening that needs them: see ${documentAt('docs/operations.md')}`,
    );
  }
  await systemctl(run, 'daemon-reload');
  await systemctl(run, 'enable', units.relay);
  await run('systemctl', ['--user', 'reset-failed', units.relay]);
  const old = await systemdState(run, units.relay);
  // The old process may still finish its requests; the wait below is for the new one.
  await systemctl(run, 'restart', '--no-block', units.relay);
  say(`Started ${units.relay}; it proves the lock before it serves requests ...`);
  const oldInvocation = old.kind === 'systemd' ? old.invocation : '';
  const problem = await awaitReady(localUrl(setup.config), () => progress(run, oldInvocation), waitMs);
  if (problem === undefined) return;
  throw new CommandError(
    `${problem} Its log:\n\n${await journal(run, units.relay, 20)}\n\nSee: systemctl --user status ${units.relay}; ${relayCommand} doctor. To uninstall it: ${installCommand} --uninstall`,
  );
}

/** The old process runs until it has finished its requests, and must not be mistaken for the new one. */
async function progress(run: RunProgram, oldInvocation: string): Promise<'starting' | 'running' | 'failed'> {
  const state = await systemdState(run, units.relay);
  if (state.kind !== 'systemd' || state.invocation === oldInvocation) return 'starting';
  // A service that exits before it is ready will do so again.
  if (state.active === 'failed' || state.restarts > 0) return 'failed';
  return state.active === 'active' ? 'running' : 'starting';
}

/** Stops and removes the service and the tunnels. Resolves to whether any was installed. */
export async function uninstallSystemd(env: Record<string, string>, say: Say): Promise<boolean> {
  const relay = readOwnFile(unitPath(env, units.relay));
  let found = false;
  for (const unit of [units.ngrok, units.cloudflared, units.relay]) {
    if (await removeUnit(env, unit, say)) found = true;
  }
  if (relay !== undefined && enabledLinger(relay) && (await disableLinger(runOnBus(env)))) {
    say('Turned lingering off, as it was before the install.');
  }
  return found;
}

/** Stops a service and removes its unit. Resolves to whether it was installed. */
export async function removeUnit(env: Record<string, string>, unit: Unit, say: Say): Promise<boolean> {
  const run = runOnBus(env);
  const path = unitPath(env, unit);
  if (readOwnFile(path) === undefined) return false;
  const args = ['--user', 'disable', '--now', unit];
  const stopped = await run('systemctl', args, { timeoutMs: 15 * 60_000 });
  // Without a manager, systemctl does not remove the link.
  rmSync(join(path, '..', 'default.target.wants', unit), { force: true });
  removeOwnFile(path);
  removeTunnelSettings(unit, env['HOME'] ?? '');
  await run('systemctl', ['--user', 'daemon-reload']);
  say(
    stopped.status === 0
      ? `Stopped ${unit} and removed ${path}`
      : `Removed ${path}. Warning: ${unit} could not be stopped (${saidBy(stopped)}). If it is running, it runs until the machine restarts.`,
  );
  return true;
}
