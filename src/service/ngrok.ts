/** ngrok (agent 3): a reserved domain, kept up by a service of this user. */
import { readFileSync } from 'node:fs';
import { CommandError } from '../command-error.ts';
import { firstLine, saidBy } from './run-program.ts';
import { units } from './state.ts';
import { commandWord } from './template.ts';
import { runTool, toolWord, type Tunnel, type TunnelOptions } from './tunnel.ts';

/** Prepares the tunnel and starts nothing. Throws CommandError when ngrok is missing or not set up. */
export async function ngrok({ config, run, local, say }: TunnelOptions): Promise<Tunnel> {
  say(`ok   ${firstLine(await runTool(run, 'ngrok', ['version']))}`);
  if (config.ngrokDomain === undefined) {
    throw new CommandError(
      'NGROK_DOMAIN is not set. Every account has a domain (https://dashboard.ngrok.com/domains): set it in config.env, as in NGROK_DOMAIN=name.ngrok-free.app',
    );
  }
  const checked = await run('ngrok', ['config', 'check']);
  const file = /configuration file at (.+)$/m.exec(saidBy(checked))?.[1]?.trim();
  if (checked.status !== 0 || file === undefined || !hasToken(file)) {
    throw new CommandError(
      `ngrok is not set up (${firstLine(checked)}). Set its authtoken: ngrok config add-authtoken <token>, from https://dashboard.ngrok.com/get-started/your-authtoken`,
    );
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
  };
}

function hasToken(file: string): boolean {
  try {
    return /^\s*authtoken:\s*\S/m.test(readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
}
