/** The relay as a launchd agent (macOS): install, upgrade, uninstall. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CommandError } from '../command-error.ts';
import { installCommand, runCommand } from '../installation.ts';
import { probe } from './call.ts';
import { removeOwnFile, writeOwnFile } from './own-file.ts';
import { awaitReady, localUrl } from './ready.ts';
import { stopSeconds, type InstalledProgram } from './relay-unit.ts';
import { saidBy, type RunProgram } from './run-program.ts';
import type { Say, ServiceInstall, ServiceSetup } from './setup.ts';
import { agentLabel, launchdDomain, launchdState } from './state.ts';
import { fillTemplate } from './template.ts';

export function agentPath(home: string): string {
  return join(home, 'Library/LaunchAgents', `${agentLabel}.plist`);
}

function logPath(home: string): string {
  return join(home, 'Library/Logs', `${agentLabel}.log`);
}

/** The agent's property list (launchd.plist(5)). */
export function relayAgent({ config, host }: Pick<ServiceSetup, 'config' | 'host'>): string {
  const command = [join(host.root, 'bin/claude-relay'), '--config', host.file, 'serve'];
  const environment = Object.entries(host.environment);
  return fillTemplate(`${agentLabel}.plist`, {
    command: command.map((word) => `    <string>${escaped(word)}</string>`).join('\n'),
    environment: environment
      .map(([name, value]) => `    <key>${escaped(name)}</key>\n    <string>${escaped(value)}</string>`)
      .join('\n'),
    stop_seconds: String(stopSeconds(config)),
    log: escaped(logPath(host.home)),
  });
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** What the service of this property list runs. */
export function programOfAgent(agent: string): InstalledProgram | undefined {
  const words = [...agent.matchAll(/<string>(.*)<\/string>/g)].map(([, word = '']) =>
    word.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&'),
  );
  const at = words.indexOf('--config');
  const [relay, settings] = [words[at - 1], words[at + 1]];
  if (relay === undefined || settings === undefined) return undefined;
  return { root: dirname(dirname(relay)), settings };
}

/** Writes the agent, starts it and waits until it is ready. Throws CommandError. */
export async function installLaunchd({ setup, waitMs, say }: ServiceInstall, run: RunProgram): Promise<void> {
  const { config, host } = setup;
  const path = agentPath(host.home);
  const log = logPath(host.home);
  for (const directory of [config.dataDir, host.cacheDir, dirname(log)]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }
  const changed = writeOwnFile(path, relayAgent(setup));
  say(`${changed ? 'Wrote' : 'Kept'} ${path}`);
  await bootout(run);
  const url = localUrl(config);
  // launchd does not report whether its program is the one that answers.
  if ((await probe(`${url}/health`)).status > 0) {
    throw new CommandError(
      `Port ${config.port} is in use by another program. Stop that program, or set PORT.`,
    );
  }
  const domain = await launchdDomain(run);
  const booted = await run('launchctl', ['bootstrap', domain, path]);
  if (booted.status !== 0) {
    throw new CommandError(
      `launchctl bootstrap ${domain} failed: ${saidBy(booted)}. Run the install in a terminal on the desktop, not over ssh, or use ${runCommand}.`,
    );
  }
  say(`Started ${agentLabel}; it proves the lock before it serves requests ...`);
  const problem = await awaitReady(url, () => progress(run), waitMs);
  if (problem === undefined) return;
  throw new CommandError(`${problem} See its log: ${log}. To uninstall it: ${installCommand} --uninstall`);
}

/** Stops the installed agent, waits until it has exited, and makes launchd forget its settings. */
async function bootout(run: RunProgram): Promise<void> {
  await run('launchctl', ['bootout', `${await launchdDomain(run)}/${agentLabel}`], {
    timeoutMs: 15 * 60_000,
  });
}

async function progress(run: RunProgram): Promise<'starting' | 'running' | 'failed'> {
  const state = await launchdState(run);
  if (state.kind !== 'launchd') return 'starting';
  return state.running ? 'running' : state.failed ? 'failed' : 'starting';
}

/** Resolves to whether an agent was installed. */
export async function uninstallLaunchd(run: RunProgram, home: string, say: Say): Promise<boolean> {
  await bootout(run);
  const path = agentPath(home);
  if (!removeOwnFile(path)) return false;
  removeOwnFile(logPath(home));
  say(`Stopped ${agentLabel} and removed ${path} and its log`);
  return true;
}
