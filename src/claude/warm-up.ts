/**
 * What a spare does while it waits, so that its one turn need not: the CLI loads what a request to the model takes only when it
 * makes the first. A side question makes it go through that, up to a connection that is refused: for as long as it takes, the process
 * is told of a proxy on a port where nothing can listen without being root. Nothing leaves the machine, no token is spent, and the
 * request of the turn that follows is the same to the byte (2.1.197 and 2.1.330; docs/warm-up.md has the figures).
 *
 * A build that does not take part (no such question, another answer than a refused connection) gets no warm-up: `onFailed`.
 */
import type { HostEnv } from './lock.ts';
import { parseLine, settingsLine, sideQuestionLine } from './protocol.ts';
import { proxyVariables, blackholeProxy } from './blackhole-proxy.ts';

export type WarmUp = {
  /** A line that the process printed. */
  onLine(text: string): void;
  /** False between the first setting and its undoing: a turn that began then would find no way out. */
  isClaimable(): boolean;
};

/** Where the warm-up could reach a model or cannot be undone, there is none: a proxy of the host's own, another kind of upstream. */
export function canWarmUp(hostEnv: HostEnv): boolean {
  const set = (name: string): boolean => (hostEnv[name] ?? '') !== '';
  if (proxyVariables.some(set)) return false;
  return !set('CLAUDE_CODE_USE_BEDROCK') && !set('CLAUDE_CODE_USE_VERTEX');
}

/** The steps, each sent when the one before it has been answered. */
const steps = [
  // Changes nothing; its answer says that the process is up. Until then it may be claimed as it is.
  { id: 'warm-up-0', line: settingsLine('warm-up-0', {}) },
  { id: 'warm-up-1', line: settingsLine('warm-up-1', { env: blackholeProxy.on }) },
  { id: 'warm-up-2', line: sideQuestionLine('warm-up-2', 'hi') },
  { id: 'warm-up-3', line: settingsLine('warm-up-3', { env: blackholeProxy.off }) },
] as const;

/** Begins at once. `onFailed` is called at most once; the process is then of no use. */
export function startWarmUp(write: (text: string) => void, onFailed: () => void): WarmUp {
  let step = 0;
  let failed = false;
  const fail = (): void => {
    if (failed) return;
    failed = true;
    onFailed();
  };
  write(steps[0].line);
  return {
    onLine: (text) => {
      const current = steps[step];
      if (failed || current === undefined) return;
      const answer = answerTo(current.id, text);
      if (answer === undefined) return;
      // The question must have been refused by the port, not answered.
      const asExpected = step === 2 ? answer.ok && /refused|ECONNREFUSED/i.test(text) : answer.ok;
      if (!asExpected) return fail();
      step += 1;
      const next = steps[step];
      if (next !== undefined) write(next.line);
    },
    isClaimable: () => !failed && (step === 0 || step === steps.length),
  };
}

function answerTo(id: string, text: string): { ok: boolean } | undefined {
  try {
    const event = parseLine(text);
    return event.kind === 'control_response' && event.requestId === id ? { ok: event.ok } : undefined;
  } catch {
    return undefined;
  }
}
