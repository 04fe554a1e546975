/**
 * The seal: what keeps a process from the network and the files of the host even if the lock failed.
 *
 * It has two parts, each in the strongest way that works on this host. Each way is chosen by trying it with the installed CLI: what a
 * host forbids depends on its kernel, its distribution and its service manager. The proof then shows that the seal holds.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { basename, join } from 'node:path';
import { findProgram } from '../../find-program.ts';
import { makeDirectory, removeDirectory } from '../directories.ts';
import { apiOf, goesElsewhere, lockedEnv, type HostEnv } from '../lock.ts';
import { goneWithin, startProcess, type Exit } from '../process.ts';
import { configDirectory } from '../proof/canary-home.ts';
import {
  bwrapArgs,
  canAddSettings,
  hasStoredLogin,
  landlockArgs,
  linkTargets,
  placesOf,
  type Places,
} from './files.ts';
import { buildFilter, type FilterSockets } from './filter.ts';
import { openNamespace } from './namespace.ts';
import { noAnswer, noBwrap, noNetwork, noSeal, sealOff, storedLogin, type Missing } from './missing.ts';

export type Seal = {
  /** What keeps a process from the network; undefined: only its proxy setting. `filter`: it can make unix sockets only. */
  network: 'namespace' | 'filter' | undefined;
  /** What keeps a process from the host's files; undefined: only its user. */
  files: 'bwrap' | 'landlock' | undefined;
  /** What would seal more. */
  missing: readonly Missing[];
  /** A socket that only sealed processes reach; undefined where they reach the loopback of the host. Rejects with SealMissing. */
  listen: () => Promise<Server | undefined>;
  /** The path of a unix socket for one process with the environment, if it can make no other. Nobody can guess it. */
  newSocket: (hostEnv: HostEnv) => string | undefined;
  /**
   * For the processes with an environment: the words before the command, given the process's own directory. `also`: what else they
   * can use.
   */
  words: (hostEnv: HostEnv, also?: Partial<Places>) => Words;
  close: () => void;
};

export type Words = (directory: string) => readonly string[];

export const unsealed: Seal = {
  network: undefined,
  files: undefined,
  missing: [],
  listen: () => Promise.resolve(undefined),
  newSocket: () => undefined,
  words: () => () => [],
  close: () => {},
};

/** Also open: a directory, and where the links of the configuration lead. For the proof of the lock, which must not rest on the seal. */
export function leaveOpen(seal: Seal, directory: string): Seal {
  const words: Seal['words'] = (env, { read = [] } = {}) => {
    const linked = linkTargets(configDirectory(env));
    return seal.words(env, { read: [...read, ...linked], write: [directory] });
  };
  return { ...seal, words };
}

/** SEAL=required, and the host allows less; or the seal stopped working. */
export class SealMissing extends Error {
  override name = 'SealMissing';
}

export type SealOptions = {
  mode: 'auto' | 'required' | 'off';
  claudeBin: string;
  hostEnv: HostEnv;
  /** Ends the search early; its result is then wrong. */
  signal?: AbortSignal | undefined;
};

/** Rejects with SealMissing. */
export async function chooseSeal(options: SealOptions): Promise<Seal> {
  if (options.mode === 'off') return { ...unsealed, missing: [sealOff] };
  const seal = await strongest(options);
  if (options.mode === 'auto' || (seal.network !== undefined && seal.files !== undefined)) return seal;
  seal.close();
  const reasons = seal.missing.map(({ problem, fix }) => `Problem: ${problem}. To fix it: ${fix}.`);
  throw new SealMissing(
    `SEAL is required, but this host does not seal everything. ${reasons.join(' ')} Or set SEAL=auto.`,
  );
}

