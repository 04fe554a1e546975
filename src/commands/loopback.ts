/** The relay of this machine, as `ask` reaches it. */
import { CommandError } from '../command-error.ts';
import { type Config, isLoopback } from '../config.ts';
import { localUrl } from '../service/ready.ts';

/**
 * Where the relay of these settings is called from this machine. `given` is another address of the same machine.
 * Throws CommandError: a key, and what is asked, must not leave the machine by a slip of an address.
 */
export function relayUrl(config: Config, given?: string): string {
  if (given === undefined) {
    if (config.port !== 0) return localUrl(config);
    throw new CommandError(
      'PORT is 0, so the relay picks a port at each start: give its address with --url.',
    );
  }
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const host = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  if (url?.protocol !== 'http:' || !(isLoopback(host) || host === config.host)) {
    throw new CommandError(
      `This command calls the relay of this machine only, such as http://127.0.0.1:8799; ${JSON.stringify(given)} is no such address. Unset CLAUDE_RELAY_URL or give another --url; for a relay elsewhere use one of the clients.`,
    );
  }
  return url.origin;
}

export async function* eventData(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = event
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length).trimStart());
      // A comment alone, such as a ping, has none.
      if (data.length > 0) yield JSON.parse(data.join('\n'));
    }
  }
}
