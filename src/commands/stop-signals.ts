/** The signals that ask a command to stop: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal was closed). */
import { once } from 'node:events';

export type StopSignals = {
  /** Aborts at the first signal; the reason is its name. */
  readonly signal: AbortSignal;
  /** Called for each further signal. */
  onAgain: () => void;
  /** Restores the default effect of the signals. */
  [Symbol.dispose](): void;
};

const names = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export function listenForStop(): StopSignals {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) stopSignals.onAgain();
    else stop.abort(name);
  };
  const stopSignals: StopSignals = {
    signal: stop.signal,
    onAgain: () => {},
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
  for (const name of names) process.on(name, onSignal);
  return stopSignals;
}

export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
