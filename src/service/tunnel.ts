/** What every tunnel tool has in common. */
import type { Config } from '../config.ts';
import { isHostname } from '../network.ts';
import { saidBy, type Ran, type Run, ServiceError } from './run.ts';

export type TunnelOptions = {
  config: Config;
  home: string;
  run: Run;
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

/** A service of the user's that keeps the tunnel up: its unit's name and what its template asks for. */
export type TunnelService = {
  name: string;
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

/** The path of a tool on PATH and its version line. Throws ServiceError, with where to get it, when it is not installed. */
export async function requireTool(
  run: Run,
  tool: string,
  args: readonly string[],
  get: string,
): Promise<string> {
  const ran = await run(tool, args, { timeoutMs: 15_000 });
  if (ran.missing)
    throw new ServiceError(`${tool} is not installed: there is no \`${tool}\` on PATH. Get it from ${get}`);
  if (ran.status !== 0) throw new ServiceError(`\`${tool} ${args.join(' ')}\` failed: ${saidBy(ran)}`);
  return saidBy(ran).split('\n')[0] ?? '';
}

/** Throws ServiceError with what the first matching rule says, or with the tool's own words. */
export function refuse(ran: Ran, what: string, rules: readonly (readonly [RegExp, string])[]): never {
  const said = saidBy(ran);
  const advice = rules.find(([pattern]) => pattern.test(said))?.[1];
  throw new ServiceError(advice === undefined ? `${what} failed: ${said}` : `${advice}\n\nIt said: ${said}`);
}

/** Throws ServiceError unless this is a host name with a dot, such as relay.example.com. */
export function requireHostname(name: string, from: string): string {
  if (isHostname(name)) return name.toLowerCase();
  throw new ServiceError(
    `${from} must be a host name such as relay.example.com; it is ${JSON.stringify(name)}.`,
  );
}
