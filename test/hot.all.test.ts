/**
 * Hot processes on the older CLIs. With `npm run test:all` they run on every CLI, with more rounds, at any address of the API, and with
 * every ending while the machine is busy.
 */
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { startApiHost } from './support/api-host.ts';
import {
  askAfterRest,
  assertNothingOfRequest,
  compareWithFresh,
  fillContext,
  mixApps,
  startCounting,
  upstreamEndings,
} from './support/hot.ts';
import { needs, runsAll, sample } from './support/needs.ts';
import { Random, rounds, seed } from './support/random.ts';
import { clis, everyCli } from './support/real-cli.ts';

/** How often each ending is counted, also on a hot process; 50 times take about an hour. */
const endingRounds = Number(process.env['HOT_ROUNDS'] ?? 1);

/** Without a cut, which the proxy to the API does not pass on, and what 2.1.332 asks again there before it has an answer. */
const atTheApi = Object.keys(upstreamEndings).filter((name) => !/^(?:cut|404|503)/.test(name));

for (const cli of runsAll ? clis : everyCli.slice(1)) {
  describe(`on Claude Code ${cli.version}`, () => {
    if (runsAll)
      test('a hot and a fresh process send the same request, in any order', async () => {
        await compareWithFresh(cli, new Random(seed), 5);
      });

    test(
      'a hot and a fresh process send the same request to the API under its own name',
      { skip: needs('openssl') },
      async () => {
        const host = await startApiHost();
        try {
          await compareWithFresh(cli, new Random(seed), 2, host);
        } finally {
          await host.close();
        }
      },
    );

    test(`no request holds anything of another conversation, and a process serves one app (seed ${seed})`, async (t) => {
      t.diagnostic(JSON.stringify(await mixApps(cli, new Random(seed), rounds(120))));
    });

    test('a process that rests holds nothing of its request, and of the turn only the answer', async () => {
      assertNothingOfRequest(await askAfterRest(cli));
    });

    test('turns whose tokens would fill the context window change no later request', async () => {
      await fillContext(cli, rounds(60));
    });

    test(
      'the API under its own name is asked once, however a request ends',
      { skip: needs('openssl') },
      async () => {
        const host = await startApiHost();
        try {
          const counting = await startCounting(cli, host);
          try {
            for (const name of sample(atTheApi)) await counting.count(name);
          } finally {
            await counting.close();
          }
        } finally {
          await host.close();
        }
      },
    );

    if (runsAll)
      test('the model is asked once, however a request ends, while two loops keep the processors busy', async () => {
        const loops = [0, 1].map(() => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
        const counting = await startCounting(cli);
        try {
          const names = Array.from({ length: endingRounds }, () => Object.keys(upstreamEndings))
            .flat()
            .values();
          const worker = async (): Promise<void> => {
            for (const name of names) await counting.count(name);
          };
          await Promise.all([worker(), worker()]);
        } finally {
          for (const loop of loops) loop.kill('SIGKILL');
          await counting.close();
        }
      });
  });
}
