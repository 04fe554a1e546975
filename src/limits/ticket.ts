import { nothing, type Spend } from './spending.ts';

export type Ticket = ReturnType<typeof createTicket>;

/** Which counts of a request stay: all, all but that of its day, or none. */
export type Keeps = 'all' | 'minute' | 'nothing';

/** An admitted request's place in a lane. The first call that ends it has an effect and returns true. */
export function createTicket(
  /** Called once. */
  onEnd: (keeps: Keeps, used: Spend) => void,
  planWorks: () => void,
) {
  let ended = false;
  const end = (keeps: Keeps, used = nothing): boolean => {
    if (ended) return false;
    ended = true;
    onEnd(keeps, used);
    return true;
  };
  return {
    /** Ends it: the slot is free, the day keeps the count, and the budgets have what it used. */
    settle: (used?: Spend) => end('all', used),
    /** Ends it before it reached the model: the slot is free and the day gets a refund. */
    release: () => end('minute'),
    /** Ends it because the plan refused it: as if it had been refused before it had its slot. */
    refuse: () => end('nothing'),
    /** Reports that the upstream accepted the request, so the plan is usable. */
    planWorks,
    /** Settles if nothing has ended it, so that a `using` declaration leaks no slot. */
    [Symbol.dispose]: () => void end('all'),
  };
}
