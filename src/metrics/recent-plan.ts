/** How much of the plan is used, for a scrape: it waits for no process. */
import type { UsageReader, UsageWindows } from '../claude/usage-windows.ts';

/** Each question starts Claude Code and asks the vendor. */
const askEveryMs = 300_000;

/** Returns the last answer, null before the first, and asks for a new one if the last question is five minutes old. */
export function recentPlan(plan: Pick<UsageReader, 'windows'>, now: () => number): () => UsageWindows {
  let windows: UsageWindows = null;
  let askedAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (now() - askedAt >= askEveryMs) {
      askedAt = now();
      void plan.windows().then((answer) => (windows = answer));
    }
    return windows;
  };
}
