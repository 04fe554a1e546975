/**
 * Judges the schemas of callers, and answers by them, one after the other in one worker thread, the keys in turns: with a heap and a time of its own, an
 * empty environment, and no way to write to the relay's output. It keeps nothing between two of them.
 */
import { Worker } from 'node:worker_threads';
import { RelayError } from '../errors.ts';
import { FairQueue, mayWait } from '../fair-queue.ts';
import type { JsonSchema, Verdict } from './schema.ts';
import type { SchemaJob } from './schema-worker.ts';

export type Schemas = {
  /** Rejects with `bad_request` that says why the schema of this key cannot be used. */
  check(schema: JsonSchema, keyId?: string): Promise<void>;
  /** Why the value does not satisfy the schema, as a path and a rule; undefined when it does. */
  unsatisfied(schema: JsonSchema, value: unknown): Promise<string | undefined>;
  close(): Promise<void>;
};

/** In characters of JSON. */
const maxSchemaCharacters = 64 * 1024;
const maxDepth = 100;
/** Schemas that wait to be looked at; answers are never refused, and come first. */
const maxWaiting = 32;
const resourceLimits = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };
/** From when the worker is ready for it. */
const jobMs = 2000;

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './schema-worker.ts' : './schema-worker.js',
  import.meta.url,
);

type Waiting = { job: SchemaJob; resolve: (verdict: Verdict | 'ended') => void };

export function createSchemas(): Schemas {
  const answers: Waiting[] = [];
  const checks = new FairQueue<Waiting & { keyId: string }>();
  let worker: Worker | undefined;
  let ready = false;
  let current: Waiting | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const settle = (verdict: Verdict | 'ended'): void => {
    clearTimeout(timer);
    const done = current;
    current = undefined;
    done?.resolve(verdict);
  };
  /** Too slow, too large, or at its end: the next job gets a new one. */
  const drop = (): void => {
    const old = worker;
    worker = undefined;
    ready = false;
    void old?.terminate();
    settle('ended');
    next();
  };
  const start = (): Worker => {
    const started = new Worker(workerFile, {
      resourceLimits,
      env: {},
      execArgv: [],
      // Piped and not read: what a library prints about a schema is content.
      stdout: true,
      stderr: true,
    });
    started.unref();
    const onEnd = (): void => {
      if (worker === started) drop();
    };
    started.on('error', onEnd);
    started.on('exit', onEnd);
    started.on('message', (verdict: Verdict) => {
      if (worker !== started) return;
      if (ready) settle(verdict);
      ready = true;
      next();
    });
    return started;
  };
  const nextCheck = (): Waiting | undefined => {
    const check = checks.next(
      () => true,
      () => 0,
    );
    if (check !== undefined) checks.served(check.keyId);
    return check;
  };
  const next = (): void => {
    if (current !== undefined || answers.length + checks.size === 0) return;
    worker ??= start();
    if (!ready) return;
    current = answers.shift() ?? nextCheck();
    timer = setTimeout(drop, jobMs);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    worker.postMessage(current?.job);
  };
  const judge = (add: (resolve: Waiting['resolve']) => void): Promise<Verdict | 'ended'> =>
    new Promise((resolve) => {
      if (closed) return resolve('ended');
      add(resolve);
      next();
    });

  return {
    check: async (schema, keyId = '') => {
      const tooLarge = sizeProblem(schema);
      if (tooLarge !== undefined) throw refused(tooLarge);
      if (!mayWait(maxWaiting, checks.size, checks.of(keyId))) {
        throw new RelayError('rate_limited', 'Too many schemas wait to be checked. Try again in a moment.', {
          retryAfter: 1,
          limit: 'queue_full',
        });
      }
      const verdict = await judge((resolve) => checks.add(keyId, { job: { schema }, keyId, resolve }));
      if (verdict === 'ended') throw refused('it is too complex');
      if (verdict.refused !== undefined) throw refused(verdict.refused);
    },
    unsatisfied: async (schema, value) => {
      const verdict = await judge((resolve) => answers.push({ job: { schema, value: { value } }, resolve }));
      if (verdict === 'ended') return 'checking it took too long';
      return verdict.refused ?? verdict.unsatisfied;
    },
    close: async () => {
      closed = true;
      const old = worker;
      worker = undefined;
      settle('ended');
      for (const { resolve } of answers.splice(0)) resolve('ended');
      for (const waiter of checks.all()) {
        checks.remove(waiter.keyId, waiter);
        waiter.resolve('ended');
      }
      await old?.terminate();
    },
  };
}

function refused(why: string): RelayError {
  return new RelayError('bad_request', `The schema cannot be used: ${why}.`);
}

/** Looks no deeper than is allowed, so that a schema cannot exhaust the stack here or in the worker. */
function sizeProblem(schema: JsonSchema): string | undefined {
  let level: unknown[] = [schema];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) return `it is nested more than ${maxDepth} levels deep`;
    level = level.flatMap((item) => Object.values(item as object) as unknown[]).filter(isNested);
  }
  return JSON.stringify(schema).length > maxSchemaCharacters
    ? `it is longer than ${maxSchemaCharacters} characters`
    : undefined;
}

function isNested(item: unknown): boolean {
  return typeof item === 'object' && item !== null;
}
