/**
 * The image, run by Docker as packaging/image/compose.yaml has it, with a stand-in for the model on the host:
 *
 *   npm run e2e:image [-- --base image]     the base image in place of the Dockerfile's
 *
 * Needs Docker with compose 2.24, and port 8799. It takes some minutes, and a download.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseArgs } from 'node:util';
import { lastUserTexts } from '../../src/claude/proof/stand-in.ts';
import { blocks } from '../support/documents.ts';
import { startFailingModel } from '../support/failing-model.ts';
import { processTable } from '../support/processes.ts';
import { eventually, poster, root } from '../support/relay.ts';

const { base } = parseArgs({ options: { base: { type: 'string' } } }).values;
const url = 'http://127.0.0.1:8799';
const image = 'localhost/claude-relay:e2e';
const nextImage = 'localhost/claude-relay:e2e-next';
const nextVersion = '99.0.0';
const secret = 'sk-ant-e2e-secret';

const scratch = mkdtempSync(join(tmpdir(), 'image-e2e-'));
const secretFile = join(scratch, 'claude-login');
writeFileSync(secretFile, `${secret}\n`);
// For the container's user. Nobody else can enter the directory.
chmodSync(secretFile, 0o644);

/** Answers at once, but a prompt with "slow" waits for its word. */
let slow = Promise.withResolvers<void>();
const model = await startFailingModel({
  reply: async ({ json }) => {
    if (json !== undefined && lastUserTexts(json).join().includes('slow')) await slow.promise;
    return { kind: 'text', text: 'hello' };
  },
});
/** The stand-in listens on loopback, which a container does not reach. */
const door = createServer((socket) => {
  const upstream = connect(Number(new URL(model.url).port), '127.0.0.1');
  for (const end of [socket, upstream]) end.on('error', () => end.destroy());
  socket.pipe(upstream).pipe(socket);
}).listen(0, '0.0.0.0');
await once(door, 'listening');
const modelPort = String((door.address() as AddressInfo).port);

type Run = { status: number | null; stdout: string; stderr: string };

type ComposeOptions = {
  tag?: string;
  /** Further compose files. */
  files?: readonly string[];
  /** Paths. */
  stdin?: string;
  stdout?: string;
};

function compose(args: readonly string[], { tag = image, files = [], ...paths }: ComposeOptions = {}): Run {
  const own = ['packaging/image/compose.yaml', 'test/image/compose.yaml'].map((file) => join(root, file));
  const stdin = paths.stdin === undefined ? 'ignore' : openSync(paths.stdin, 'r');
  const stdout = paths.stdout === undefined ? 'pipe' : openSync(paths.stdout, 'w');
  try {
    return spawnSync(
      'docker',
      [
        ...['compose', '--project-name', 'claude-relay-e2e', '--project-directory', scratch],
        ...[...own, ...files].flatMap((file) => ['--file', file]),
        ...args,
      ],
      {
        encoding: 'utf8',
        stdio: [stdin, stdout, 'pipe'],
        env: { ...process.env, IMAGE: tag, MODEL_PORT: modelPort, SECRET: secretFile },
      },
    );
  } finally {
    for (const file of [stdin, stdout]) if (typeof file === 'number') closeSync(file);
  }
}

