/** The address of the relay of this machine. */
import { CommandError } from '../command-error.ts';
import { type Config, isLoopback } from '../config.ts';
import { localUrl } from '../service/ready.ts';

/**
 * The relay's address. `given` is another address of this machine. Throws CommandError for any other address: a typing error must
 * not send a key or a prompt to another machine.
 */
export function relayUrl(config: Config, given?: string): string {
  if (given === undefined) {
    if (config.port !== 0) return localUrl(config);
    throw new CommandError(
      'PORT is 0, so the relay picks a port at each start. Give its address with --url.',
    );
  }
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const host = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  if (url?.protocol !== 'http:' || !(isLoopback(host) || host === config.host)) {
    throw new CommandError(
      `This command calls only the relay of this machine, such as http://127.0.0.1:8799, and ${JSON.stringify(given)} is another address. Unset CLAUDE_RELAY_URL or give another --url. For a relay on another machine, use one of the clients.`,
    );
  }
  return url.origin;
}

/** Why the relay cannot listen; undefined for a code that has no known cause. */
export function cannotListen(code: string | undefined, { host, port }: Config): string | undefined {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use. Stop the program that listens there, or set PORT.`,
    EADDRNOTAVAIL: `This machine does not have the address ${host}. Change HOST.`,
    EACCES: `This user cannot listen on port ${port}. Set PORT to 1024 or more.`,
  };
  return sentences[code ?? ''];
}

/** The data of a stream's events. The relay writes each as one line; a ping is a comment and has none. */
export async function* eventData(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data:')) yield JSON.parse(line.slice('data:'.length));
  }
}
