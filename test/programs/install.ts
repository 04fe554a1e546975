/** Installs a program from npm into a cache, once a version: `$XDG_CACHE_HOME/claude-relay-clients/PACKAGE@VERSION`. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Program } from './program.ts';

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'claude-relay-clients');

/** Resolves to the directory that holds `node_modules`. Programs with the same packages share one: n8n needs 2 GB. */
export async function install({ packages, scripts = [] }: Program): Promise<string> {
  const directory = join(cache, packages.join(' ').replaceAll('/', '+'));
  const manifest = JSON.stringify({
    private: true,
    type: 'module',
    dependencies: Object.fromEntries(packages.map(nameAndVersion)),
    allowScripts: Object.fromEntries(scripts.map((script) => [script, true])),
  });
  const file = join(directory, 'package.json');
  // npm writes this file when it is done.
  const done = join(directory, 'node_modules/.package-lock.json');
  if (existsSync(done) && readFileSync(file, 'utf8') === manifest) return directory;
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, manifest);
  const npm = (...args: string[]) => promisify(execFile)('npm', args, { cwd: directory });
  // Some versions of npm run every install script, whatever `allowScripts` says, and one that fails fails the install.
  await npm('install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock');
  if (scripts.length > 0) await npm('rebuild', ...scripts);
  return directory;
}

/** The version in the table: the first package's. */
export function versionOf({ packages: [first = ''] }: Program): string {
  return nameAndVersion(first)[1];
}

/** `@scope/name@1.2.3`, split at its last @. */
function nameAndVersion(spec: string): [name: string, version: string] {
  const at = spec.lastIndexOf('@');
  return [spec.slice(0, at), spec.slice(at + 1)];
}
