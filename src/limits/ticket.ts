/** An admitted request's place in a lane. `settle` and `release` end it: the first call has an effect and returns true. */
export type Ticket = {
  /** Ends it: the slot is free, the day keeps the count. */
  settle(): boolean;
  /** Ends it before it reached the model: the slot is free and the day gets a refund. */
  release(): boolean;
  /** Reports that the upstream accepted the request, so the plan is usable. */
  planWorks(): void;
  /** Settles if nothing has ended it, so that a `using` declaration leaks no slot. */
  [Symbol.dispose](): void;
};

/** `onEnd` is called once. */
export function createTicket(onEnd: (keepsCount: boolean) => void, planWorks: () => void): Ticket {
  let ended = false;
  const end = (keepsCount: boolean): boolean => {
    if (ended) return false;
    ended = true;
    onEnd(keepsCount);
    return true;
  };
  return {
    settle: () => end(true),
    release: () => end(false),
    planWorks,
    [Symbol.dispose]: () => void end(true),
  };
}
