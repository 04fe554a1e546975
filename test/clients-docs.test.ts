/** The samples in the documents run as they are written, against a relay. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { lastUserTexts } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { needs } from './support/needs.ts';
import { root } from './support/relay.ts';

const scratch = mkdtempSync(join(tmpdir(), 'relay-samples-'));
let relay: InProcessRelay;

before(async () => {
  for (const file of ['ts/claudeRelay.ts', 'python/claude_relay.py']) {
    copyFileSync(join(root, 'clients', file), join(scratch, file.split('/')[1] ?? ''));
  }
  symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'));
  relay = await startInProcess({
    // The page that they show is not fetched: no port is allowed but this one.
    settings: { FETCH_PORTS: '8080' },
    reply: (request) => {
      const asked = request.json === undefined ? '' : lastUserTexts(request.json).join('\n');
      if (asked.includes('"born"'))
        return { kind: 'text', text: '```json\n{"name": "Ada", "born": 1815}\n```' };
      if (!asked.includes('Which city')) return { kind: 'text', text: ['Once ', 'upon a time.'] };
      // A schema is asked for as the input of a tool.
      return { kind: 'tool_use', name: request.json?.tools?.[0]?.name ?? '', input: { city: 'Paris' } };
    },
  });
});
after(async () => {
  await relay.stop();
  rmSync(scratch, { recursive: true, force: true });
});

/** What the samples of a document print, in their order. */
const expected: Record<string, RegExp[]> = {
  'README.md, ts': [
    /^Once upon a time\.\nOnce upon a time\.$/,
    // The OpenAI SDK.
    /^Once upon a time\.\n$/,
  ],
  'README.md, python': [/^Once upon a time\.\n$/],
  // The Anthropic SDK, LangChain, OpenAI's Agents SDK and the Vercel AI SDK.
  'docs/recipes.md, ts': Array.from({ length: 4 }, () => /^Once upon a time\.\n$/),
  'clients/ts/README.md, ts': [
    /Once upon a time\.\nOnce upon a time\.Ada 1815\nblocked_port /,
    /^Paris \d+\nOnce upon a time\.end_turn\nbad_request 400 req_\w+\n$/,
  ],
  'clients/python/README.md, python': [
    /Once upon a time\.\nOnce upon a time\.Ada 1815\nblocked_port /,
    /^Paris \d+\nOnce upon a time\.end_turn\nbad_request 400 req_\w+\n$/,
    /^\['Once upon a time\.', 'Once upon a time\.'\]\nOnce upon a time\.$/,
  ],
};

for (const [place, outputs] of Object.entries(expected)) {
  const [document = '', language = ''] = place.split(', ');
  const samples = [
    ...readFileSync(join(root, document), 'utf8').matchAll(
      new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'),
    ),
  ].map((match) => match[1] ?? '');

  const program = language === 'ts' ? process.execPath : 'python3';
  test(
    `the samples of ${document} in ${language} run and print what they show`,
    { skip: needs(program) },
    async () => {
      assert.equal(samples.length, outputs.length);
      for (const [index, sample] of samples.entries()) {
        const file = join(scratch, `sample.${language === 'ts' ? 'ts' : 'py'}`);
        writeFileSync(file, sample);
        const { stdout, stderr } = await promisify(execFile)(program, [file], {
          cwd: scratch,
          env: {
            PATH: process.env['PATH'],
            PYTHONDONTWRITEBYTECODE: '1',
            CLAUDE_RELAY_URL: relay.url,
            CLAUDE_RELAY_KEY: relay.key,
          },
        });
        assert.match(stdout, outputs[index] ?? /^$/, stderr);
      }
    },
  );
}
