/** Judges schemas in a thread: a schema can hold a regular expression that never ends, or references that multiply. */
import { answerJobs } from '../bounded-worker.ts';
import { judgeSchema, type JsonSchema } from './schema.ts';

export type SchemaJob = { schema: JsonSchema; value?: { value: unknown } };

answerJobs(({ schema, value }: SchemaJob) => judgeSchema(schema, value));
