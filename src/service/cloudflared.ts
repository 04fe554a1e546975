/** Cloudflare Tunnel (cloudflared): a tunnel named claude-relay for a name in the owner's zone, kept up by a service of this user. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../command-error.ts';
import { isHostname } from '../network.ts';
import { firstLine } from './run-program.ts';
import { units } from './state.ts';
import { commandWord } from './template.ts';
import { cloudflaredSettings } from './tunnel-service.ts';
import { runTool, toolWord, type Tunnel, type TunnelOptions } from './tunnel.ts';

const tunnelName = 'claude-relay';
/** With `change`, creates the tunnel and its DNS record if they are missing. Throws CommandError. */
export async function cloudflared(options: TunnelOptions): Promise<Tunnel> {
  const { config, run, local, change, say } = options;
  const home = config.hostEnv['HOME'] ?? '';
  say(`ok   ${firstLine(await runTool(run, 'cloudflared', ['--version']))}`);
  const hostname = options.hostname?.toLowerCase();
  if (hostname === undefined || !isHostname(hostname)) {
    throw new CommandError(
      'Give the public name, in a zone of your Cloudflare account: --hostname relay.example.com',
    );
  }
  let id = await tunnelId(options);
  if (id !== undefined) say(`ok   tunnel ${tunnelName} is ${id}`);
  const steps = [
    ...(id === undefined ? [['tunnel', 'create', tunnelName]] : []),
    ['tunnel', 'route', 'dns', tunnelName, hostname],
  ];
  for (const args of steps) {
    say(`${change ? 'run ' : 'would run'} cloudflared ${args.join(' ')}`);
    if (change) await runTool(run, 'cloudflared', args);
  }
  id = change ? await tunnelId(options) : (id ?? '<its id>');
  if (id === undefined) throw new CommandError(`cloudflared did not create the tunnel ${tunnelName}.`);
  const credentials = join(home, '.cloudflared', `${id}.json`);
  if (change && !existsSync(credentials)) {
    throw new CommandError(
      `The tunnel ${tunnelName} was created on another machine: ${credentials} is missing here. Copy that file, or delete the tunnel and try again: cloudflared tunnel delete ${tunnelName}`,
    );
  }
  const path = cloudflaredSettings(home);
  return {
    publicUrl: `https://${hostname}`,
    service: {
      unit: units.cloudflared,
      values: { cloudflared: toolWord('cloudflared', options), settings: commandWord(path) },
      command: `cloudflared tunnel --config ${path} --no-autoupdate run`,
      settings: { path, text: settingsFile(id, credentials, hostname, local) },
    },
  };
}

async function tunnelId({ run }: Pick<TunnelOptions, 'run'>): Promise<string | undefined> {
  const args = ['tunnel', 'list', '--name', tunnelName, '--output', 'json'];
  const listed = await runTool(run, 'cloudflared', args, (output) =>
    /origin cert/i.test(output)
      ? 'cloudflared is not logged in. Run cloudflared tunnel login, and choose the zone of the name.'
      : undefined,
  );
  // `null` when no tunnel matches.
  const tunnels = JSON.parse(listed.stdout || '[]') as { id: string; name: string }[] | null;
  return tunnels?.find(({ name }) => name === tunnelName)?.id;
}

/** A separate file, so that another tunnel's settings do not apply. JSON is valid YAML. */
function settingsFile(id: string, credentials: string, hostname: string, service: string): string {
  const settings = {
    tunnel: id,
    'credentials-file': credentials,
    ingress: [{ hostname, service }, { service: 'http_status:404' }],
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}
