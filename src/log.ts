/** The log: one JSON object a line on stdout. */
import pino, { type Logger } from 'pino';

/**
 * Lines are written together, once in a round of the event loop: a write for each took a tenth of the relay's processor time under
 * load, and kept answers waiting. What a round has said is out before the next one, and before the process ends, whatever ends it
 * but SIGKILL.
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
