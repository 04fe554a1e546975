/** The samples of docs/api.md that verify a webhook accept what the relay sends, and nothing else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { completeRequest } from '../src/api.ts';
import { textOfSecret } from '../src/keys/webhook-secrets.ts';
import { eventBody, signedHeaders } from '../src/webhooks/sign.ts';
import { blocks, documents } from './support/documents.ts';
import { needs } from './support/needs.ts';

const [, section = ''] = (documents['docs/api.md'] ?? '').split('\n## Webhooks\n');

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'relay-samples-'));
});
after(() => rmSync(dir, { recursive: true }));

const [secret, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const id = 'job_2d67ae94bcef4040b06cf4349975682a';
const body = eventBody(id, { status: 'done', at: Date.parse('2030-01-31T17:55:50.102Z') });

/** Headers and body of a call, and whether it is genuine. */
function calls(): [headers: object, body: string, genuine: boolean][] {
  const at = Date.now();
  const good = signedHeaders(id, body, [secret], at);
  const { 'webhook-id': _id, ...anonymous } = good;
  return [
    [good, body, true],
    [signedHeaders(id, body, [other, secret], at), body, true],
    [signedHeaders(id, body, [other], at), body, false],
    [good, `${body} `, false],
    [{ ...good, 'webhook-id': 'job_other' }, body, false],
    [{ ...good, 'webhook-timestamp': String(Math.floor(at / 1000) + 1) }, body, false],
    [{ ...good, 'webhook-timestamp': 'now' }, body, false],
    [{ ...good, 'webhook-signature': 'v1,' }, body, false],
    [signedHeaders(id, body, [secret], at - 400_000), body, false],
    [signedHeaders(id, body, [secret], at + 400_000), body, false],
    [anonymous, body, false],
    [{}, body, false],
  ];
}

for (const { language, program, file, end } of [
  {
    language: 'js',
    program: process.execPath,
    file: 'sample.mjs',
    end: 'for (const [headers, body] of JSON.parse(process.argv[2])) console.log(isGenuine(headers, body));',
  },
  {
    language: 'python',
    program: 'python3',
    file: 'sample.py',
    end: 'import json, sys\nfor headers, body, _ in json.loads(sys.argv[1]): print(str(is_genuine(headers, body.encode())).lower())',
  },
] as const) {
  test(
    `the sample in ${language} accepts a genuine call, and no changed, old or forged one`,
    { skip: needs(program) },
    async () => {
      const samples = blocks(section, language);
      assert.equal(samples.length, 1);
      const path = join(dir, file);
      writeFileSync(path, `${samples[0]}\n${end}\n`);
      const all = calls();
      const { stdout } = await promisify(execFile)(program, [path, JSON.stringify(all)], {
        env: { PATH: process.env['PATH'], WEBHOOK_SECRET: textOfSecret([secret]) },
      });
      assert.deepEqual(
        stdout.trim().split('\n'),
        all.map(([, , genuine]) => String(genuine)),
      );
    },
  );
}

test('the request and the call of docs/api.md are what the relay takes and sends', () => {
  const [request = '', call = ''] = blocks(section, 'json');
  assert.ok(completeRequest.safeParse(JSON.parse(request)).success);
  assert.deepEqual(JSON.parse(call), JSON.parse(body));
});
