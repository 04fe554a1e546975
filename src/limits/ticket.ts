import { nothing, type Spend } from './spending.ts';

export type Ticket = ReturnType<typeof createTicket>;

/** An admitted request's place in a lane. `settle` and `release` end it: the first call has an effect and returns true. */
export function createTicket(
  /** Called once. */
  onEnd: (keepsCount: boolean, used: Spend) => void,
  planWorks: () => void,
) {
  let ended = false;
  const end = (keepsCount: boolean, used = nothing): boolean => {
    if (ended) return false;
    ended = true;
    onEnd(keepsCount, used);
    return true;
  };
  return {
    /** Ends it: the slot is free, the day keeps the count, and the budgets have what it used. */
    settle: (used?: Spend) => end(true, used),
    /** Ends it before it reached the model: the slot is free and the day gets a refund. */
    release: () => end(false),
    /** Reports that the upstream accepted the request, so the plan is usable. */
    planWorks,
    /** Settles if nothing has ended it, so that a `using` declaration leaks no slot. */
    [Symbol.dispose]: () => void end(true),
  };
}
