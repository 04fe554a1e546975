/**
 * Thousands of random schedules against the real admission code, with a clock, timers and counts that are moved by hand.
 * After every step the admission must agree with the model in everything that can be seen of it.
 *
 * A failing schedule names its seed; `SIM_SEED=<seed>` replays it alone and prints its steps, `SIM_RUNS=<n>` runs more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RelayError } from '../errors.ts';
import { createAdmission, type Admission } from './admission.ts';
import type { KeyLimits, Lane, LaneLimits } from './lane-limits.ts';
import { Model, runningPhases, type Config, type Request } from '../../test/support/limits-model.ts';
import { FakeClock, MemoryCounts, tick } from '../../test/support/limits.ts';
import { Random, rounds } from '../../test/support/random.ts';
import type { Ticket } from './ticket.ts';

const lanes = ['complete', 'fetch'] as const satisfies readonly Lane[];
const hourMs = 3_600_000;

type Outcome = { request: Request; ticket?: Ticket; error?: unknown };

/** Every way a request can end, and in which phases it can; `keeps` says whether the day keeps its count then. */
const endings = [
  { name: 'answered', phases: ['settling'], keeps: true },
  { name: 'refused by the CLI', phases: ['spawning'], keeps: false },
  { name: 'upstream error before tokens', phases: ['spawning', 'waiting'], keeps: false },
  { name: 'upstream error after tokens', phases: ['answering', 'settling'], keeps: true },
  { name: 'plan used up', phases: ['waiting', 'answering'], keeps: false, usedUp: true },
  { name: 'timeout before the model', phases: ['spawning'], keeps: false },
  { name: 'timeout', phases: ['waiting', 'answering', 'settling'], keeps: true },
  { name: 'client gone before the model', phases: ['spawning'], keeps: false, abort: true },
  { name: 'client gone', phases: ['waiting', 'answering', 'settling'], keeps: true, abort: true },
  { name: 'crash before the model', phases: ['spawning'], keeps: false },
  { name: 'crash', phases: ['waiting', 'answering', 'settling'], keeps: true },
  { name: 'caller forgets to end it', phases: runningPhases, keeps: true, dispose: true },
] as const;

