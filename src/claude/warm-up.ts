/**
 * What a spare does while it waits, so that its first turn need not: the CLI loads what a request to the model takes only when it makes
 * the first. A side question makes it go through that, up to its valve, which refuses it. Nothing leaves the machine, no token is spent,
 * and the request of the turn that follows is the same to the byte (2.1.197, 2.1.330 and 2.1.332; docs/warm-up.md has the figures).
 */
import type { LockedProcess } from './locked-process.ts';
import { settingsLine, sideQuestionLine, type CliEvent } from './protocol.ts';

export type WarmUp = ReturnType<typeof startWarmUp>;

export type WarmUpOptions = {
  /** Otherwise the process only waits, behind its valve. */
  rehearses: boolean;
  /** A build that does not take part: no such question, or one that did not end at the valve. The process must not be used. */
  onFailed: () => void;
};

/** What the process asks at its start, such as its organisation's settings, has its answer by then. */
const quietMs = 10_000;
const lookAgainMs = 50;

/** Begins at once. Until the process is up it can be claimed as it is. */
export function startWarmUp(
  { write, valve }: Pick<LockedProcess, 'write' | 'valve'>,
  options: WarmUpOptions,
) {
  let step: 'starts' | 'settles' | 'rehearses' | 'done' | 'stopped' = 'starts';
  let timer: NodeJS.Timeout | undefined;
  /** Changes nothing; its answer says that the process is up. */
  write(settingsLine('up', {}));
  const settle = (until: number): void => {
    if (!valve.isQuiet && performance.now() < until) {
      timer = setTimeout(() => settle(until), lookAgainMs).unref();
      return;
    }
    if (!options.rehearses || !valve.isQuiet) {
      valve.shut();
      step = 'done';
      return;
    }
    step = 'rehearses';
    valve.refuse();
    write(sideQuestionLine('rehearsal', 'hi'));
  };
  return {
    /** Takes what the process prints. */
    onEvent: (event: CliEvent): void => {
      if (event.kind !== 'control_response') return;
      if (step === 'starts' && event.requestId === 'up') {
        step = 'settles';
        settle(performance.now() + quietMs);
      } else if (step === 'rehearses' && event.requestId === 'rehearsal') {
        step = event.ok && valve.refused > 0 ? 'done' : 'stopped';
        valve.shut();
        if (step === 'stopped') options.onFailed();
      }
    },
    /** Nobody may claim it while the question is under way. */
    isClaimable: (): boolean => step !== 'rehearses' && step !== 'stopped',
    isDone: (): boolean => step === 'done',
    /** A request has the process from now on, or it ends. */
    stop: (): void => {
      clearTimeout(timer);
      step = 'stopped';
    },
  };
}
