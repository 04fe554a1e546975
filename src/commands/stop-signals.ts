/** The signals that ask a command to stop: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal was closed). */
export type StopSignals = {
  /** Aborted by the first of them. */
  readonly signal: AbortSignal;
  /** Called for each further one, by whoever is in a hurry. */
  onAgain: () => void;
  /** From now on they do again what they do to any program. */
  close(): void;
};

const names = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export function listenForStop(): StopSignals {
  const stop = new AbortController();
  const stopSignals: StopSignals = {
    signal: stop.signal,
    onAgain: () => {},
    close: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
  const onSignal = (): void => {
    if (stop.signal.aborted) stopSignals.onAgain();
    else stop.abort();
  };
  for (const name of names) process.on(name, onSignal);
  return stopSignals;
}

/** Resolves when it is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