class Schedule {
  readonly log: string[] = [];
  readonly reached = new Set<string>();
  readonly #random: Random;
  readonly #clock = new FakeClock();
  readonly #counts = new MemoryCounts();
  readonly #model: Model;
  #admission: Admission;
  #outcomes: Outcome[] = [];
  #ended: Ticket[] = [];
  #drained = false;
  #step = 0;
  /** Keys granted a slot in this step, out of the queue or at once. */
  #grantedNow = new Set<string>();
  #usedUpNow = false;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#model = new Model(randomConfig(this.#random), this.#clock);
    this.#admission = this.#create();
    this.log.push(JSON.stringify(this.#model.config));
  }

  async run(): Promise<void> {
    const steps = this.#random.int(20, 60);
    for (this.#step = 1; this.#step <= steps; this.#step += 1) {
      await this.#act();
      this.#check();
    }
    await this.#finish();
  }

  async #act(): Promise<void> {
    const dice = this.#random.next();
    this.#grantedNow.clear();
    this.#usedUpNow = false;
    // A relay that shuts down or keeps no counts does not stay so for long.
    if (this.#model.draining && dice < 0.3) await this.#restart();
    else if (this.#model.failAdds && dice < 0.15) this.#breakCounts();
    else if (dice < 0.34) await this.#arrivals();
    else if (dice < 0.66) await this.#endOrMoveOn();
    else if (dice < 0.8) await this.#passTime();
    else if (dice < 0.85) await this.#leaveQueue();
    else if (dice < 0.87) this.#jumpWall();
    else if (dice < 0.91) await this.#changeKey();
    else if (dice < 0.94) this.#breakCounts();
    else if (dice < 0.96) await this.#planUsedUp();
    else if (dice < 0.98) this.#endTwice();
    else if (dice < 0.99) await this.#restart();
    else await this.#drain();
  }

  async #arrivals(): Promise<void> {
    const burst = this.#random.chance(0.3) ? this.#random.int(2, 8) : 1;
    for (let each = 0; each < burst; each += 1) {
      const [key, lane] = [this.#random.pick(this.#model.config.keys), this.#random.pick(lanes)];
      const request = this.#arrive(lane, key);
      if (this.#random.chance(0.2) || request.expected.kind === 'error') await this.#observe();
    }
    await this.#observe();
  }

  #arrive(lane: Lane, wanted: KeyLimits): Request {
    const key = this.#keyAsArriving(lane, wanted);
    const arrived = this.#model.arrive(lane, key);
    if (arrived.phase === 'spawning') this.#grantedNow.add(`${lane} ${key.keyId}`);
    this.log.push(`${this.#step}: ${lane} of ${key.keyId} arrives: ${arrived.expected.kind}`);
    this.#admission.reserve({ lane, key, signal: arrived.abort.signal }).then(
      (ticket) => this.#outcomes.push({ request: arrived, ticket }),
      (error: unknown) => this.#outcomes.push({ request: arrived, error }),
    );
    return arrived;
  }

  /** With raised slots others of the key that wait go on first, which the model does not predict: not while any waits. */
  #keyAsArriving(lane: Lane, key: KeyLimits): KeyLimits {
    const before = this.#model.known.get(`${lane} ${key.keyId}`);
    if (before === undefined || this.#model.queued(lane, key.keyId).length === 0) return key;
    const slots = (each: KeyLimits) => this.#model.limits(lane, each).keyConcurrency || Infinity;
    return slots(key) > slots(before) ? before : key;
  }

  /** A running request goes to its next phase, or ends in one of the ways it can end there. */
  async #endOrMoveOn(): Promise<void> {
    const running = lanes.flatMap((lane) => this.#model.running(lane));
    if (running.length === 0) return this.#arrivals();
    const request = this.#random.pick(running);
    const phase = runningPhases.findIndex((each) => each === request.phase);
    const next = runningPhases[phase + 1];
    if (next !== undefined && this.#random.chance(0.6)) {
      request.phase = next;
      if (next !== 'answering') return undefined;
      request.ticket?.planWorks();
      this.#model.works(request);
      return undefined;
    }
    const possible = endings.filter(({ phases }) => phases.some((each) => each === request.phase));
    this.#end(request, this.#random.pick(possible));
    await this.#observe();
    return undefined;
  }

  #end(request: Request, ending: (typeof endings)[number]): void {
    const { ticket, phase } = request;
    assert.ok(ticket, 'a running request has a ticket');
    this.reached.add(`${ending.name} while ${phase}`);
    this.log.push(`${this.#step}: request ${request.id} ends while ${phase}: ${ending.name}`);
    if ('usedUp' in ending && request.lane === 'complete') this.#tellUsedUp(this.#random.int(1, 7200));
    if ('abort' in ending) request.abort.abort();
    this.#model.end(request, ending.keeps);
    if ('dispose' in ending) ticket[Symbol.dispose]();
    else assert.equal(ending.keeps ? ticket.settle() : ticket.release(), true, 'the first ending counts');
    this.#ended.push(ticket);
  }

  /** What a defective caller does: it ends a ticket again. */
  #endTwice(): void {
    const ticket = this.#ended.at(-1);
    if (ticket === undefined) return;
    this.log.push(`${this.#step}: a ticket is ended a second time`);
    assert.equal(this.#random.chance(0.5) ? ticket.settle() : ticket.release(), false);
  }

  async #leaveQueue(): Promise<void> {
    const queued = lanes.flatMap((lane) => this.#model.queued(lane));
    if (queued.length === 0) return;
    const request = this.#random.pick(queued);
    this.reached.add('client gone while queued');
    this.log.push(`${this.#step}: request ${request.id} leaves the queue`);
    request.abort.abort();
    await this.#observe();
    assert.equal(request.phase, 'refused', 'who left still waits');
  }

