/** What a process could reach outside of its seal: canaries of every kind, which a program tries to reach (test/fixtures/seal). */
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lockedEnv } from '../../src/claude/lock.ts';
import { goneWithin, startProcess } from '../../src/claude/process.ts';
import type { Seal } from '../../src/claude/seal/seal.ts';

export const escapee: string = fileURLToPath(new URL('../fixtures/seal/escape.pl', import.meta.url));

/** Addresses of this machine for the time of a test; they are reserved for documents. */
const addresses = { lan: '10.213.77.1', public: '203.0.113.77', public6: '2001:db8::77' };

export type Outside = Awaited<ReturnType<typeof startOutside>>;

/** `addresses`: whether to add them to the machine for that time, which takes root. */
export async function startOutside({ addresses: adds = true } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'escape-'));
  const path = (...parts: string[]): string => join(directory, ...parts);
  const write = (file: string, text = 'canary\n'): string => {
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text);
    return file;
  };
  const id = directory.slice(-6);
  const servers = [...Array(6)].map(() =>
    createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.end('canary\n'));
    }),
  );
  const listen = async (index: number, place: object): Promise<number> => {
    const server = servers[index];
    if (server === undefined) throw new Error('no server');
    server.listen(place);
    await once(server, 'listening');
    const address = server.address();
    return typeof address === 'object' ? (address?.port ?? 0) : 0;
  };
  const udp = createSocket('udp4', (_message, { port, address }) => udp.send('canary\n', port, address));
  udp.bind(0, '0.0.0.0');
  await once(udp, 'listening');
  const addressOf = (verb: string): void => {
    if (!adds) return;
    for (const [name, address] of Object.entries(addresses)) {
      const prefix = name.endsWith('6') ? 128 : 32;
      execFileSync('ip', [
        'address',
        verb,
        `${address}/${prefix}`,
        'dev',
        'lo',
        ...(prefix === 128 ? ['nodad'] : []),
      ]);
    }
  };
  addressOf('replace');
  const fifo = path('fifo');
  execFileSync('mkfifo', [fifo]);
  // Without a reader nothing could be written.
  const reader = openSync(fifo, 'r+');
  const env = { PATH: process.env['PATH'], CANARY: 'canary' };
  const other = spawn('sleep', ['600'], { env, stdio: [reader, 'ignore', 'ignore'] });
  const shm = 0x5ea1_0000 + (process.pid & 0xffff);
  execFileSync('perl', ['-e', `defined shmget(${shm}, 64, 01666) or die`]);
  const shmFile = `escape-${id}`;
  write(`/dev/shm/${shmFile}`);
  const home = path('home');
  const claude = path('home', '.claude');
  const written = {
    'shell profile, written': write(path('home', '.bashrc')),
    'file in the temporary directory, written': write(path('secret')),
    'settings of the next session, written': write(path('home', '.claude', 'settings.json'), '{}'),
  };
  write(path('home', '.claude', 'projects', 'x.jsonl'));
  write(path('home', '.ssh', 'id_ed25519'));
  write(path('data', 'relay.sqlite'));
  const targets = {
    relay: process.pid,
    other: other.pid,
    otherFile: write(path('relay-1-other', 'tmp', 'file')),
    address: Number.parseInt(readFileSync('/proc/self/maps', 'latin1'), 16),
    ...addresses,
    tcp: await listen(0, { port: 0, host: '0.0.0.0' }),
    tcp6: await listen(1, { port: 0, host: '::', ipv6Only: true }),
    udp: udp.address().port,
    unix: path('unix.sock'),
    bus: path('bus'),
    docker: path('docker.sock'),
    abstract: `escape-${id}`,
    ...{ fifo, shm, shmFile, home, claude, outside: directory },
    secret: path('secret'),
    data: path('data'),
    config: write(path('config.env')),
    etc: '/etc/hostname',
  };
  await listen(2, { path: targets.unix });
  await listen(3, { path: targets.bus });
  await listen(4, { path: targets.docker });
  await listen(5, { path: `\0${targets.abstract}` });

  return {
    home,
    /** What came of each try: `open`, or why it failed. */
    tryAll: async (seal: Seal, hostEnv: Record<string, string>): Promise<Map<string, string>> => {
      const contents = Object.values(written).map((file) => readFileSync(file, 'utf8'));
      const results = new Map<string, string>();
      const child = startProcess({
        command: escapee,
        args: [],
        seal: seal.words(hostEnv),
        env: (tmp) => lockedEnv(hostEnv, tmp),
        prepareCwd: (cwd) =>
          writeFileSync(
            join(cwd, 'targets.txt'),
            Object.entries(targets)
              .map(([name, value]) => `${name}=${value}\n`)
              .join(''),
          ),
        listener: {
          onLine: (line) => {
            const [name = '', result = ''] = line.split('\t');
            results.set(name, result);
          },
        },
      });
      child.finish();
      await goneWithin(child, 60_000);
      // A sealed process can have written to a file of the same name that nobody else sees.
      for (const [index, [name, file]] of Object.entries(written).entries())
        if (readFileSync(file, 'utf8') === contents[index] && results.get(name) === 'open')
          results.set(name, 'only it sees the file');
      const created = path('new');
      if (!existsSync(created) && results.get('new file in the temporary directory') === 'open')
        results.set('new file in the temporary directory', 'only it sees the file');
      rmSync(created, { force: true });
      if (child.stderrTail() !== '') throw new Error(child.stderrTail());
      return results;
    },
    close: (): void => {
      for (const server of servers) server.close();
      udp.close();
      other.kill();
      closeSync(reader);
      addressOf('delete');
      execFileSync('ipcrm', ['-M', String(shm)]);
      rmSync(`/dev/shm/${shmFile}`, { force: true });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
