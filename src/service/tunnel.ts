/** What every tunnel tool has in common. */
import { CommandError } from '../command-error.ts';
import type { Config } from '../config.ts';
import { findProgram } from '../find-program.ts';
import { isHostname } from '../network.ts';
import { firstLine, saidBy, type Ran, type RunProgram } from './run-program.ts';
import type { Unit } from './state.ts';
import { commandWord } from './template.ts';

export type TunnelOptions = {
  config: Config;
  home: string;
  run: RunProgram;
  /** The relay's own address: `http://127.0.0.1:8799`. */
  local: string;
  /** The public name that was asked for, where the tool takes one. */
  hostname: string | undefined;
  /** The public port (tailscale). */
  httpsPort: number;
  /** Whether the tool may change anything: its account, its settings. */
  change: boolean;
  say: (line: string) => void;
};

/** A service of the user's that keeps the tunnel up: its unit and what its template asks for. */
export type TunnelService = {
  unit: Unit;
  /** Values of the template in systemd/, already quoted. */
  values: Readonly<Record<string, string>>;
  /** The same as a command for a terminal, where there is no systemd. */
  command: string;
  /** A file that the service reads. */
  settings?: { path: string; text: string };
};

export type Tunnel = {
  publicUrl: string;
  /** Undefined when the tool has a service of its own that has been told. */
  service?: TunnelService;
  /** What turns it off again. */
  undo: string;
  /** What the tool's last words mean, when the tunnel does not come up. */
  explain: (log: string) => string | undefined;
};

/** A tool's version line. Throws CommandError, with where to get it, when it is not installed. */
export async function requireTool(
  run: RunProgram,
  tool: string,
  args: readonly string[],
  get: string,
): Promise<string> {
  const ran = await run(tool, args, { timeoutMs: 15_000 });
  if (ran.missing)
    throw new CommandError(`${tool} is not installed: there is no \`${tool}\` on PATH. Get it from ${get}`);
  if (ran.status !== 0) throw new CommandError(`\`${tool} ${args.join(' ')}\` failed: ${saidBy(ran)}`);
  return firstLine(ran);
}

/** An installed tool as the program of a unit. */
export function toolWord(name: string, { config }: Pick<TunnelOptions, 'config'>): string {
  return commandWord(findProgram(name, config.hostEnv['PATH']) ?? name);
}

/** Throws CommandError with what the first matching rule says, or with the tool's own words. */
export function refuse(ran: Ran, what: string, rules: readonly (readonly [RegExp, string])[]): never {
  const said = saidBy(ran);
  const advice = rules.find(([pattern]) => pattern.test(said))?.[1];
  throw new CommandError(advice === undefined ? `${what} failed: ${said}` : `${advice}\n\nIt said: ${said}`);
}

/** Throws CommandError unless this is a host name with a dot, such as relay.example.com. */
export function requireHostname(name: string, from: string): string {
  if (isHostname(name)) return name.toLowerCase();
  throw new CommandError(
    `${from} must be a host name such as relay.example.com; it is ${JSON.stringify(name)}.`,
  );
}
