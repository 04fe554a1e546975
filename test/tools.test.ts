/** The model asks for tools, and nothing happens on the host. The control: the same requests do something without the lock. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type AnswerBlock, type SeenRequest, lastUserTexts } from './support/failing-model.ts';
import { openTurn } from './support/open-turn.ts';
import { casesOn, everyCli } from './support/real-cli.ts';
import { startTestRelay, type TestRelay } from './support/relay.ts';

const secret = 'canary-secret-5f0c1e';
const untouched = 'untouched\n';
let directory: string;
const at = (name: string): string => join(directory, name);
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'tools-test-'));
});
beforeEach(() => {
  for (const name of readdirSync(directory)) rmSync(at(name));
  writeFileSync(at('secret.txt'), `${secret}\n`);
  writeFileSync(at('edited.txt'), untouched);
});
after(() => rmSync(directory, { recursive: true }));

function promptOf(json: SeenRequest['json']): string {
  return json === undefined ? '' : (lastUserTexts(json).at(-1) ?? '');
}

/** Inputs that are valid for each tool: a sloppy one would be refused under any lock. */
function toolUse(name: string): AnswerBlock {
  const agent = { description: 'Say hello', prompt: 'Say hello.', subagent_type: 'general-purpose' };
  const inputs: Record<string, object> = {
    Bash: { command: `cat '${at('secret.txt')}' > '${at('created.txt')}'`, description: 'Copy a file' },
    Write: { file_path: at('written.txt'), content: 'written\n' },
    Read: { file_path: at('secret.txt') },
    Edit: { file_path: at('edited.txt'), old_string: 'untouched', new_string: 'touched' },
    WebFetch: { url: 'https://127.0.0.1:9/', prompt: 'What does it say?' },
    Task: agent,
    Agent: agent,
    Skill: { skill: 'init' },
    NoSuchTool: { anything: 1 },
  };
  return { type: 'tool_use', name, input: inputs[name] };
}

const toolNames = ['Bash', 'Write', 'Read', 'Edit', 'WebFetch', 'Task', 'Agent', 'Skill', 'NoSuchTool'];

for (const cli of everyCli) {
  describe(`on Claude Code ${cli.version}`, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await startTestRelay({
        proof: false,
        claudeBin: cli.path,
        // The prompt names the tools that the model asks for.
        reply: ({ json }) => ({
          kind: 'blocks',
          blocks: [{ type: 'text', text: 'Let me look.' }, ...promptOf(json).split(' ').map(toolUse)],
        }),
      });
    });
    after(() => relay.stop());

    describe('nothing happens', { concurrency: 2 }, () => {
      for (const names of [...casesOn(cli, toolNames).map((name) => [name]), toolNames]) {
        test(`a call of ${names.length === 1 ? names.join() : 'all tools at once'} that was not offered does nothing`, async () => {
          const prompt = names.join(' ');
          const { status, body } = await relay.complete({ prompt });
          assert.equal(status, 502, JSON.stringify(body));
          assert.equal(body['error'], 'upstream_error');
          assert.match(String(body['message']), /called a tool/);
          assert.ok(!JSON.stringify(body).includes(secret));
          // The turn ended there: no result of a tool went back to the model.
          assert.equal(relay.model.requests.filter(({ json }) => promptOf(json) === prompt).length, 1);
          assert.ok(relay.model.requests.every((request) => !request.body.includes('tool_result')));
          assert.deepEqual(readdirSync(directory).toSorted(), ['edited.txt', 'secret.txt']);
          assert.equal(readFileSync(at('edited.txt'), 'utf8'), untouched);
        });
      }
    });

    test('a mentioned file is not read, and the relay keeps answering', async () => {
      relay.model.setReply(() => ({ kind: 'text', text: 'hello' }));
      const asked = relay.model.requests.length;
      const { status, body } = await relay.complete({ prompt: `hello @${at('secret.txt')}` });
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(relay.model.requests.length, asked + 1);
      assert.ok(!relay.model.requests.at(-1)?.body.includes(secret));
    });
  });

  test(`control: without the lock, ${cli.version} creates a file, edits one and reads the mentioned one`, async () => {
    const home = mkdtempSync(join(tmpdir(), 'empty-home-'));
    try {
      const requests = await openTurn({
        claudeBin: cli.path,
        home,
        args: ['--allowed-tools', 'Bash,Read,Write,Edit'],
        prompt: `hello @${at('edited.txt')} @${at('secret.txt')}`,
        replies: ['Bash', 'Write', 'Edit'].map((name) => ({ kind: 'blocks', blocks: [toolUse(name)] })),
      });
      assert.ok(requests[0]?.body.includes(secret), 'the mentioned file was read');
      assert.equal(readFileSync(at('created.txt'), 'utf8'), `${secret}\n`);
      assert.ok(existsSync(at('written.txt')));
      assert.equal(readFileSync(at('edited.txt'), 'utf8'), 'touched\n');
    } finally {
      rmSync(home, { recursive: true });
    }
  });
}
