/**
 * What a spare does while it waits, so that its one turn need not: the CLI loads what a request to the model takes only when it
 * makes the first. A side question makes it go through that, up to a connection that is refused by the blackhole proxy. Nothing
 * leaves the machine, no token is spent, and the request of the turn that follows is the same to the byte (2.1.197 and 2.1.330;
 * docs/warm-up.md has the figures).
 *
 * `onFailed` reports a build that does not take part: no such question, or another answer than a refused connection.
 */
import type { HostEnv } from './lock.ts';
import type { ClaudeProcess } from './process.ts';
import { settingsLine, sideQuestionLine, type CliEvent } from './protocol.ts';
import { blackholeProxy, proxyVariables } from './blackhole-proxy.ts';

export type WarmUp = ReturnType<typeof startWarmUp>;

/** False where the warm-up could reach a model or cannot be undone: the host has a proxy, or another kind of upstream. */
export function canWarmUp(hostEnv: HostEnv): boolean {
  return [...proxyVariables, 'CLAUDE_CODE_USE_BEDROCK', 'CLAUDE_CODE_USE_VERTEX'].every(
    (name) => (hostEnv[name] ?? '') === '',
  );
}

/** Each is sent when the one before it has been answered. */
const steps = [
  // Changes nothing; its answer says that the process is up. Until then it may be claimed as it is.
  { id: 'warm-up-0', line: settingsLine('warm-up-0', {}) },
  { id: 'warm-up-1', line: settingsLine('warm-up-1', { env: blackholeProxy.on }) },
  { id: 'warm-up-2', line: sideQuestionLine('warm-up-2', 'hi') },
  { id: 'warm-up-3', line: settingsLine('warm-up-3', { env: blackholeProxy.off }) },
] as const;

/** Begins at once. After `onFailed`, which is called at most once, the process must not be used. */
export function startWarmUp(process: Pick<ClaudeProcess, 'write'>, onFailed: () => void) {
  let step = 0;
  let failed = false;
  process.write(steps[0].line);
  return {
    /** Takes what the process prints. */
    onEvent: (event: CliEvent): void => {
      if (failed || event.kind !== 'control_response' || event.requestId !== steps[step]?.id) return;
      // The port must have refused the question, and no model answered it.
      const refused = /refused|ECONNREFUSED/i.test(JSON.stringify(event.response));
      if (!event.ok || (step === 2 && !refused)) {
        failed = true;
        return onFailed();
      }
      step += 1;
      const next = steps[step];
      if (next !== undefined) process.write(next.line);
    },
    /** False while the proxy is on: a turn that began then would reach no model. */
    isClaimable: (): boolean => !failed && (step === 0 || step === steps.length),
    isDone: (): boolean => step === steps.length,
  };
}
