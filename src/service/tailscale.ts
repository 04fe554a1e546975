/** Tailscale Funnel (client 1.52 or newer): tailscaled keeps it up, also after a reboot. */
import { CommandError } from '../command-error.ts';
import { parsedJson } from './call.ts';
import { firstLine, saidBy, type RunProgram } from './run-program.ts';
import { runTool, type Tunnel, type TunnelOptions } from './tunnel.ts';

type Status = { BackendState?: string; Self?: { DNSName?: string } };
/** The keys are `<name>:<port>`. */
type ServeConfig = {
  Web?: Record<string, { Handlers?: Record<string, { Proxy?: string }> }>;
  AllowFunnel?: Record<string, boolean>;
};

/** The ports that Funnel supports (tailscale.com/kb/1223/funnel). */
export const funnelPorts = ['443', '8443', '10000'];

function adviceFor(output: string): string | undefined {
  if (/funnel is not enabled|not available; .?funnel/i.test(output)) {
    return 'Funnel is not turned on for this tailnet. Open the address below, and run this command again.';
  }
  return /access denied|serve config denied/i.test(output)
    ? 'This user cannot change what tailscaled serves. Run this once: sudo tailscale set --operator=$USER'
    : undefined;
}

/** With `change`, turns the funnel on. Throws CommandError when tailscale is missing, logged out, or the port is in use. */
export async function tailscale({ run, local, httpsPort, change, say }: TunnelOptions): Promise<Tunnel> {
  say(`ok   tailscale ${firstLine(await runTool(run, 'tailscale', ['version']))}`);
  const asked = await run('tailscale', ['status', '--json']);
  const status = parsedJson(asked.stdout) as Status | undefined;
  if (status?.BackendState === undefined) {
    throw new CommandError('tailscaled is not running: sudo systemctl enable --now tailscaled');
  }
  if (status.BackendState !== 'Running') {
    throw new CommandError(`tailscale is not connected (${status.BackendState}): sudo tailscale up`);
  }
  const name = status.Self?.DNSName?.replace(/\.$/, '') ?? '';
  if (name === '')
    throw new CommandError(
      'This machine has no name in its tailnet. Turn on MagicDNS: https://login.tailscale.com/admin/dns',
    );
  say(`ok   connected as ${name}`);
  const serving = await served(run);
  const other = serving?.Web?.[`${name}:${httpsPort}`]?.Handlers?.['/'];
  if (other !== undefined && other.Proxy !== local) {
    throw new CommandError(
      `tailscale serves ${other.Proxy ?? 'something else'} on port ${httpsPort} already. Choose another port (--https-port ${funnelPorts.filter((port) => port !== httpsPort).join(' or ')}), or stop serving it: tailscale funnel --https=${httpsPort} off`,
    );
  }
  const args = ['funnel', '--bg', '--yes', `--https=${httpsPort}`, local];
  say(`${change ? 'run ' : 'would run'} tailscale ${args.join(' ')}`);
  // When Funnel is not allowed, it prints an address and waits until somebody opens it.
  if (change) await runTool(run, 'tailscale', args, adviceFor);
  return { publicUrl: httpsPort === '443' ? `https://${name}` : `https://${name}:${httpsPort}` };
}

/** Turns Funnel off. Throws CommandError. */
export async function tailscaleOff(run: RunProgram, httpsPort: string): Promise<void> {
  await runTool(run, 'tailscale', ['version']);
  const args = ['funnel', `--https=${httpsPort}`, 'off'];
  const ran = await run('tailscale', args);
  if (ran.status !== 0 && !/does not exist|not found/i.test(ran.stderr)) {
    throw new CommandError(`\`tailscale ${args.join(' ')}\` failed: ${saidBy(ran)}`);
  }
}

/** The public URL that tailscaled forwards to the relay, if any. */
export async function funnelUrl(run: RunProgram, local: string): Promise<string | undefined> {
  // `null` when tailscaled has never served anything.
  const { Web = {}, AllowFunnel = {} } = (await served(run)) ?? {};
  const at = Object.keys(Web).find(
    (key) =>
      AllowFunnel[key] === true &&
      Object.values(Web[key]?.Handlers ?? {}).some(({ Proxy }) => Proxy === local),
  );
  return at === undefined ? undefined : `https://${at.replace(/:443$/, '')}`;
}

async function served(run: RunProgram): Promise<ServeConfig | undefined> {
  const { stdout } = await run('tailscale', ['serve', 'status', '--json'], { timeoutMs: 15_000 });
  return parsedJson(stdout) as ServeConfig | undefined;
}
