/** The log: one JSON object a line on stdout. */
import pino, { type Logger } from 'pino';
import type { ReadinessState } from './claude/proof/readiness.ts';
import { RelayError } from './errors.ts';
import { storeFailure } from './store/errors.ts';

/**
 * Lines are written together, once in a round of the event loop: a write for each line took a tenth of the relay's processor time under
 * load, and delayed answers. A round's lines are written before the next round, and before the process ends (except by SIGKILL).
 */
export function createLog(level: string): Logger {
  const stdout = pino.destination({ dest: 1, sync: true, minLength: 8 * 1024 });
  let waiting = false;
  const flush = (): void => {
    waiting = false;
    stdout.flush();
  };
  const write = (line: string): void => {
    stdout.write(line);
    if (!waiting) setImmediate(flush);
    waiting = true;
  };
  process.once('exit', flush);
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write });
}

export function logReadiness(log: Logger, state: ReadinessState): void {
  switch (state.phase) {
    case 'proving':
      log.info({ reason: state.reason }, 'proving the lock');
      return;
    case 'proved':
      log.info({ cli: state.proof.cliVersion, ms: state.proof.durationMs }, 'the lock is proved');
      if (state.proof.hotProblem !== undefined)
        log.warn({ reason: state.proof.hotProblem }, 'no hot processes');
      return;
    case 'failed': {
      const failed = state.proof?.checks.filter((check) => !check.ok) ?? [];
      log.error({ failed }, `not ready: ${state.reason}`);
    }
  }
}

/** For the owner: why the database fails, or where a defect is. A defect's message could hold content, so it is left out. */
export function logCause(log: Logger, requestId: string, { code, details: { cause } }: RelayError): void {
  if (cause instanceof RelayError) return logCause(log, requestId, cause);
  const reason = code === 'not_ready' ? storeFailure(cause) : undefined;
  if (reason !== undefined) return log.error({ request_id: requestId, reason }, 'not ready');
  if (code !== 'internal' && (code !== 'not_ready' || cause === undefined)) return;
  const frames =
    cause instanceof Error ? (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : [];
  log.error(
    { request_id: requestId, error: cause instanceof Error ? cause.name : typeof cause, frames },
    'defect',
  );
}
