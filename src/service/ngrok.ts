/** ngrok (agent 3): a reserved domain, kept up by a service of this user. */
import { readFileSync } from 'node:fs';
import { CommandError } from '../command-error.ts';
import { firstLine, saidBy } from './run-program.ts';
import { units } from './state.ts';
import { commandWord } from './template.ts';
import { requireTool, toolWord, type Tunnel, type TunnelOptions } from './tunnel.ts';

/** What to do about the error codes of a first start (ngrok.com/docs/errors). */
const codes: Readonly<Record<string, string>> = {
  ERR_NGROK_105:
    'The authtoken is not valid: ngrok config add-authtoken <token>, from https://dashboard.ngrok.com/get-started/your-authtoken',
  ERR_NGROK_107:
    'The authtoken was revoked or reset: ngrok config add-authtoken <token>, from https://dashboard.ngrok.com/get-started/your-authtoken',
  ERR_NGROK_108:
    'This account allows no more agents at the same time. Stop one: https://dashboard.ngrok.com/agents',
  ERR_NGROK_319:
    'This domain is not reserved for your account. Reserve it at https://dashboard.ngrok.com/domains, or set NGROK_DOMAIN to your domain.',
  ERR_NGROK_320:
    'This domain is reserved for another account. Set NGROK_DOMAIN to your domain (https://dashboard.ngrok.com/domains).',
  ERR_NGROK_334:
    'Another agent already serves this domain, perhaps on another machine or in a terminal. Stop that agent, or use another domain.',
  ERR_NGROK_4018:
    'ngrok has no authtoken: ngrok config add-authtoken <token>, from https://dashboard.ngrok.com/get-started/your-authtoken',
};

/** Prepares the tunnel and starts nothing. Throws CommandError when ngrok is missing or not set up. */
export async function ngrok({ config, run, local, say }: TunnelOptions): Promise<Tunnel> {
  say(`ok   ${await requireTool(run, 'ngrok', ['version'], 'https://ngrok.com/download')}`);
  if (config.ngrokDomain === undefined) {
    throw new CommandError(
      'NGROK_DOMAIN is not set. Every account has a domain (https://dashboard.ngrok.com/domains): set it in config.env, as in NGROK_DOMAIN=name.ngrok-free.app',
    );
  }
  const checked = await run('ngrok', ['config', 'check']);
  const file = /configuration file at (.+)$/m.exec(saidBy(checked))?.[1]?.trim();
  if (checked.status !== 0 || file === undefined || !hasToken(file)) {
    throw new CommandError(`ngrok is not set up (${firstLine(checked)}). ${codes['ERR_NGROK_4018'] ?? ''}`);
  }
  say(`ok   ngrok has an authtoken in ${file}`);
  const publicUrl = `https://${config.ngrokDomain}`;
  return {
    publicUrl,
    service: {
      unit: units.ngrok,
      values: {
        ngrok: toolWord('ngrok', { config }),
        public_url: commandWord(publicUrl),
        local: commandWord(local),
      },
      command: `ngrok http --url=${publicUrl} ${local}`,
    },
    undo: 'bin/claude-relay expose ngrok --off',
    explain: (log) => codes[/ERR_NGROK_\d+/.exec(log)?.[0] ?? ''],
  };
}

function hasToken(file: string): boolean {
  try {
    return /^\s*authtoken:\s*\S/m.test(readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
}
