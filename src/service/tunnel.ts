/** What all tunnel tools share. */
import { CommandError } from '../command-error.ts';
import type { Config } from '../config.ts';
import { findProgram } from '../find-program.ts';
import { firstLine, saidBy, type Ran, type RunProgram } from './run-program.ts';
import type { Unit } from './state.ts';
import { commandWord } from './template.ts';

export type TunnelOptions = {
  config: Config;
  home: string;
  run: RunProgram;
  /** The relay's address on this machine, such as `http://127.0.0.1:8799`. */
  local: string;
  /** The requested public name (cloudflared). */
  hostname: string | undefined;
  /** The public port (tailscale). */
  httpsPort: number;
  /** Whether the tool may change its account and its settings. */
  change: boolean;
  say: (line: string) => void;
};

/** A service that keeps the tunnel up. */
export type TunnelService = {
  unit: Unit;
  /** Quoted values for the unit's template in systemd/. */
  values: Readonly<Record<string, string>>;
  /** The same as a command for a terminal, for a user without systemd. */
  command: string;
  /** A settings file that the service reads. */
  settings?: { path: string; text: string };
};

export type Tunnel = {
  publicUrl: string;
  /** Undefined when the tool's own service keeps the tunnel up. */
  service?: TunnelService;
};

/** A tool's version line. Throws CommandError with its download page when it is not installed. */
export async function requireTool(
  run: RunProgram,
  tool: string,
  args: readonly string[],
  get: string,
): Promise<string> {
  const ran = await run(tool, args, { timeoutMs: 15_000 });
  if (ran.missing)
    throw new CommandError(
      `${tool} is not installed: there is no \`${tool}\` on PATH. Install it from ${get}`,
    );
  if (ran.status !== 0) throw new CommandError(`\`${tool} ${args.join(' ')}\` failed: ${saidBy(ran)}`);
  return firstLine(ran);
}

/** The path of an installed tool, quoted for a unit. */
export function toolWord(name: string, { config }: Pick<TunnelOptions, 'config'>): string {
  return commandWord(findProgram(name, config.hostEnv['PATH']) ?? name);
}

/** Throws CommandError with the tool's output, which names the cause. */
export function refuse(ran: Ran, what: string, advice?: string): never {
  const failed = `${what} failed: ${saidBy(ran)}`;
  throw new CommandError(advice === undefined ? failed : `${advice}\n\n${failed}`);
}
