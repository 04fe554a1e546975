/**
 * A reservation: a slot, a place in the minute, a request of the day. `settle` and `release` end it; the first call
 * counts and returns true, any later one changes nothing, returns false and is counted as a defect.
 */
export type Ticket = {
  /** Ends it: the slot is free, the day keeps the count. */
  settle(): boolean;
  /** Ends it before it reached the model: the slot is free and the day gets its count back. */
  release(): boolean;
  /** Says that the upstream accepted the request, so the plan is not used up (any more). */
  planWorks(): void;
  /** Settles if nothing else has ended it, so that a `using` declaration leaks no slot. */
  [Symbol.dispose](): void;
};

export type TicketOptions = {
  /** Called once. */
  onEnd: (keepsCount: boolean) => void;
  /** Called for every ending after the first. */
  onDoubleEnd: () => void;
  onPlanWorks: () => void;
};

export function createTicket({ onEnd, onDoubleEnd, onPlanWorks }: TicketOptions): Ticket {
  let ended = false;
  const end = (keepsCount: boolean): boolean => {
    if (ended) {
      onDoubleEnd();
      return false;
    }
    ended = true;
    onEnd(keepsCount);
    return true;
  };
  return {
    settle: () => end(true),
    release: () => end(false),
    planWorks: onPlanWorks,
    [Symbol.dispose]: () => {
      if (!ended) end(true);
    },
  };
}
