/** Requests that are let in at each round of the event loop. */
const perRound = 8;

/** Lets in a few requests at each round of the event loop, so that a flood does not delay /health and the answers under way. */
export class ArrivalQueue {
  readonly #waiting: (() => void)[] = [];

  /** Resolves in the order of the calls. */
  enter(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) setImmediate(this.#letIn);
    });
  }

  readonly #letIn = (): void => {
    for (const resolve of this.#waiting.splice(0, perRound)) resolve();
    if (this.#waiting.length > 0) setImmediate(this.#letIn);
  };
}
