/**
 * A few requests at each round of the event loop: a flood waits in line here instead of holding the thread for a second, so that
 * whoever asks for /health, and the answers that are under way, come in between.
 */
export type Intake = () => Promise<void>;

/** `perRound`: requests let in at each round, in the order in which they came. */
export function createIntake(perRound = 8): Intake {
  const line: (() => void)[] = [];
  const letIn = (): void => {
    for (const enter of line.splice(0, perRound)) enter();
    if (line.length > 0) setImmediate(letIn);
  };
  return () =>
    new Promise((resolve) => {
      if (line.push(resolve) === 1) setImmediate(letIn);
    });
}
