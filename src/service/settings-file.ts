/** Where config.env is when no option names it, and how it comes from a checkout to a package. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { HostEnv } from '../claude/lock.ts';
import { root, way, type Way } from '../installation.ts';
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

/** The first of these that exists, or else the first: a change between a checkout and a package loses no settings. */
export function settingsFile(env: HostEnv, place: Place = { root, way }): string {
  const packaged = packageSettings(env);
  if (place.way === 'checkout') {
    const own = join(place.root, 'config.env');
    return existsSync(own) || !existsSync(packaged) ? own : packaged;
  }
  const used = existsSync(packaged) ? undefined : installedProgram(env)?.settings;
  return used !== undefined && existsSync(used) ? used : packaged;
}

/** What the installed service runs. */
function installedProgram(env: HostEnv): InstalledProgram | undefined {
  const unit = readOwnFile(unitPath(env, units.relay));
  if (unit !== undefined) return programOfUnit(unit);
  const agent = readOwnFile(agentPath(homeDirectory(env)));
  return agent === undefined ? undefined : programOfAgent(agent);
}

/**
 * Copies the settings of a checkout to the place for a package: the owner can then remove the checkout. Returns the path of the copy, or
 * undefined when `file` is not what the service of a checkout reads.
 */
export function takeOverSettings(
  file: string,
  env: HostEnv,
  place: Place = { root, way },
): string | undefined {
  const before = installedProgram(env);
  if (place.way === 'checkout' || before?.settings !== file) return undefined;
  if (file !== join(before.root, 'config.env') || before.root === place.root) return undefined;
  const copy = packageSettings(env);
  writeOwnFile(copy, readOwnFile(file) ?? '', 0o600);
  return copy;
}
