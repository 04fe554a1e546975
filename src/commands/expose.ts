/** `claude-relay expose`: a public URL for the relay, through a tunnel that its owner has; checked before and after. */
import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Argument, Option, type Command } from 'commander';
import { loadConfig, type Config, loadConfigIfValid } from '../config.ts';
import { openKeys } from '../keys/store.ts';
import { localUrl, probe } from '../service/probe.ts';
import { cloudflared } from '../service/cloudflared.ts';
import { checkExposure } from '../service/exposure.ts';
import { ngrok } from '../service/ngrok.ts';
import { runner, ServiceError } from '../service/run.ts';
import { unitPath } from '../service/systemd.ts';
import { funnelPorts, tailscale, tailscaleOff } from '../service/tailscale.ts';
import { startTunnel, stopTunnel, tunnelLog, tunnelUnit } from '../service/tunnel-service.ts';
import type { Tunnel, TunnelOptions } from '../service/tunnel.ts';
import { hasNamespaces, userManager } from '../service/user-manager.ts';
import { openStore } from '../store/sqlite.ts';
import { parseCount, withExamples } from './text/parse.ts';
import { limitsOff } from './settings-warnings.ts';
import { processTerminal, type Terminal } from './text/terminal.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export type ExposeContext = {
  /** config.env. */
  file: () => string;
  terminal?: Terminal;
};

const tools = ['ngrok', 'tailscale', 'cloudflared', 'check'] as const;
type Tool = (typeof tools)[number];
type Options = {
  dryRun?: boolean;
  off?: boolean;
  hostname?: string;
  httpsPort: string;
  url?: string;
  wait: number;
};

export function addExposeCommand(program: Command, context: ExposeContext): void {
  const command = program
    .command('expose')
    .description('give the relay a public URL through a tunnel of yours, and check that it asks for a key')
    .addArgument(new Argument('<tool>', 'the tunnel; `check` only checks a URL').choices(tools))
    .option('--dry-run', 'check the tool and say what would be done; expose nothing')
    .option('--off', 'take the tunnel away again')
    .option('--hostname <name>', 'cloudflared: the public name, in a zone of your account')
    .addOption(
      new Option('--https-port <port>', 'tailscale: the public port')
        .choices(funnelPorts.map(String))
        .default('443'),
    )
    .option('--url <url>', 'the public URL, where it is not what the tool makes of its settings')
    .option('--wait <seconds>', 'how long the public URL may take to answer', parseCount(0, 600), 60)
    .action((tool: Tool, options: Options) => expose(tool, options, context));
  withExamples(command, [
    ['claude-relay expose ngrok --dry-run', 'what is missing, what would be done'],
    ['claude-relay expose ngrok', 'NGROK_DOMAIN of config.env, as a service'],
    ['claude-relay expose tailscale', "Tailscale Funnel on this machine's name"],
    ['claude-relay expose cloudflared --hostname relay.example.com', 'a named tunnel of Cloudflare'],
    ['claude-relay expose check --url https://relay.example.com', 'a proxy of your own'],
    ['claude-relay expose ngrok --off', 'take it away again'],
  ]);
}

