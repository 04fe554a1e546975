/** `claude-relay expose`: gives the relay a public URL through the owner's tunnel, and checks it before and after. */
import { resolve } from 'node:path';
import { Argument, Option, type Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { loadConfig, loadConfigIfValid, processEnv, type Config } from '../config.ts';
import { installCommand, relayCommand, runCommand } from '../installation.ts';
import { probe } from '../service/call.ts';
import { cloudflared } from '../service/cloudflared.ts';
import { checkExposure } from '../service/exposure.ts';
import { ngrok } from '../service/ngrok.ts';
import { localUrl } from '../service/ready.ts';
import { runProgramWith, type RunProgram } from '../service/run-program.ts';
import type { Say } from '../service/setup.ts';
import { packageSettings } from '../service/settings-file.ts';
import { units } from '../service/state.ts';
import { journal, removeUnit, unitPath } from '../service/systemd.ts';
import { funnelPorts, tailscale, tailscaleOff } from '../service/tailscale.ts';
import { startTunnel, tunnelUnit } from '../service/tunnel-service.ts';
import type { TunnelService } from '../service/tunnel.ts';
import { hasNamespaces, userManager } from '../service/user-manager.ts';
import { addSections } from './help.ts';
import type { InstallContext } from './install.ts';
import { parseCount, parseUrl } from './text/parse.ts';
import { processTerminal } from './text/terminal.ts';
import { exposureWarnings } from './settings-warnings.ts';

const tools = { ngrok, tailscale, cloudflared };
const choices = [...Object.keys(tools), 'check'];
type Tool = keyof typeof tools;
type Options = {
  dryRun?: boolean;
  off?: boolean;
  hostname?: string;
  httpsPort: string;
  url?: string;
  wait: number;
};

export function addExposeCommand(program: Command, context: InstallContext): void {
  const command = program
    .command('expose')
    .description('give the relay a public URL through your tunnel, and check that it requires a key')
    .addArgument(new Argument('<tool>', 'the tunnel; `check` only checks a URL').choices(choices))
    .option('--dry-run', 'check the tool and print the steps; expose nothing')
    .option('--off', 'remove the tunnel')
    .option('--hostname <name>', 'with cloudflared: the public name, in a zone of your account')
    .addOption(
      new Option('--https-port <port>', 'with tailscale: the public port')
        .choices(funnelPorts)
        .default('443'),
    )
    .option('--url <url>', "the public URL, if it differs from the tool's settings", parseUrl)
    .option('--wait <seconds>', 'how long to wait for the public URL to answer', parseCount(0, 600), 60)
    .action((tool: Tool | 'check', options: Options) => expose(tool, options, context));
  addSections(
    command,
    {
      title: 'Files',
      items: [
        ['$XDG_CONFIG_HOME/systemd/user/claude-relay-ngrok.service', 'the tunnel by ngrok'],
        ['$XDG_CONFIG_HOME/systemd/user/claude-relay-cloudflared.service', 'the tunnel by cloudflared'],
        ['~/.config/claude-relay/cloudflared.yml', "the settings of cloudflared's tunnel"],
      ],
    },
    {
      title: 'Examples',
      items: [
        ['claude-relay expose tailscale --dry-run', 'show the steps'],
        ['claude-relay expose cloudflared --hostname relay.example.com', 'your domain'],
        ['claude-relay expose check --url https://relay.example.com', 'your proxy'],
      ],
    },
  );
}

/** One run of the command. */
type Expose = {
  options: Options;
  env: Record<string, string>;
  /** config.env. */
  settingsFile: string;
  run: RunProgram;
  say: Say;
};

async function expose(tool: Tool | 'check', options: Options, context: InstallContext): Promise<void> {
  const { terminal = processTerminal(), env: shell = processEnv } = context;
  const { config: readable, env } = loadConfigIfValid(context.configFile(), shell);
  const run = runProgramWith(env);
  const say: Say = (line) => terminal.err(`${line}\n`);
  const its: Expose = { options, env, settingsFile: resolve(context.configFile()), run, say };
  if (options.off === true) {
    if (tool === 'check') throw new CommandError('--off requires a tunnel.');
    return takeDown(its, tool);
  }
  const config = readable ?? loadConfig({ env: shell, file: context.configFile() });
  for (const { detail, fix } of exposureWarnings(config)) {
    say(`Warning: ${detail}\n         -> ${fix}`);
  }
  const local = localUrl(config);
  const health = await probe(`${local}/health`);
  if (health.status !== 200) {
    throw new CommandError(
      `The relay does not answer on ${local} (${health.result}). Start the relay first: ${installCommand}, or ${runCommand} in another terminal.`,
    );
  }
  say(`ok   the relay answers on ${local}`);
  if (tool === 'check') {
    if (options.url === undefined) {
      throw new CommandError('Give the public URL: --url https://relay.example.com');
    }
    const problem = await problemAt(options.url, its);
    if (problem !== undefined) throw new CommandError(problem);
    return;
  }
  const change = options.dryRun !== true;
  const { hostname, httpsPort } = options;
  const tunnel = await tools[tool]({ config, run, local, hostname, httpsPort, change, say });
  const publicUrl = options.url ?? tunnel.publicUrl;
  if (tunnel.service !== undefined) await keepUp(its, tunnel.service, config, publicUrl);
  if (!change) return say(`Nothing was exposed. Without --dry-run the public URL would be ${publicUrl}`);
  const problem = await problemAt(publicUrl, its);
  if (problem !== undefined) {
    const log = tunnel.service === undefined ? '' : await journal(run, tunnel.service.unit, 15);
    await takeDown(its, tool);
    throw new CommandError(`${problem}\nThe tunnel was removed.${log && `\n\nIts log:\n${log}`}`);
  }
  const port = tool === 'tailscale' && httpsPort !== '443' ? ` --https-port ${httpsPort}` : '';
  say(`     to remove it: ${relayCommand} expose ${tool} --off${port}`);
}

/** Starts the tunnel's service. Without systemd, throws CommandError with the command to run instead. */
async function keepUp(
  { options, env, settingsFile, say }: Expose,
  service: TunnelService,
  config: Config,
  publicUrl: string,
): Promise<void> {
  const manager = await userManager(env, { linger: false }).catch((cause: unknown) => {
    throw new CommandError(
      `This user has no systemd to keep the tunnel running. Run the tunnel in a separate terminal:\n\n  ${service.command}\n\nThen check it: ${relayCommand} expose check --url ${publicUrl}`,
      { cause },
    );
  });
  // An upgrade from a checkout to a package moves them.
  const files = [...new Set([settingsFile, packageSettings(env)])];
  const text = tunnelUnit(service, config, files, await hasNamespaces(manager.run));
  const path = unitPath(env, service.unit);
  const change = options.dryRun !== true;
  say(`${change ? 'write' : 'would write'} ${path}, and start it: ${service.command}`);
  if (change) await startTunnel(manager.run, path, text, service);
}

/** Resolves to undefined when the relay answers at the URL and requires a key, and otherwise to what is wrong. */
async function problemAt(url: string, { options, say }: Expose): Promise<string | undefined> {
  const exposure = await checkExposure(url, options.wait * 1000);
  if (exposure.state !== 'safe') {
    return `${url} ${exposure.state === 'open' ? 'is open' : 'does not reach the relay'}: ${exposure.reason}.`;
  }
  say(`ok   ${url} leads to the relay, which requires a key`);
  if (exposure.showsDetails) {
    say(
      `Warning: ${url}/ready shows its details to strangers, because they look like programs of this machine. Make the proxy pass Host, or send X-Forwarded-For.`,
    );
  }
  return undefined;
}

async function takeDown({ options, env, run, say }: Expose, tool: Tool): Promise<void> {
  if (tool === 'tailscale') {
    await tailscaleOff(run, options.httpsPort);
    return say(`Turned Funnel off on port ${options.httpsPort}.`);
  }
  if (!(await removeUnit(env, units[tool], say))) say(`${units[tool]} is not installed.`);
}