async function strongest({ mode, claudeBin, hostEnv, signal }: SealOptions): Promise<Seal> {
  const { platform, arch } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64'))
    return { ...unsealed, missing: [noSeal(`there is no seal for ${platform} on ${arch}`)] };
  if (goesElsewhere(hostEnv))
    return {
      ...unsealed,
      missing: [noSeal('the model is at another provider, which a sealed process cannot reach')],
    };
  const missing: Missing[] = [];
  let noNamespace = '';
  const namespace = await openNamespace(hostEnv, signal).catch(({ message }: Error) => {
    noNamespace = message;
    return undefined;
  });
  const directory = makeDirectory('seal');
  for (const sockets of ['tcp4', 'unix'] as const)
    writeFileSync(join(directory, sockets), buildFilter(arch, sockets));
  /** In its namespace, or without any, a process needs TCP for the way to its valve. */
  const wordsWith =
    (files: Seal['files'], sockets: FilterSockets = 'tcp4'): Seal['words'] =>
    (env, { read = [], write = [] } = {}) =>
    (own) => {
      const all = placesOf(claudeBin, env);
      const places = { ...all, read: [...all.read, ...read], write: [...all.write, ...write] };
      const filter = join(directory, sockets);
      return [...(namespace?.prefix ?? []), ...wordsFor({ files, sockets, filter, places, own })];
    };

  const failureIn = (words: Seal['words']) => failureOf(words, claudeBin, hostEnv, signal);
  const failures: Failure[] = [];
  let files: Seal['files'];
  for (const way of ['bwrap', 'landlock'] as const) {
    const failure = await failureIn(wordsWith(way));
    if (failure === undefined) {
      files = way;
      break;
    }
    failures.push({ ...failure, reason: `${way}: ${failure.reason}` });
  }
  const canFilter = namespace === undefined && (await failureIn(wordsWith(files, 'unix'))) === undefined;
  // At its start the CLI asks the vendor for an organisation's settings, by TCP, and tries for 18 s (2.1.197, 2.1.332).
  const mayFilter = mode === 'required' || apiOf(hostEnv)?.hostname !== 'api.anthropic.com';
  // Where its way out is a unix socket, it ignores a stored login.
  const filters = (env: HostEnv): boolean => canFilter && mayFilter && !hasStoredLogin(env);
  const network = namespace !== undefined ? 'namespace' : filters(hostEnv) ? 'filter' : undefined;
  if (network === undefined) missing.push(noNetwork(noNamespace, hostEnv, canFilter));
  if (files !== 'bwrap')
    missing.push(noBwrap(findProgram('bwrap', hostEnv['PATH']) !== undefined, failures, hostEnv));
  // Landlock cannot leave a part of a directory out.
  if (files === 'landlock' && hasStoredLogin(hostEnv)) missing.push(storedLogin('change'));
  if (files === 'bwrap' && canAddSettings(hostEnv)) missing.push(storedLogin('add'));
  return {
    network,
    files,
    missing,
    listen: async () =>
      namespace?.listen().catch(({ message }: Error) => {
        throw new SealMissing(
          `No socket can be made in the seal's network: ${message}. Start the relay again.`,
        );
      }),
    newSocket: (env) => (filters(env) ? join(directory, randomBytes(18).toString('base64url')) : undefined),
    words: (env, also) => wordsWith(files, filters(env) ? 'unix' : 'tcp4')(env, also),
    close: () => {
      namespace?.close();
      removeDirectory(directory);
    },
  };
}

type WordsOptions = {
  files: Seal['files'];
  sockets: FilterSockets;
  /** The path of the filter for them. */
  filter: string;
  places: Places;
  own: string;
};

function wordsFor({ files, sockets, filter, places, own }: WordsOptions): string[] {
  const unixOnly = sockets === 'unix';
  const filtered = ['--seccomp-filter', filter, '--'];
  if (files === undefined) return unixOnly ? ['setpriv', '--no-new-privs', ...filtered] : [];
  if (files === 'landlock') return ['setpriv', ...landlockArgs(places, own, filter), ...filtered];
  // bwrap must outlive a SIGTERM to the group, which is for the CLI: its own end would end the CLI at once.
  const withFilter = `trap '' TERM; exec "$@" 4<"$0"`;
  return [
    ...['/bin/sh', '-c', withFilter, filter],
    ...['bwrap', '--seccomp', '4', ...(unixOnly ? ['--unshare-net'] : [])],
    ...bwrapArgs(places, own),
    '--',
  ];
}

const tryMs = 30_000;

type Failure = { ofCli: boolean; reason: string };

/** Undefined: Node, with which the proof looks for holes, and the CLI start with these words before them. */
async function failureOf(
  words: Seal['words'],
  claudeBin: string,
  hostEnv: HostEnv,
  signal: AbortSignal | undefined,
): Promise<Failure | undefined> {
  for (const command of [process.execPath, claudeBin]) {
    let exit: Exit | undefined;
    let version = false;
    const child = startProcess({
      command,
      args: ['--version'],
      seal: words(hostEnv, { read: [command] }),
      env: (tmp) => lockedEnv(hostEnv, tmp),
      // A script can end well although the program that it starts did not.
      listener: {
        onLine: (line) => (version ||= /\d\.\d/.test(line)),
        onExit: (ended) => (exit = ended),
      },
    });
    child.finish();
    const cut = await goneWithin(child, tryMs, signal);
    if (exit?.code !== 0 || !version) {
      const last = child.stderrTail().trim().split('\n').at(-1)?.slice(0, 200);
      const silence = cut === undefined ? `${basename(command)} does not start in it` : noAnswer(tryMs);
      return { ofCli: command === claudeBin, reason: last || silence };
    }
  }
  return undefined;
}
