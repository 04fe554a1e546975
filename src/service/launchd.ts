/** The relay as a launchd agent of the user (macOS): install, upgrade in place, remove. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { awaitReady, localUrl, type ServiceState, probe } from './probe.ts';
import { launchAgent } from './launch-agent.ts';
import { readOwnFile, removeOwnFile, writeOwnFile } from './own-file.ts';
import { stopSeconds } from './relay-unit.ts';
import { saidBy, type Run, ServiceError } from './run.ts';
import type { ServicePlan } from './service-environment.ts';

const agentLabel = 'claude-relay';

/** Where a user's own agents are. */
function agentPath(home: string): string {
  return join(home, 'Library/LaunchAgents', `${agentLabel}.plist`);
}

function logPath(home: string): string {
  return join(home, 'Library/Logs', `${agentLabel}.log`);
}

/** The agent's property list. Pure. */
export function relayAgent({ config, host }: Pick<ServicePlan, 'config' | 'host'>): string {
  return launchAgent({
    label: agentLabel,
    command: [join(host.root, 'bin/claude-relay'), '--config', host.file, 'serve'],
    environment: host.environment,
    log: logPath(host.home),
    stopSeconds: stopSeconds(config),
  });
}

export type LaunchdInstall = {
  plan: ServicePlan;
  run: Run;
  uid: number;
  waitMs: number;
  say: (line: string) => void;
};

/** Writes the agent, starts it and waits until it is ready. Throws ServiceError. */
export async function installLaunchd({ plan, run, uid, waitMs, say }: LaunchdInstall): Promise<void> {
  const path = agentPath(plan.host.home);
  const log = logPath(plan.host.home);
  const before = readOwnFile(path);
  mkdirSync(plan.config.dataDir, { recursive: true, mode: 0o700 });
  for (const directory of [plan.host.cacheDir, dirname(log)]) mkdirSync(directory, { recursive: true });
  const changed = writeOwnFile(path, relayAgent(plan));
  say(`${before === undefined ? 'Wrote' : changed ? 'Updated' : 'Kept'} ${path}`);
  const domain = await domainOf(run, uid);
  // Also takes the old one's settings out of launchd; waits until the old one has ended.
  await run('launchctl', ['bootout', `${domain}/${agentLabel}`], { timeoutMs: 15 * 60_000 });
  const url = localUrl(plan.config);
  // launchd cannot tell whether its own program is the one that answers.
  if ((await probe(`${url}/health`)).ok) {
    throw new ServiceError(
      `Port ${plan.config.port} is in use, by something that is not the service. Stop what listens there, or set PORT.`,
    );
  }
  const booted = await run('launchctl', ['bootstrap', domain, path]);
  if (booted.status !== 0) {
    throw new ServiceError(
      `launchctl bootstrap ${domain} failed: ${saidBy(booted)}. Run it in a terminal of the desktop, not over ssh, or use ./run.sh.`,
    );
  }
  say(
    `${before === undefined ? 'Started' : 'Restarted'} ${agentLabel}; it proves the lock before it serves ...`,
  );
  const awaited = await awaitReady(url, () => stateOf(run, domain), waitMs);
  if (awaited.state === 'ready') return;
  throw new ServiceError(
    `${awaited.state === 'failed' ? 'The agent does not start.' : `The agent is installed and not ready: ${awaited.wrong.join('; ')}.`} Its log is ${log}. To take it away again: ./install.sh --uninstall`,
  );
}

/** The desktop's session where there is one; over ssh only the user's own domain is there. */
async function domainOf(run: Run, uid: number): Promise<string> {
  const gui = await run('launchctl', ['print', `gui/${uid}`]);
  return gui.status === 0 ? `gui/${uid}` : `user/${uid}`;
}

async function stateOf(run: Run, domain: string): Promise<ServiceState> {
  const shown = await run('launchctl', ['print', `${domain}/${agentLabel}`]);
  if (/^\s*state = running$/m.test(shown.stdout)) return 'running';
  // It ended by itself at least once, and not well.
  return /^\s*last exit code = [1-9]/m.test(shown.stdout) ? 'failed' : 'starting';
}

/** Resolves to whether there was anything. */
export async function uninstallLaunchd(
  run: Run,
  uid: number,
  home: string,
  say: (line: string) => void,
): Promise<boolean> {
  const domain = await domainOf(run, uid);
  await run('launchctl', ['bootout', `${domain}/${agentLabel}`], { timeoutMs: 15 * 60_000 });
  const path = agentPath(home);
  if (!removeOwnFile(path)) return false;
  removeOwnFile(logPath(home));
  say(`Stopped ${agentLabel} and removed ${path} and its log`);
  return true;
}
