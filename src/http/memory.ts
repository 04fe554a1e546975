/** What the HTTP side keeps in memory: it is all gone when the relay stops. */
import type { Config } from '../config.ts';
import type { Clock } from '../limits/clock.ts';
import { RateLimiter } from '../limits/rate-limiter.ts';
import { Jobs } from './async/jobs.ts';
import { KeptItems } from './async/kept-items.ts';
import { RememberedRuns } from './async/remembered-runs.ts';
import { BodyBudget } from './body-budget.ts';
import { Reckoning } from './reckoning.ts';
import { InFlight } from './reservation.ts';
import { countLimit } from './routes/count-tokens.ts';
import { McpCalls } from './routes/mcp-calls.ts';

type MemoryConfig = Pick<Config, 'jobTtlMs' | 'maxInputBytes' | 'maxAttachmentBytes'>;

export function createMemory(config: MemoryConfig, clock: Clock) {
  return {
    inFlight: new InFlight(),
    jobs: new Jobs({ ttlMs: config.jobTtlMs }),
    keptItems: new KeptItems(),
    rememberedRuns: new RememberedRuns(),
    mcpCalls: new McpCalls(),
    reckoning: new Reckoning(),
    countLimiter: new RateLimiter(clock, countLimit),
    bodyBudget: new BodyBudget(config.maxInputBytes + config.maxAttachmentBytes),
  };
}
