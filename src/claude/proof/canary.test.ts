/**
 * The positive control: without the lock the same CLIs, asked the same way, do read the file, run the command, and follow the
 * home's configuration. If these fail, the proof and its tests prove nothing.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { createHostileHome, type HostileHome } from '../../../test/support/hostile-home.ts';
import { clis } from '../../../test/support/real-cli.ts';
import type { Reply } from '../../../test/support/failing-model.ts';
import { openTurn } from '../../../test/support/open-turn.ts';
import { createCanary, type Canary } from './canary.ts';

for (const cli of clis) {
  describe(`${cli.version} without the lock`, () => {
    let canary: Canary;
    let home: string;
    let hostile: HostileHome;
    before(() => {
      home = mkdtempSync(join(tmpdir(), 'empty-home-'));
      hostile = createHostileHome();
    });
    after(() => {
      rmSync(home, { recursive: true, force: true });
      hostile.remove();
    });
    beforeEach(() => {
      canary = createCanary();
    });
    afterEach(() => {
      canary.remove();
    });

    test('an unlocked CLI runs the command that the model asks for', async () => {
      const bash = canary.toolUses.find((use) => use.name === 'Bash');
      assert.ok(bash);
      await openTurn({
        claudeBin: cli.path,
        home,
        args: ['--allowed-tools', 'Bash'],
        prompt: 'hello',
        replies: [{ kind: 'tool_use', ...bash }],
      });
      assert.deepEqual(canary.traces(), ['bash']);
    });

    test('an unlocked CLI reads and changes the files that the model asks for', async () => {
      const requests = await openTurn({
        claudeBin: cli.path,
        home,
        args: ['--allowed-tools', 'Read,Write,Edit'],
        prompt: 'hello',
        replies: ['Read', 'Write', 'Edit'].flatMap((name) =>
          canary.toolUses
            .filter((use) => use.name === name)
            .map(({ id, input }): Reply => ({ kind: 'tool_use', id, name, input })),
        ),
      });
      assert.deepEqual(canary.traces(), ['written.txt', 'edited.txt']);
      assert.ok(requests.some((request) => request.body.includes(canary.markers.secret)));
    });

    test('an unlocked CLI reads the file that a prompt mentions', async () => {
      const requests = await openTurn({
        claudeBin: cli.path,
        home,
        args: [],
        prompt: `hello @${canary.secretPath}`,
      });
      assert.ok(requests.some((request) => request.body.includes(canary.markers.secret)));
    });

    test('an unlocked CLI runs a prompt with a slash as a command', async () => {
      const requests = await openTurn({ claudeBin: cli.path, home, args: [], prompt: '/context hello' });
      assert.equal(requests.length, 0);
    });

    test('an unlocked CLI obeys the planted project', async () => {
      const requests = await openTurn({
        claudeBin: cli.path,
        home,
        args: [],
        prompt: 'hello',
        prepareCwd: canary.plant,
      });
      const body = requests[0]?.body ?? '';
      for (const name of ['claude-md', 'skill', 'hook'] as const)
        assert.ok(body.includes(canary.markers[name]), name);
      assert.deepEqual(
        canary.traces().filter((trace) => trace.startsWith('hook-')),
        ['hook-SessionStart', 'hook-UserPromptSubmit', 'hook-Stop'],
      );
    });

    test('an unlocked CLI obeys the hostile home', async () => {
      hostile.reset();
      const requests = await openTurn({
        claudeBin: cli.path,
        home: hostile.home,
        // Its own choice, to allow all, is refused to root.
        args: ['--permission-mode', 'default'],
        prompt: 'hello',
      });
      const ran = hostile.ran();
      for (const name of ['SessionStart', 'UserPromptSubmit', 'Stop', 'mcp-user'])
        assert.ok(ran.includes(name), `${name} of ${ran.join()}`);
      assert.ok(requests[0]?.body.includes(hostile.marker));
      assert.equal(requests[0]?.headers['x-hostile'], 'yes');
    });
  });
}