async function expose(tool: Tool, options: Options, context: ExposeContext): Promise<void> {
  const { terminal = processTerminal() } = context;
  const say = (line: string): void => terminal.err(`${line}\n`);
  const { config: readable, env } = loadConfigIfValid(context.file());
  const home = env['HOME'] ?? '';
  const { uid, username: name } = userInfo();
  const httpsPort = Number(options.httpsPort);
  const run = runner(env);
  if (options.off === true) return takeAway();

  const config = readable ?? loadConfig({ file: context.file() });
  const change = options.dryRun !== true;
  warn(config, say);
  const local = localUrl(config);
  const health = await probe(`${local}/health`);
  if (!health.ok || health.status !== 200) {
    throw new ServiceError(
      `The relay does not answer on ${local} (${health.ok ? `status ${health.status}` : health.reason}). Start it first: ./install.sh, or ./run.sh in another terminal.`,
    );
  }
  say(`ok   the relay answers on ${local}`);
  if (tool === 'check') return verify(requireUrl(options.url));
  const tunnel = await prepare(tool, {
    config,
    home,
    run,
    local,
    hostname: options.hostname,
    httpsPort,
    change,
    say,
  });
  const publicUrl = options.url ?? tunnel.publicUrl;
  if (tunnel.service !== undefined) await keepUp(tunnel);
  if (!change) return say(`Nothing was exposed. Without --dry-run the public URL would be ${publicUrl}`);
  await verify(publicUrl, tunnel);
  say(`     to take it away again: ${tunnel.undo}`);

  /** Starts the tunnel's service, or says how to start the tunnel by hand where there is no systemd. */
  async function keepUp({ service }: Tunnel): Promise<void> {
    if (service === undefined) return;
    const manager = await userManager(env, { uid, name }, { linger: false }).catch((error: unknown) => {
      if (error instanceof ServiceError) return undefined;
      throw error;
    });
    if (manager === undefined) {
      throw new ServiceError(
        `This user has no systemd that could keep the tunnel up. Run it in a terminal of its own:\n\n  ${service.command}\n\nthen check it: bin/claude-relay expose check --url ${publicUrl}`,
      );
    }
    const template = readFileSync(join(root, 'systemd', service.name), 'utf8');
    const text = tunnelUnit(template, service, { config, root, home }, await hasNamespaces(manager.run));
    const unit = unitPath(env, service.name);
    say(`${change ? 'write' : 'would write'} ${unit}, and start it: ${service.command}`);
    if (change) await startTunnel(manager.run, unit, text, service);
  }

  async function verify(url: string, tunnel?: Tunnel): Promise<void> {
    const exposure = await checkExposure(url, options.wait * 1000);
    if (exposure.state === 'safe') {
      say(`ok   ${url}/health answers, and without a valid key it is 401`);
      if (exposure.showsDetails) {
        say(
          `Warning: ${url}/ready shows its details to strangers, because they look like programs of this machine. Let the proxy pass Host, or send X-Forwarded-For.`,
        );
      }
      return;
    }
    const log = tunnel?.service === undefined ? '' : await tunnelLog(run, tunnel.service.name);
    if (tunnel !== undefined) await takeAway();
    const advice = tunnel?.explain(log);
    throw new ServiceError(
      [
        `${url} ${exposure.state === 'open' ? 'is open' : 'does not reach the relay'}: ${exposure.reason}.`,
        ...(tunnel === undefined ? [] : ['The tunnel was taken away again.']),
        ...(advice === undefined ? [] : [advice]),
        ...(log === '' ? [] : ['', 'The tunnel said:', log]),
      ].join('\n'),
    );
  }

  async function takeAway(): Promise<void> {
    if (tool === 'check') throw new ServiceError('--off goes with a tunnel.');
    if (tool === 'tailscale') {
      await tailscaleOff({ run, httpsPort });
      say(`Turned the funnel on port ${httpsPort} off.`);
      return;
    }
    const service = `claude-relay-${tool}.service`;
    const was = await stopTunnel(run, unitPath(env, service), service, home);
    say(was ? `Stopped ${service} and removed it.` : `There is no ${service} here.`);
  }

  function prepare(kind: Exclude<Tool, 'check'>, given: TunnelOptions): Promise<Tunnel> {
    if (kind === 'ngrok') return ngrok(given, env);
    return kind === 'tailscale' ? tailscale(given) : cloudflared(given, env);
  }
}

function warn(config: Config, say: (line: string) => void): void {
  if (!hasUsableKey(config.dataDir))
    say('Warning: there is no key yet, so nobody can use the relay: bin/genkey my-app');
  for (const limit of limitsOff(config)) {
    const what = limit.startsWith('FETCH_') ? 'fetch without end' : 'use up your plan';
    say(`Warning: ${limit} is 0: that limit is off. Who gets hold of a key could ${what}.`);
  }
  if (!config.trustProxy.includes('loopback')) {
    say(
      'Warning: TRUST_PROXY is not loopback. Every caller will look like this machine, so that wrong keys are counted for all strangers together: put TRUST_PROXY=loopback into config.env and restart the relay.',
    );
  }
}

function hasUsableKey(dataDir: string): boolean {
  // To look is not to make one.
  if (!existsSync(join(dataDir, 'relay.db'))) return false;
  const store = openStore(dataDir);
  try {
    const keys = openKeys(store).list();
    return keys.some(({ expiresAt }) => expiresAt === undefined || expiresAt > Date.now());
  } finally {
    store.close();
  }
}

function requireUrl(url: string | undefined): string {
  if (url === undefined || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new ServiceError('Give the public URL: --url https://relay.example.com');
  }
  return url;
}
