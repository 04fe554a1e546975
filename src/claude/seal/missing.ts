/** What would seal more on this host, and the command for it. */
import { readFileSync } from 'node:fs';
import { installCommand, relayCommand, way } from '../../installation.ts';
import type { HostEnv } from '../lock.ts';

/** A sentence of /ready: without paths and versions of the host. `reason` has them, for the owner. */
export type Missing = { problem: string; fix: string; reason?: string };

export const sealOff: Missing = {
  problem: 'SEAL is off, so only the lock keeps the processes from the network and from files',
  fix: 'set SEAL=auto in config.env',
};

/** `verb`: what a process can do to the settings of the owner's next session. */
export function storedLogin(verb: 'add' | 'change'): Missing {
  const settings = verb === 'add' ? 'settings that are missing' : 'settings';
  return {
    problem: `with a stored login, which the CLI renews, a process can ${verb} ${settings} in the configuration directory`,
    fix: `${relayCommand} login (a token, with which the directory is read-only)`,
  };
}

/** How a reason says that a program was given up. */
export const noAnswer = (ms: number): string => `no answer within ${ms / 1000} s`;

function tooSlow(reason: string): Missing | undefined {
  if (!reason.includes('no answer within')) return undefined;
  return {
    problem: 'a program for the seal did not answer in time',
    fix: 'restart the relay when the machine is less busy',
    reason,
  };
}

export function noSeal(problem: string): Missing {
  return { problem, fix: 'run the relay on Linux, with a login for the vendor itself' };
}

/** `reason`: why there is no namespace. `canFilter`: a filter could keep a process from the network. */
export function noNetwork(reason: string, hostEnv: HostEnv, canFilter: boolean): Missing {
  if (/ENOENT|not found/.test(reason))
    return {
      problem:
        'a program for the network namespace is missing (`bwrap`, or `unshare` and `ip`; and `nsenter`)',
      fix: 'apt install bubblewrap util-linux',
      reason,
    };
  const slow = tooSlow(reason);
  if (slow !== undefined) return slow;
  const filter = `SEAL=required with a token of ${relayCommand} login (a filter, with which a new process takes 18 s longer)`;
  return {
    problem: 'the host gives the relay no user and network namespace',
    fix: `${allowNamespaces(readSysctl, hostEnv)}${canFilter ? `; or ${filter}` : ''}`,
    reason,
  };
}

/** `failures`: why bwrap and then Landlock do not work; `ofCli`: they work, but the CLI does not start in them. */
export function noBwrap(
  isInstalled: boolean,
  failures: readonly { ofCli: boolean; reason: string }[],
  hostEnv: HostEnv,
): Missing {
  if (!isInstalled)
    return { problem: 'the program `bwrap` is missing for the files', fix: 'apt install bubblewrap' };
  const reason = failures.map((failure) => failure.reason).join('; ');
  const slow = tooSlow(failures[0]?.reason ?? '');
  if (slow !== undefined) return { ...slow, reason };
  if (failures[0]?.ofCli === true)
    return {
      problem: 'Claude Code does not start where it sees no files but its own',
      fix: 'set CLAUDE_BIN to the program itself, in place of a script that starts it',
      reason,
    };
  return {
    problem: '`bwrap` does not work here for the files',
    fix: allowNamespaces(readSysctl, hostEnv),
    reason,
  };
}

/** Docker keeps namespaces from a container, and each engine a new /proc. */
const containerOptions =
  'run the container with --security-opt seccomp=unconfined --security-opt systempaths=unconfined (Podman: --security-opt unmask=ALL)';

/** The command that allows user namespaces to a user, by the setting that forbids them. */
export function allowNamespaces(
  sysctl: (name: string) => string | undefined,
  hostEnv: HostEnv,
  installedWay = way,
): string {
  const forbids = (name: string, value: string): boolean => sysctl(name) === value;
  if (forbids('kernel.unprivileged_userns_clone', '0'))
    return 'sudo sysctl kernel.unprivileged_userns_clone=1';
  if (forbids('user.max_user_namespaces', '0')) return 'sudo sysctl user.max_user_namespaces=10000';
  if (forbids('kernel.apparmor_restrict_unprivileged_userns', '1'))
    return 'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0';
  if (installedWay === 'image') return containerOptions;
  if ((hostEnv['INVOCATION_ID'] ?? '') !== '') return `${installCommand} (its unit allows them)`;
  return 'allow user namespaces to this user; in a container, run it with a profile that allows them';
}

function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
