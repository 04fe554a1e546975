/** An address of this machine that the relay can listen on. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { CommandError } from '../command-error.ts';
import { checkOllamaAddress, type Key, type OllamaAddress } from '../keys/key.ts';

/** The address in one spelling. The relay itself can listen on those `ofKeys`. Throws KeyError, and CommandError if nothing can listen there. */
export async function freeAddress(given: OllamaAddress, ofKeys: readonly Key[]): Promise<OllamaAddress> {
  const address = checkOllamaAddress(given);
  if (ofKeys.some(({ ollama }) => ollama?.host === address.host && ollama.port === address.port))
    return address;
  const server = createServer();
  try {
    server.listen(address.port, address.host);
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return address;
  } catch (error) {
    throw new CommandError(sentence((error as NodeJS.ErrnoException).code ?? 'unknown error', address));
  }
}

function sentence(code: string, { host, port }: OllamaAddress): string {
  if (code === 'EADDRINUSE') {
    return `Port ${port} of ${host} is in use, perhaps by Ollama itself. Stop that program, or choose another port.`;
  }
  if (code === 'EADDRNOTAVAIL') return `This machine does not have the address ${host}.`;
  if (code === 'EACCES') return `This user cannot listen on port ${port}. Choose 1024 or more.`;
  return `Nothing can listen on port ${port} of ${host} (${code}).`;
}