function composed(args: readonly string[], options?: ComposeOptions): string {
  const { status, stdout, stderr } = compose(args, options);
  assert.equal(status, 0, `docker compose ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout.trim();
}

const docker = (...args: string[]): string => execFileSync('docker', args, { encoding: 'utf8' }).trim();
const container = (): string => composed(['ps', '--all', '--quiet', 'relay']);
const inside = (...command: string[]): string => composed(['exec', '-T', 'relay', ...command]);
const relay = (...command: string[]): string => inside('claude-relay', ...command);
const figures: string[] = [];

async function start(options: ComposeOptions = {}): Promise<void> {
  const began = performance.now();
  composed(['up', '--detach'], options);
  await eventually('the relay is ready', async () => {
    const answer = await fetch(`${url}/ready`).catch(() => undefined);
    return answer?.ok === true;
  });
  figures.push(`ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

type KeyState = {
  id: string;
  label: string;
  requests_today?: number;
  usd_today: number;
  tokens_today: number;
};
const keyState = (): KeyState => JSON.parse(relay('key', 'show', 'my-app', '--json')) as KeyState;

after(async () => {
  composed(['down', '--volumes', '--timeout', '0']);
  await model.close();
  door.close();
  rmSync(scratch, { recursive: true });
  console.log(figures.join('\n'));
});

let key = '';
const ask = (prompt: string) => poster(url, key).complete({ prompt });

test('the image is built', () => {
  const args = ['--engine', 'docker', '--tag', image, ...(base === undefined ? [] : ['--base', base])];
  execFileSync(process.execPath, [join(root, 'packaging/image/build.ts'), ...args], { stdio: 'inherit' });
  const mib = Number(docker('image', 'inspect', '--format', '{{.Size}}', image)) / 2 ** 20;
  figures.push(`image: ${mib.toFixed(0)} MiB`);
});

test('without a key the relay does not start in its container', () => {
  const { status, stdout, stderr } = compose(['run', '--rm', 'relay']);
  assert.equal(status, 1, stdout + stderr);
  assert.match(
    stderr,
    /HOST is 0\.0\.0\.0, .* no valid key\. Create one first: docker compose run --rm relay key create my-app/,
  );
});

test('with a key the container gets healthy and answers', async () => {
  key = composed(['run', '--rm', 'relay', 'key', 'create', 'my-app']);
  assert.match(key, /^crk_/);
  await start();
  composed(['up', '--detach', '--wait']);
  const { status, body } = await ask('Say hello.');
  assert.deepEqual([status, body['text']], [200, 'hello']);
  assert.equal(model.requests.at(-1)?.headers['x-api-key'], secret, 'the login of the secret file is used');
  figures.push(
    `memory after an answer: ${docker('stats', '--no-stream', '--format', '{{.MemUsage}}', container())}`,
  );
});

test('files and network of the processes are sealed', () => {
  const logs = compose(['logs', '--no-log-prefix']).stdout;
  const line = /"msg":"(sealed: network by \w+, files by \w+)"/.exec(logs)?.[1] ?? '';
  assert.match(line, /network by (?:namespace|filter), files by (?:bwrap|landlock)/);
  figures.push(line);
});

/** Another address of this machine. */
const gateway = (): string =>
  docker('network', 'inspect', '--format', '{{(index .IPAM.Config 0).Gateway}}', 'bridge');

test('only this machine reaches the published port', async () => {
  const published = docker('inspect', '--format', '{{json .NetworkSettings.Ports}}', container());
  assert.deepEqual(JSON.parse(published), { '8799/tcp': [{ HostIp: '127.0.0.1', HostPort: '8799' }] });
  await assert.rejects(fetch(`http://${gateway()}:8799/health`));
});

test('the relay is an ordinary user without capabilities on a read-only root', () => {
  const status = inside('cat', '/proc/1/status');
  assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
  assert.match(status, /^CapEff:\t0+$/m);
  assert.match(status, /^CapBnd:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.equal(inside('cat', '/proc/1/comm'), 'tini');
  const { status: refused, stderr } = compose(['exec', '-T', 'relay', 'touch', '/usr/lib/claude-relay/x']);
  assert.equal(refused, 1);
  assert.match(stderr, /Read-only file system/);
});

test('the login is in no environment, image or log', () => {
  for (const text of [
    docker('inspect', container()),
    docker('image', 'inspect', image),
    docker('history', '--no-trunc', image),
    inside('cat', '/proc/1/environ'),
    compose(['logs']).stdout,
  ])
    assert.ok(!text.includes(secret));
});

test('a killed container leaves no process, and keeps keys and counts', async () => {
  const before = keyState();
  assert.ok(before.tokens_today > 0);
  slow = Promise.withResolvers();
  const count = model.requests.length;
  const cut = ask('slow').catch((error: unknown) => error);
  await eventually('the model is asked', () => model.requests.length > count);
  const claudes = (): number[] =>
    processTable().flatMap(({ pid }) => (commandOf(pid).startsWith('/usr/local/bin/claude') ? [pid] : []));
  assert.ok(claudes().length > 0);
  docker('kill', '--signal', 'KILL', container());
  assert.ok((await cut) instanceof Error);
  await eventually('every process is gone', () => claudes().length === 0);
  slow.resolve();
  await start();
  assert.deepEqual(keyState(), { ...before, tokens_today: keyState().tokens_today });
  assert.ok(keyState().tokens_today >= before.tokens_today);
  assert.equal((await ask('again')).status, 200);
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

test('a stop lets a running request finish', async () => {
  slow = Promise.withResolvers();
  const count = model.requests.length;
  const answer = ask('slow');
  await eventually('the model is asked', () => model.requests.length > count);
  docker('kill', '--signal', 'TERM', container());
  await eventually('it drains', async () => (await fetch(`${url}/ready`)).status === 503);
  slow.resolve();
  assert.equal((await answer).status, 200);
  assert.equal(docker('wait', container()), '0');
  await start();
});

test('a backup restores the keys into a new volume', async () => {
  const backup = join(scratch, 'backup.tar.gz');
  const tar = ['run', '--rm', '--no-TTY', '--entrypoint', 'tar', 'relay'];
  composed(['stop']);
  assert.equal(compose([...tar, '-czf', '-', '--exclude=./.cache', '.'], { stdout: backup }).status, 0);
  composed(['down', '--volumes']);
  assert.equal(compose([...tar, '-xzf', '-'], { stdin: backup }).status, 0);
  await start();
  assert.equal(keyState().label, 'my-app');
});

test("the owner's page answers where the container uses the network of the machine", async () => {
  const [override = ''] = blocks(readFileSync(join(root, 'docs/install.md'), 'utf8'), 'yaml');
  writeFileSync(join(scratch, 'override.yaml'), override);
  await start({ files: [join(scratch, 'override.yaml')] });
  const link = relay('dashboard', '--print');
  assert.match(link, /^http:\/\/127\.0\.0\.1:8798\/open\?code=/);
  assert.equal((await fetch(link)).status, 200);
  await assert.rejects(fetch(`http://${gateway()}:8799/health`));
});

test('another version of the image serves the same keys', async () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as object;
  writeFileSync(join(scratch, 'package.json'), JSON.stringify({ ...manifest, version: nextVersion }));
  writeFileSync(
    join(scratch, 'Dockerfile'),
    `FROM ${image}\nCOPY package.json /usr/lib/claude-relay/package.json\n`,
  );
  docker('build', '--tag', nextImage, scratch);
  await start({ tag: nextImage });
  const { info } = (await (await fetch(`${url}/openapi.json`)).json()) as { info: { version: string } };
  assert.equal(info.version, nextVersion);
  assert.equal((await ask('after the upgrade')).status, 200);
});

test('the doctor has no advice that makes no sense in a container', () => {
  const { checks } = JSON.parse(
    compose(['exec', '-T', 'relay', 'claude-relay', 'doctor', '--json']).stdout,
  ) as {
    checks: { fix: string | null }[];
  };
  const fixes = checks.map(({ fix }) => fix ?? '').join('\n');
  assert.doesNotMatch(fixes, /install|bin\/|systemctl|HOST=127/);
});

test('a secret file that is empty, and no login at all, stop the start', () => {
  writeFileSync(secretFile, '');
  composed(['down']);
  const { status, stderr } = compose(['run', '--rm', 'relay']);
  assert.equal(status, 1);
  assert.match(stderr, /ANTHROPIC_API_KEY_FILE names \/run\/secrets\/claude-login, which is empty/);
  const noLogin = compose(['run', '--rm', '--env', 'ANTHROPIC_API_KEY_FILE=', 'relay']);
  assert.equal(noLogin.status, 1);
  assert.match(noLogin.stderr, /There is no login for Claude Code\. Name a secret file/);
});
