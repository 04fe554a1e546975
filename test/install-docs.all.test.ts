/** The shell blocks of docs/operations.md, as they stand there: those that can be run are run, and the words of all are the program's. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createProgram } from '../src/commands/program.ts';
import { eventually, root } from './support/relay.ts';
import { serviceUser } from './support/service.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const operations = read('docs/operations.md');

function section(text: string, heading: string): string {
  const [, rest] = text.split(`\n## ${heading}\n`);
  assert.ok(rest !== undefined, `there is no heading "${heading}"`);
  return rest.split(/^## /m)[0] ?? '';
}

function shellBlocks(text: string): string[] {
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
}

test('the documented backup and move keep a key valid on the new machine', async () => {
  const [old, next] = [await serviceUser(), await serviceUser()];
  const complete = async (url: string, key: string): Promise<number> => {
    const response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } }).catch(
      () => undefined,
    );
    return response?.status ?? 0;
  };
  try {
    const installed = await old.run('bin/claude-relay', ['--config', old.configFile, 'install']);
    assert.equal(installed.status, 0, installed.stderr);
    const key = (
      await old.run('bin/claude-relay', ['--config', old.configFile, 'key', 'create', 'app'])
    ).stdout.trim();
    const [backup = ''] = shellBlocks(section(operations, 'Backup'));
    await old.shell(backup);
    const archive = join(old.home, 'claude-relay-backup.tar.gz');
    assert.equal(statSync(archive).mode & 0o777, 0o600);
    await eventually('it serves again', async () => (await complete(old.url, key)) === 200);

    const [move = ''] = shellBlocks(section(operations, 'Moving to another machine'));
    await next.shell(`cp '${archive}' ~/ && ${move}`);
    const there = await next.run('bin/claude-relay', ['--config', next.configFile, 'install']);
    assert.equal(there.status, 0, there.stderr);
    assert.equal(await complete(next.url, key), 200);
    rmSync(archive);
  } finally {
    await Promise.all([old.close(), next.close()]);
  }
});

test('the documented restart revives a service that systemd gave up', async () => {
  const user = await serviceUser();
  try {
    assert.equal((await user.run('bin/claude-relay', ['--config', user.configFile, 'install'])).status, 0);
    await user.shell('systemctl --user stop claude-relay');
    await user.shell(shellBlocks(section(operations, 'State and logs'))[1] ?? '');
    await eventually('it serves again', () =>
      fetch(`${user.url}/ready`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
  } finally {
    await user.close();
  }
});

test('every shell line of install and operations is a known command', () => {
  const program = createProgram();
  const others =
    /^(npm install -g claude-relay|sudo apt install \.\/claude-relay_\*\.deb|docker compose (?:run --rm relay key create my-app|up --detach)|git clone https:\/\/github\.com\/claude-relay\/claude-relay && cd claude-relay|curl -s http:\/\/127\.0\.0\.1:8799\/ready|tar -[cx]zf ~\/claude-relay-backup\.tar\.gz -C ~\/\.local\/share( claude-relay)?|chmod 600 ~\/claude-relay-backup\.tar\.gz|mkdir -p ~\/\.local\/share|journalctl --user -u claude-relay -f|systemctl --user (edit|status|stop|start|reset-failed) claude-relay)$/;
  const readme = read('README.md');
  const blocks = [operations, section(readme, 'Install'), section(readme, 'Expose')].flatMap(shellBlocks);
  const lines = blocks.flatMap((block) => block.trim().split('\n')).map((line) => line.replace(/ +#.*/, ''));
  assert.ok(lines.length > 20);
  for (const line of lines) {
    if (others.test(line)) continue;
    const words = line.replace('./install.sh', 'claude-relay install').split(/ +/);
    assert.equal(words[0], 'claude-relay', line);
    const command = program.commands.find((each) => each.name() === words[1]);
    assert.ok(command !== undefined, line);
    const known = new Map(command.options.map((option) => [option.long, option]));
    for (const word of words.filter((each) => each.startsWith('--'))) assert.ok(known.has(word), line);
    const tool = words[1] === 'expose' ? words[2] : undefined;
    if (tool !== undefined) assert.ok(command.registeredArguments[0]?.argChoices?.includes(tool), line);
  }
});

test('docs/operations.md lists every directive of the unit', () => {
  const unit = read('systemd/claude-relay.service');
  const directives = new Set(
    [...(unit.split('[Service]')[1]?.split('[Install]')[0] ?? '').matchAll(/^(\w+)=/gm)].map(
      ([, name = '']) => name,
    ),
  );
  for (const name of ['StartLimitIntervalSec', 'StartLimitBurst']) {
    assert.match(unit, new RegExp(`^${name}=`, 'm'));
    directives.add(name);
  }
  for (const plain of ['ExecStart', 'Environment']) directives.delete(plain);
  const [there = '', notThere = ''] = section(operations, 'How the service is confined').split(
    'Directives that are not used, and why:',
  );
  const named = (text: string): string[] =>
    [...text.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
    );
  assert.deepEqual(named(there).toSorted(), [...directives].toSorted());
  assert.ok(named(notThere).length > 7);
  assert.deepEqual(
    named(notThere).filter((name) => directives.has(name)),
    [],
  );
});

test('docs/operations.md names every file that an install makes', () => {
  const made = operations;
  for (const path of [
    'systemd/user/claude-relay.service',
    '.cache/claude-relay/',
    '.local/share/claude-relay/',
    'claude-relay/cloudflared.yml',
    'Library/LaunchAgents/claude-relay.plist',
    'Library/Logs/claude-relay.log',
  ]) {
    assert.ok(made.includes(path), path);
  }
  for (const service of [
    'claude-relay.service',
    'claude-relay-ngrok.service',
    'claude-relay-cloudflared.service',
  ]) {
    assert.ok(existsSync(join(root, 'systemd', service)), service);
  }
});
