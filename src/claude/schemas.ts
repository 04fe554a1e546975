/**
 * Judges the schemas of callers, and answers by them, in one bounded worker, the keys in turns. The worker keeps nothing between
 * two jobs.
 */
import { BoundedWorker } from '../bounded-worker.ts';
import { RelayError } from '../errors.ts';
import { FairQueue, mayWait } from '../fair-queue.ts';
import { moduleUrl } from '../installation.ts';
import type { JsonSchema, Verdict } from './schema.ts';
import type { SchemaJob } from './schema-worker.ts';

export type Schemas = ReturnType<typeof createSchemas>;

/** In characters of JSON. */
const maxSchemaCharacters = 64 * 1024;
const maxDepth = 100;
/** Schemas that wait to be looked at; answers are never refused, and come first. */
const maxWaiting = 32;
const workerLimits = {
  resources: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
  jobMs: 2000,
};
const workerFile = moduleUrl('schema-worker', import.meta.url);

type Waiting = { job: SchemaJob; resolve: (verdict: Verdict | 'ended') => void };

export function createSchemas() {
  const worker = new BoundedWorker<SchemaJob, Verdict>(workerFile, workerLimits);
  const answers: Waiting[] = [];
  const checks = new FairQueue<Waiting & { keyId: string }>();
  let working = false;
  let closed = false;

  const next = (): Waiting | undefined => {
    const answer = answers.shift();
    if (answer !== undefined) return answer;
    const check = checks.next(
      () => true,
      () => 0,
    );
    if (check !== undefined) checks.served(check.keyId);
    return check;
  };
  const work = async (): Promise<void> => {
    if (working) return;
    working = true;
    for (let waiting = next(); waiting !== undefined; waiting = next()) {
      waiting.resolve(closed ? 'ended' : await worker.run(waiting.job).catch(() => 'ended' as const));
    }
    working = false;
  };
  const judge = (add: (resolve: Waiting['resolve']) => void): Promise<Verdict | 'ended'> =>
    new Promise((resolve) => {
      add(resolve);
      void work();
    });

  return {
    /** Rejects with `bad_request` that says why the schema of this key cannot be used. */
    check: async (schema: JsonSchema, keyId = ''): Promise<void> => {
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
    /** Why the value does not satisfy the schema, as a path and a rule; undefined when it does. */
    unsatisfied: async (schema: JsonSchema, value: unknown): Promise<string | undefined> => {
      const verdict = await judge((resolve) => answers.push({ job: { schema, value: { value } }, resolve }));
      if (verdict === 'ended') return 'checking it took too long';
      return verdict.refused ?? verdict.unsatisfied;
    },
    close: (): Promise<void> => {
      closed = true;
      return worker.close();
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
