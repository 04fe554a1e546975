/** A tunnel as a service of the user's systemd. */
import { rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { configDirectory } from '../claude/proof/canary-home.ts';
import type { Config } from '../config.ts';
import { removeOwnFile, writeOwnFile } from './own-file.ts';
import { hiddenPaths } from './relay-unit.ts';
import type { RunProgram } from './run-program.ts';
import { units, type Unit } from './state.ts';
import { fillTemplate, unitWord } from './template.ts';
import type { TunnelService } from './tunnel.ts';
import { systemctl } from './user-manager.ts';

/** The unit's text. It hides the relay's keys, settings and login from the tunnel. */
export function tunnelUnit(
  { unit, values }: Pick<TunnelService, 'unit' | 'values'>,
  config: Config,
  settingsFiles: readonly string[],
  namespaces: boolean,
): string {
  const ofRelay = [config.dataDir, ...settingsFiles, configDirectory(config.hostEnv)];
  const hidden = [...ofRelay.map((path) => `-${path}`), ...hiddenPaths(config.hostEnv['HOME'] ?? '')];
  return fillTemplate(unit, { ...values, hidden: hidden.map(unitWord).join(' ') }, { namespaces });
}

export function cloudflaredSettings(home: string): string {
  return join(home, '.config/claude-relay/cloudflared.yml');
}

/** Removes the file that a tunnel's service has in addition to its unit. */
export function removeTunnelSettings(unit: Unit, home: string): void {
  const path = cloudflaredSettings(home);
  if (unit !== units.cloudflared || !removeOwnFile(path)) return;
  try {
    rmdirSync(dirname(path));
  } catch {
    // The directory holds other files.
  }
}

/** Writes the unit and starts or restarts the service. Throws CommandError. */
export async function startTunnel(
  run: RunProgram,
  path: string,
  text: string,
  { unit, settings }: TunnelService,
): Promise<void> {
  if (settings !== undefined) writeOwnFile(settings.path, settings.text, 0o600);
  writeOwnFile(path, text);
  await systemctl(run, 'daemon-reload');
  await systemctl(run, 'enable', unit);
  await systemctl(run, 'restart', unit);
}