  async #passTime(): Promise<void> {
    const span = this.#random.pick([2_000, 15_000, 70_000, 5 * hourMs, 30 * hourMs]);
    await this.#pass(this.#random.int(1, span));
  }

  async #pass(ms: number): Promise<void> {
    this.log.push(`${this.#step}: ${ms} ms pass`);
    this.#clock.advance(ms);
    await this.#observe();
  }

  #jumpWall(): void {
    const ms = this.#random.int(-50 * hourMs, 50 * hourMs);
    this.log.push(`${this.#step}: the wall clock jumps by ${ms} ms`);
    this.#clock.jumpWall(ms);
  }

  async #changeKey(): Promise<void> {
    const { keys } = this.#model.config;
    // Rather one of which something waits: that is where a change can do harm.
    const waiting = lanes.flatMap((lane) => this.#model.queued(lane));
    const waitingKey = keys.findIndex((key) => waiting.some(({ keyId }) => keyId === key.keyId));
    const at = waitingKey === -1 ? this.#random.int(0, keys.length - 1) : waitingKey;
    const keyId = keys[at]?.keyId ?? '';
    // A revoked key sends nothing more; a new one takes its place.
    const changed = this.#random.chance(0.3) ? `${keyId}'` : keyId;
    const lowered = { ...keys[at], keyId, daily: this.#random.int(1, 2) };
    const key = this.#random.chance(0.4) ? lowered : randomKey(this.#random, changed);
    keys[at] = key;
    this.log.push(`${this.#step}: ${keyId} becomes ${JSON.stringify(key)}`);
    for (const lane of lanes) this.#arrive(lane, key);
    await this.#observe();
  }

  #breakCounts(): void {
    this.#counts.failAdds = this.#model.failAdds = this.#random.chance(0.4);
    this.#counts.failReads = this.#model.failReads = this.#random.chance(0.2);
    this.log.push(`${this.#step}: adds fail ${this.#counts.failAdds}, reads ${this.#counts.failReads}`);
  }

  async #planUsedUp(): Promise<void> {
    this.#tellUsedUp(this.#random.pick([-5, 30, 3600, 5e9, Number.NaN, Infinity]));
    await this.#observe();
  }

  #tellUsedUp(seconds: number): void {
    const until = this.#clock.wall() + seconds * 1000;
    this.log.push(`${this.#step}: the plan is used up for ${seconds} s`);
    this.#usedUpNow = true;
    this.#model.usedUp(until);
    this.#admission.planUsedUp(until);
  }

  async #restart(): Promise<void> {
    this.log.push(`${this.#step}: killed and started again`);
    for (const each of lanes) {
      if (this.#model.queued(each).length > 0) this.reached.add('killed while queued');
      for (const { phase } of this.#model.running(each)) this.reached.add(`killed while ${phase}`);
    }
    await tick();
    this.#outcomes = [];
    this.#ended = [];
    this.#clock.forgetTimers();
    this.#model.restart();
    this.#admission = this.#create();
  }

  async #drain(): Promise<void> {
    this.log.push(`${this.#step}: drain`);
    if (lanes.some((lane) => this.#model.queued(lane).length > 0)) this.reached.add('shutdown while queued');
    this.#model.draining = true;
    this.#drained = false;
    this.#admission.drain().then(
      () => {
        this.#drained = true;
      },
      () => assert.fail('drain never rejects'),
    );
    await this.#observe();
  }

  /** Shuts down, ends what runs one by one, those that waited included, and finds nothing left over. */
  async #finish(): Promise<void> {
    this.#grantedNow.clear();
    await this.#drain();
    this.#check();
    const running = (): Request | undefined => lanes.flatMap((lane) => this.#model.running(lane))[0];
    for (let request = running(); request !== undefined; request = running()) {
      assert.equal(this.#drained, false, 'drained while something runs');
      this.reached.add(`shutdown while ${request.phase}`);
      this.#model.end(request, true);
      request.ticket?.settle();
      await this.#observe();
      this.#check();
    }
    assert.equal(this.#drained, true, 'drained when nothing runs');
    assert.equal(this.#clock.timers, 0, 'no timer is left');
  }

  /** Lets the admission finish what was started, and holds each outcome to the model. */
  async #observe(): Promise<void> {
    await tick();
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    const told: { request: Request; error: RelayError }[] = [];
    for (const { request, ticket, error } of outcomes) {
      if (ticket !== undefined) this.#granted(request, ticket);
      else if (this.#refused(request, error)) told.push({ request, error });
    }
    const latest = told.find(({ request }) => request === this.#model.requests.at(-1));
    if (latest !== undefined && this.#random.chance(0.3)) {
      await this.#waitAsTold(latest.request, latest.error);
    }
  }

  #granted(request: Request, ticket: Ticket): void {
    request.ticket = ticket;
    if (request.phase !== 'queued') {
      assert.equal(request.expected.kind, 'granted', `request ${request.id} was granted`);
      return;
    }
    const { lane, keyId } = request;
    const model = this.#model;
    assert.equal(model.failAdds, false, 'granted although it could not be counted');
    const full = model.full(lane, { keyId, ...this.#known(request) }, false);
    assert.equal(full.has('key_daily') || full.has('global_daily'), false, 'granted over the day');
    assert.ok(model.slotFree(lane, keyId, model.knownLimits(request)), 'granted without a slot');
    this.#assertFair(request);
    model.start(request);
    this.#grantedNow.add(`${lane} ${keyId}`);
  }

  #known(request: Request): Partial<KeyLimits> {
    return this.#model.known.get(`${request.lane} ${request.keyId}`) ?? {};
  }

  /** First come first served within a key; of the keys that could go on, the one with the least running and the longest unserved. */
  #assertFair(request: Request): void {
    const { lane, keyId } = request;
    const model = this.#model;
    const waiting = model.queued(lane);
    assert.equal(
      waiting.find((each) => each.keyId === keyId),
      request,
      'overtaken within a key',
    );
    const [running, served] = model.turn(lane, keyId);
    for (const other of waiting) {
      const [otherRunning, otherServed] = model.turn(lane, other.keyId);
      const first = otherRunning < running || (otherRunning === running && otherServed < served);
      if (!first) continue;
      this.reached.add('the next in turn had no slot to take');
      const eligible = model.slotFree(lane, other.keyId, model.knownLimits(other));
      assert.equal(eligible, false, `request ${other.id} was skipped`);
    }
  }

  /** True for one that was told when to come back. */
  #refused(request: Request, error: unknown): error is RelayError {
    const wasQueued = request.phase === 'queued';
    const model = this.#model;
    if (!(error instanceof RelayError)) {
      assert.equal((error as Error).name, 'AbortError', String(error));
      assert.ok(wasQueued && request.abort.signal.aborted, 'AbortError only when the client left');
      model.leave(request);
      return false;
    }
    const { limit, retryAfter, shouldRetry } = error.details;
    if (wasQueued) {
      this.#assertSentHome(request, error);
      model.leave(request);
    } else if (request.expected.kind === 'error') {
      assert.equal(error.code, request.expected.code);
    } else {
      const { expected } = request;
      assert.ok(expected.kind === 'refused', `request ${request.id}: ${error.message}`);
      assert.ok(limit !== undefined && expected.limits.has(limit), `${limit} has room`);
    }
    if (error.code !== 'rate_limited') return false;
    assert.ok(Number.isInteger(retryAfter) && (retryAfter ?? 0) >= 1, `retry-after ${retryAfter}`);
    assert.equal(shouldRetry, (retryAfter ?? 0) <= 60);
    return true;
  }

  /** A request that waited is refused only for a reason that holds. */
  #assertSentHome(request: Request, { code, details }: RelayError): void {
    const model = this.#model;
    if (code === 'not_ready') return assert.ok(model.failAdds || model.failReads);
    if (details.limit === 'plan') return assert.ok(model.planIsClosed());
    if (details.limit === 'queue_timeout') {
      const waited = this.#clock.monotonic() - request.at;
      return assert.ok(waited >= model.config.queueTimeoutMs, `timed out after ${waited} ms`);
    }
    this.reached.add(`sent home by ${details.limit}`);
    const key = { keyId: request.keyId, ...this.#known(request) };
    const full = model.full(request.lane, key, false);
    return assert.ok(details.limit !== undefined && full.has(details.limit), `${details.limit} has room`);
  }

  /** Does what `retry-after` says, with nothing else arriving: none of the limits that told the time may refuse again. */
  async #waitAsTold({ lane, keyId }: Request, { details }: RelayError): Promise<void> {
    const model = this.#model;
    const key = model.known.get(`${lane} ${keyId}`);
    const estimated = details.limit === 'plan' && !model.planIsClosed();
    const timed = ['key_rpm', 'key_daily', 'global_daily', 'plan'].includes(details.limit ?? '');
    if (key === undefined || !timed || estimated || model.failAdds || model.failReads) return;
    if (this.#outcomes.length > 0 || model.draining) return;
    await this.#pass((details.retryAfter ?? 0) * 1000);
    this.#admission.state(lane, key);
    model.today();
    const again = this.#arrive(lane, key);
    const { expected } = again;
    const refusedBy = expected.kind === 'refused' ? [...expected.limits] : [];
    // How long a slot, or a probe that is out, takes is an estimate.
    const estimates = new Set(['global_concurrency', 'key_concurrency', 'queue_full']);
    if (!model.planIsClosed()) estimates.add('plan');
    assert.deepEqual(
      refusedBy.filter((each) => !estimates.has(each)),
      [],
      `${details.limit}: retry-after ${details.retryAfter} was waited`,
    );
    this.reached.add(`waited for ${details.limit}`);
    await this.#observe();
  }

  #check(): void {
    const model = this.#model;
    model.forgetOver();
    for (const lane of lanes) {
      const { queueMax, keys } = model.config;
      const { concurrency } = model.config.lanes[lane];
      const waitingKeys = new Set(model.queued(lane).map(({ keyId }) => keyId));
      const queued = this.#admission.queued(lane);
      assert.equal(queued, model.queued(lane).length, `${lane}: queued`);
      assert.ok(queued <= queueMax + waitingKeys.size, `${lane}: too many wait`);
      for (const keyId of new Set([...keys.map((key) => key.keyId), ...waitingKeys])) {
        const seen = this.#admission.state(lane, { keyId }).concurrency;
        assert.equal(seen.globalRunning, model.running(lane).length, `${lane}: running`);
        assert.ok(concurrency === 0 || seen.globalRunning <= concurrency, `${lane}: too many run`);
        assert.ok(seen.queued <= Math.ceil(queueMax / 2), `${keyId}: too many wait`);
        assert.equal(seen.running, model.running(lane, keyId).length, `${keyId}: running`);
        assert.equal(seen.queued, model.queued(lane, keyId).length, `${keyId}: queued`);
      }
      for (const request of model.queued(lane)) this.#assertWaitsRightly(request);
      for (const request of model.running(lane)) this.#assertKeySlots(request);
      const key = keys[this.#step % keys.length];
      if (key !== undefined) this.#assertTold(lane, key);
    }
    if (this.#usedUpNow && model.planIsClosed()) {
      assert.equal(model.queued('complete').length, 0, 'waits for a used up plan');
    }
    assert.deepEqual(this.#counts.counts, model.counts, 'the counts are what was accepted');
  }

  #assertWaitsRightly(request: Request): void {
    const { lane, keyId, at, id } = request;
    const waited = this.#clock.monotonic() - at;
    assert.ok(waited < this.#model.config.queueTimeoutMs, `request ${id} waits for ${waited} ms`);
    const free = this.#model.slotFree(lane, keyId, this.#model.knownLimits(request));
    assert.equal(free, false, `request ${id} waits although there is a slot`);
  }

  /** A key's limit may have been lowered below what runs; then it gets no slot until it is below again. */
  #assertKeySlots(request: Request): void {
    const { lane, keyId } = request;
    const { keyConcurrency } = this.#model.knownLimits(request);
    const running = this.#model.running(lane, keyId).length;
    const within = keyConcurrency === 0 || running <= keyConcurrency;
    assert.ok(within || !this.#grantedNow.has(`${lane} ${keyId}`), `${keyId}: too many run`);
  }

  /** What a key is told it has left is what it has left. */
  #assertTold(lane: Lane, key: KeyLimits): void {
    const model = this.#model;
    const state = this.#admission.state(lane, key);
    const { keyRpm, keyDaily, globalDaily } = model.limits(lane, key);
    const left = (limit: number, used: number) => (limit === 0 ? undefined : Math.max(0, limit - used));
    assert.equal(state.rpm?.remaining, left(keyRpm, model.minute(lane, key.keyId)), 'rpm left');
    // The reading of the day is also what makes both sides notice a change of it at the same time.
    const day = model.today();
    if (model.failReads) return assert.equal(state.daily ?? state.globalDaily, undefined);
    const ofKey = model.counted(day, `${lane}:key:${key.keyId}`) + model.queued(lane, key.keyId).length;
    const ofAll = model.counted(day, `${lane}:all`) + model.queued(lane).length;
    assert.equal(state.daily?.remaining, left(keyDaily, ofKey), 'daily left');
    assert.equal(state.globalDaily?.remaining, left(globalDaily, ofAll), 'global daily left');
    return undefined;
  }

  #create(): Admission {
    const { lanes, queueMax, queueTimeoutMs } = this.#model.config;
    return createAdmission({
      lanes,
      queueMax,
      queueTimeoutMs,
      counts: this.#counts,
      clock: this.#clock,
    });
  }
}

function randomConfig(random: Random): Config {
  const lane = (): LaneLimits => ({
    concurrency: random.int(0, 3),
    keyConcurrency: random.int(0, 2),
    keyRpm: random.int(0, 6),
    keyDaily: random.int(0, 8),
    globalDaily: random.pick([0, 3, 15]),
  });
  return {
    lanes: { complete: lane(), fetch: lane() },
    queueMax: random.int(0, 5),
    queueTimeoutMs: random.pick([0, 1_000, 30_000, 120_000]),
    keys: Array.from({ length: random.int(1, 4) }, (_, index) => randomKey(random, `key${index}`)),
  };
}

function randomKey(random: Random, keyId: string): KeyLimits {
  return {
    keyId,
    ...(random.chance(0.3) ? { rpm: random.int(0, 5) } : {}),
    ...(random.chance(0.3) ? { daily: random.int(0, 6) } : {}),
    ...(random.chance(0.3) ? { concurrency: random.int(0, 3) } : {}),
  };
}

test('admission agrees with the model in random schedules', async (t) => {
  const replay = process.env['SIM_SEED'];
  const runs = Number(process.env['SIM_RUNS'] ?? rounds(2_000));
  const seeds =
    replay === undefined ? Array.from({ length: runs }, (_, index) => index + 1) : [Number(replay)];
  const reached = new Set<string>();
  // Thousands of expected refusals need no stack; the assertions keep a short one.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = replay === undefined ? 3 : stackTraceLimit;
  t.after(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });
  for (const seed of seeds) {
    const schedule = new Schedule(seed);
    try {
      await schedule.run();
    } catch (error) {
      for (const line of schedule.log) t.diagnostic(line);
      throw new Error(`seed ${seed} failed; SIM_SEED=${seed} replays it`, { cause: error });
    }
    for (const each of schedule.reached) reached.add(each);
    if (replay !== undefined) for (const line of schedule.log) t.diagnostic(line);
  }
  t.diagnostic(`${seeds.length} schedules`);
  if (replay !== undefined || runs < 1_000) return;
  // A simulation that no longer gets anywhere would pass as well.
  const faults = endings.flatMap(({ name, phases }) => phases.map((phase) => `${name} while ${phase}`));
  const everywhere = ['queued', ...runningPhases];
  const wanted = [
    ...faults,
    ...everywhere.flatMap((phase) => [`killed while ${phase}`, `shutdown while ${phase}`]),
    'client gone while queued',
    ...['key_rpm', 'key_daily', 'global_daily', 'plan'].map((limit) => `waited for ${limit}`),
    'sent home by key_daily',
    'the next in turn had no slot to take',
  ];
  assert.deepEqual(
    wanted.filter((each) => !reached.has(each)),
    [],
    'reached in no schedule',
  );
});
