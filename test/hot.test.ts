/** Hot processes: the same requests as fresh ones, for one app alone, one request to the model for each, and nothing left of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { everyCli } from './support/real-cli.ts';
import {
  askAfterRest,
  assertNothingOfRequest,
  compareWithFresh,
  fillContext,
  mixApps,
  startCounting,
  upstreamEndings,
} from './support/hot.ts';
import { Random, seed } from './support/random.ts';
import { eventually } from './support/relay.ts';
import { startTestRunner } from './support/runner.ts';

const [cli] = everyCli;
const hello = { role: 'user', content: [{ type: 'text', text: 'MARKc1promptZ' }] } as const;
/** `hot.all.test.ts` has all of them. */
const some = Object.keys(upstreamEndings).filter((_, index) => index % 6 === 0);

describe('on the newest CLI', { concurrency: 2 }, () => {
  test('a hot and a fresh process send the same request, whatever the hot one had before', async () => {
    await compareWithFresh(cli, new Random(seed), 1);
  });

  test(`no request holds anything of another conversation, and a process serves one app (seed ${seed})`, async (t) => {
    const starts = await mixApps(cli, new Random(seed), 20);
    t.diagnostic(JSON.stringify(starts));
  });

  test('a process that rests holds nothing of its request, and of the turn only the answer', async () => {
    assertNothingOfRequest(await askAfterRest(cli));
  });

  test('the settings of a request are taken back after each turn', async (t) => {
    const scratch = mkdtempSync(join(tmpdir(), 'hot-cli-'));
    const record = join(scratch, 'stdin');
    const wrapper = join(scratch, 'claude');
    writeFileSync(wrapper, `#!/bin/sh\ntee -a "${record}" | "${cli.path}" "$@"\n`, { mode: 0o755 });
    const runner = await startTestRunner({ claudeBin: wrapper, hot: 1 });
    t.after(async () => {
      await runner.close();
      rmSync(scratch, { recursive: true, force: true });
    });
    for (const [index, start] of (['spawn', 'hot', 'hot'] as const).entries()) {
      const asked = await runner.ask({ messages: [hello], maxTokens: 1717, effort: 'low' });
      assert.equal(asked.start, start);
      const lines = (): string[] => readFileSync(record, 'utf8').split('\n').slice(0, -1);
      // The first turn also has the system prompt.
      await eventually('the line is written', () => lines().length === 4 + 3 * index);
      assert.match(lines().slice(-4).join('\n'), /MARKc1promptZ/);
      const { request } = JSON.parse(lines().at(-1) ?? '') as { request: unknown };
      assert.deepEqual(request, {
        subtype: 'apply_flag_settings',
        settings: {
          effortLevel: null,
          env: {
            CLAUDE_CODE_MAX_OUTPUT_TOKENS: '',
            CLAUDE_CODE_DISABLE_THINKING: '',
            ENABLE_PROMPT_CACHING_1H: '',
            FORCE_PROMPT_CACHING_5M: '',
            CLAUDE_CODE_EXTRA_BODY: '',
          },
        },
      });
    }
  });

  test('turns whose tokens would fill the context window change no later request', async () => {
    await fillContext(cli, 8);
  });

  test('the model is asked once, however a request ends, on a fresh and on a hot process', async () => {
    const counting = await startCounting(cli);
    try {
      for (const name of some) await counting.count(name);
    } finally {
      await counting.close();
    }
  });
});
