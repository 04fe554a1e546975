/** The model sees nothing of the owner: with every login, on every route, streamed and whole, from a spare and from a cold process. */
import assert from 'node:assert/strict';
import { hostname, tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { dummyHeaders, dummyLogins, lockedArgs, type DummyLogin } from '../src/claude/lock.ts';
import { compareSent } from '../src/claude/proof/compare-sent.ts';
import type { SeenRequest } from './support/failing-model.ts';
import { runsAll } from './support/needs.ts';
import { openTurn } from './support/open-turn.ts';
import { makeOwnerHome, person, type OwnerHome } from './support/owner-home.ts';
import { clis, eventually, startTestRelay, type TestRelay } from './support/relay.ts';

const prompt = '/cost @~/.claude.json Who am I?';
const system = 'You know nobody.';
const routes = {
  '/v1/complete': { prompt, system },
  '/v1/messages': { max_tokens: 4096, system, messages: [{ role: 'user', content: prompt }] },
  '/v1/chat/completions': {
    messages: [
      { role: 'system', content: system },
      { role: 'user', content: prompt },
    ],
  },
};
const requests = Object.entries(routes).flatMap(([path, body]) => [
  { path, body: { ...body, model: 'opus' } },
  { path, body: { ...body, model: 'opus', stream: true } },
]);

function assertNothingOfTheOwner(request: SeenRequest, login: DummyLogin): void {
  const [name, value] = dummyHeaders[login];
  assert.equal(request.headers[name], value);
  const sent = compareSent(
    { system: [system], messages: [{ role: 'user', content: [{ type: 'text', text: prompt }] }] },
    [system],
    request,
  );
  assert.deepEqual({ lost: sent.lost, added: sent.added }, { lost: [], added: [] });
  const { metadata: _ids, ...forTheModel } = JSON.parse(request.body) as Record<string, unknown>;
  const all = JSON.stringify(forTheModel);
  for (const [what, text] of Object.entries({ ...person, host: hostname(), cwd: tmpdir() }))
    assert.ok(!all.includes(text), `${what} in ${all}`);
}

for (const cli of clis) {
  for (const login of dummyLogins) {
    // Every route both ways with the first login; with the others, each route once.
    const first = login === dummyLogins[0];
    const sent = first || runsAll ? requests : requests.filter((_, index) => [0, 3, 4].includes(index));
    describe(`on Claude Code ${cli.version}, with ${login}`, () => {
      let owner: OwnerHome;
      let relay: TestRelay;
      before(async () => {
        owner = makeOwnerHome(login);
        relay = await startTestRelay({
          proof: first,
          claudeBin: cli.path,
          home: owner.home,
          env: owner.env,
          settings: { WARM_SPARES: '1', PER_KEY_CONCURRENCY: '6', GLOBAL_CONCURRENCY: '6' },
        });
      });
      after(async () => {
        await relay.stop();
        owner.remove();
      });

      test('each route sends what the caller sent and nothing of the owner', async () => {
        // One of those that start together gets the spare; then each waits for one.
        const together = await Promise.all(sent.map((request) => kindOf(request)));
        const alone: string[] = [];
        for (const request of sent) {
          await eventually('a spare waits', async () => (await waitingSpares()) > 0);
          alone.push(await kindOf(request));
        }
        // The headers of a stream leave before it is known.
        const kinds = new Set([...together, ...alone]);
        assert.ok(kinds.has('claim') && kinds.has('spawn'), [...kinds].join());
        assert.equal(relay.model.requests.length, 2 * sent.length);
        for (const request of relay.model.requests) assertNothingOfTheOwner(request, login);
      });

      async function waitingSpares(): Promise<number> {
        const response = await fetch(`${relay.url}/ready`, {
          headers: { authorization: `Bearer ${relay.key}` },
        });
        const { spares } = (await response.json()) as { spares: { waiting: number } };
        return spares.waiting;
      }

      /** Sends it; resolves to how it came by its process. */
      async function kindOf({ path, body }: (typeof requests)[number]): Promise<string> {
        const response = await relay.post(body, { path });
        const text = await response.text();
        assert.equal(response.status, 200, text);
        assert.match(text, /hello/);
        return /\b(?:claim|spawn)\b/.exec(response.headers.get('server-timing') ?? '')?.[0] ?? 'unknown';
      }
    });

    // With a key the control has nothing to find.
    if (!runsAll && login === 'api-key') continue;
    test(`control: with ${login}, ${cli.version} adds the owner's address to a prompt in its own message`, async () => {
      const { home, env, remove } = makeOwnerHome(login);
      try {
        const [request] = await openTurn({
          claudeBin: cli.path,
          home,
          args: lockedArgs('opus').slice(6),
          env,
          prompt: 'Who am I?',
        });
        assert.equal(request?.body.includes(person.email), login !== 'api-key');
      } finally {
        remove();
      }
    });
  }
}
