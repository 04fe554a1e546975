/** Keeps a tunnel up as a service of the user's systemd. */
import { rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '../config.ts';
import { readOwnFile, removeOwnFile, writeOwnFile } from './own-file.ts';
import { hiddenPaths } from './relay-unit.ts';
import { saidBy, type Run, ServiceError } from './run.ts';
import { fillTemplate, unitWord } from './template.ts';
import type { TunnelService } from './tunnel.ts';

/** The unit's text. A tunnel needs nothing of the relay's: keys, settings and login are hidden from it. Pure. */
export function tunnelUnit(
  template: string,
  { values }: Pick<TunnelService, 'values'>,
  relay: { config: Config; root: string; home: string },
  namespaces: boolean,
): string {
  const { config, root, home } = relay;
  const login = config.hostEnv['CLAUDE_CONFIG_DIR'] ?? join(home, '.claude');
  const hidden = [
    ...[config.dataDir, join(root, 'config.env'), login].map((path) => `-${path}`),
    ...hiddenPaths(home),
  ];
  return fillTemplate(template, { ...values, hidden: hidden.map(unitWord).join(' ') }, { namespaces });
}

/** Where the settings of cloudflared's service are. */
export function cloudflaredSettings(home: string): string {
  return join(home, '.config/claude-relay/cloudflared.yml');
}

/** What a tunnel's service had besides its unit. */
export function removeTunnelSettings(name: string, home: string): void {
  const path = cloudflaredSettings(home);
  if (name !== 'claude-relay-cloudflared.service' || !removeOwnFile(path)) return;
  try {
    rmdirSync(dirname(path));
  } catch {
    // There is something of somebody else's in it.
  }
}

/** Writes the unit and starts the service, again where it runs. Throws ServiceError. */
export async function startTunnel(
  run: Run,
  unit: string,
  text: string,
  service: TunnelService,
): Promise<void> {
  if (service.settings !== undefined) writeOwnFile(service.settings.path, service.settings.text, 0o600);
  writeOwnFile(unit, text);
  for (const args of [['daemon-reload'], ['enable', service.name], ['restart', service.name]]) {
    const ran = await run('systemctl', ['--user', ...args]);
    if (ran.status !== 0) throw new ServiceError(`systemctl --user ${args.join(' ')} failed: ${saidBy(ran)}`);
  }
}

export async function tunnelLog(run: Run, name: string): Promise<string> {
  return saidBy(
    await run('journalctl', ['--user', '--unit', name, '--lines=15', '--output=cat', '--no-pager']),
  );
}

/** Stops it for good. Resolves to whether there was one. */
export async function stopTunnel(run: Run, unit: string, name: string, home: string): Promise<boolean> {
  if (readOwnFile(unit) === undefined) return false;
  await run('systemctl', ['--user', 'disable', '--now', name]);
  removeOwnFile(unit);
  removeTunnelSettings(name, home);
  await run('systemctl', ['--user', 'daemon-reload']);
  return true;
}
