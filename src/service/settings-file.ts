/** Where config.env is when no option names it, and how it comes from a checkout to a package. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { HostEnv } from '../claude/lock.ts';
import { CommandError } from '../command-error.ts';
import { installCommand, root, way, type Way } from '../installation.ts';
import { homeDirectory, xdgDirectory } from '../xdg.ts';
import { agentPath, programOfAgent } from './launchd.ts';
import { readOwnFile, writeOwnFile } from './own-file.ts';
import { programOfUnit, type InstalledProgram } from './relay-unit.ts';
import { units } from './state.ts';
import { unitPath } from './systemd.ts';

type Place = { root: string; way: Way };

/** The place for a package. */
export function packageSettings(env: HostEnv): string {
  return join(xdgDirectory(env, 'XDG_CONFIG_HOME', '.config'), 'claude-relay/config.env');
}

/** A change between a checkout and a package loses no settings. */
export function settingsFile(env: HostEnv, place: Place = { root, way }): string {
  const packaged = packageSettings(env);
  if (place.way === 'checkout') {
    const own = join(place.root, 'config.env');
    return existsSync(own) || !existsSync(packaged) ? own : packaged;
  }
  const service = installedProgram(env);
  if (service === undefined || !existsSync(service.settings)) return packaged;
  // The package can have an old copy, from before the checkout was installed again.
  return isOfCheckout(service) || !existsSync(packaged) ? service.settings : packaged;
}

function isOfCheckout({ root: directory, settings }: InstalledProgram): boolean {
  return settings === join(directory, 'config.env');
}

/** What the installed service runs. Undefined also when its file cannot be read: each command asks, and most need no service. */
function installedProgram(env: HostEnv): InstalledProgram | undefined {
  try {
    const unit = readOwnFile(unitPath(env, units.relay));
    if (unit !== undefined) return programOfUnit(unit);
    const agent = readOwnFile(agentPath(homeDirectory(env)));
    return agent === undefined ? undefined : programOfAgent(agent);
  } catch {
    return undefined;
  }
}

/**
 * Copies the settings of a checkout to the place for a package: the owner can then remove the checkout. Returns the path of the copy, or
 * undefined when `file` is not what the service of a checkout reads. Throws CommandError when other settings are there.
 */
export function takeOverSettings(
  file: string,
  env: HostEnv,
  place: Place = { root, way },
): string | undefined {
  const before = installedProgram(env);
  if (place.way === 'checkout' || before?.settings !== file) return undefined;
  if (!isOfCheckout(before) || before.root === place.root) return undefined;
  const copy = packageSettings(env);
  const [text = '', other] = [readOwnFile(file), readOwnFile(copy)];
  if (other !== undefined && other !== text) {
    throw new CommandError(
      `The service reads ${file}, and ${copy} has other settings. Remove one of these files, then run ${installCommand}: it uses the other one.`,
    );
  }
  writeOwnFile(copy, text, 0o600);
  return copy;
}
