/** Runs in the place of the CLI and tries to reach what the proof has put outside. Prints the names of what it reached. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { ProbeTargets } from './checks.ts';

const targets = JSON.parse(process.argv[2] ?? '{}') as ProbeTargets;

/** An error after the answer must not end the program. */
const answered = (place: { port: number; host: string } | { path: string }): Promise<unknown> =>
  once(
    connect(place).on('error', () => {}),
    'data',
  );

const tries: Record<keyof ProbeTargets, () => unknown> = {
  port: () => answered({ port: targets.port, host: '127.0.0.1' }),
  // Finds a route, and sends nothing.
  address: async () => {
    const socket = createSocket('udp4');
    socket.connect(53, targets.address);
    await once(socket, 'connect');
    socket.close();
  },
  socket: () => answered({ path: targets.socket }),
  file: () => readFileSync(targets.file),
  process: () => readFileSync(`/proc/${targets.process}/environ`),
};

process.stdout.write('ran\n');
for (const [name, reach] of Object.entries(tries)) {
  try {
    await reach();
    process.stdout.write(`${name}\n`);
  } catch {
    // It is out of reach.
  }
}
process.exit();
