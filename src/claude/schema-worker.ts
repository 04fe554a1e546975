/**
 * Judges schemas in a thread that the relay can end at any time: a schema can hold a regular expression that never ends, or references
 * that multiply. See schemas.ts.
 */
import { parentPort } from 'node:worker_threads';
import { judgeSchema, type JsonSchema, type Verdict } from './schema.ts';

export type SchemaJob = { schema: JsonSchema; value?: { value: unknown } };

const say = (verdict: Verdict): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage(verdict);
};

parentPort?.on('message', ({ schema, value }: SchemaJob) => say(judgeSchema(schema, value)));
// Ready.
say({});
