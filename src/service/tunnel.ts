/** What all tunnel tools share. */
import { CommandError } from '../command-error.ts';
import type { Config } from '../config.ts';
import { findProgram } from '../find-program.ts';
import { saidBy, type Ran, type RunProgram } from './run-program.ts';
import type { Say } from './setup.ts';
import type { Unit } from './state.ts';
import { commandWord } from './template.ts';

export type TunnelOptions = {
  config: Config;
  run: RunProgram;
  /** The relay's address on this machine, such as `http://127.0.0.1:8799`. */
  local: string;
  /** The requested public name (cloudflared). */
  hostname: string | undefined;
  /** The public port (tailscale). */
  httpsPort: string;
  /** Whether the tool may change its account and its settings. */
  change: boolean;
  say: Say;
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

/** Runs a tunnel's tool. Throws CommandError with its output, which names the cause, and with the advice for it. */
export async function runTool(
  run: RunProgram,
  tool: string,
  args: readonly string[],
  advice: (output: string) => string | undefined = () => undefined,
): Promise<Ran> {
  // An interactive tool may wait for a person, as tailscale does until Funnel is allowed.
  const ran = await run(tool, args, { timeoutMs: 30_000 });
  if (ran.missing) {
    throw new CommandError(
      `${tool} is not installed: there is no \`${tool}\` on PATH. Install it from ${downloads[tool]}`,
    );
  }
  const output = saidBy(ran);
  const advised = advice(output);
  if (ran.status === 0 && advised === undefined) return ran;
  const failed = `\`${tool} ${args.join(' ')}\` failed: ${output}`;
  throw new CommandError(advised === undefined ? failed : `${advised}\n\n${failed}`);
}

const downloads: Readonly<Record<string, string>> = {
  ngrok: 'https://ngrok.com/download',
  tailscale: 'https://tailscale.com/download',
  cloudflared:
    'https://developers.cloudflare.com/cloudflare-one/networks/connectors/cloudflare-tunnel/downloads/',
};

/** The path of an installed tool, quoted for a unit. */
export function toolWord(name: string, { config }: Pick<TunnelOptions, 'config'>): string {
  return commandWord(findProgram(name, config.hostEnv['PATH']) ?? name);
}
