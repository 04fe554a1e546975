/** One line of the doctor: what it checked, the result, and the command that fixes a problem. */
import { paint, type Terminal } from '../text/terminal.ts';

export type LineState = 'ok' | 'warning' | 'failure';

export type Line = {
  /** Stable. */
  name: string;
  state: LineState;
  /** For the owner: never a secret, a person's address, or content. */
  detail: string;
  /** The command that fixes it, or what to do when no command does. Each line that is not ok has a fix. */
  fix?: string;
};

export function ok(name: string, detail = ''): Line {
  return { name, state: 'ok', detail };
}

export function warning(name: string, detail: string, fix: string): Line {
  return { name, state: 'warning', detail, fix };
}

export function failure(name: string, detail: string, fix: string): Line {
  return { name, state: 'failure', detail, fix };
}

const marks = {
  ok: ['green', 'ok  '],
  warning: ['yellow', 'warn'],
  failure: ['red', 'FAIL'],
} as const satisfies Record<LineState, readonly [colour: string, word: string]>;

export function lineText(terminal: Terminal, { name, state, detail }: Line): string {
  const [colour, word] = marks[state];
  return `${paint(terminal, colour, word)} ${name}${detail === '' ? '' : `: ${detail}`}\n`;
}

export function fixText(terminal: Terminal, fix: string): string {
  return `     ${paint(terminal, 'cyan', '->')} ${fix}\n`;
}

/** `37 lines ok, 2 warnings, 1 failure.` */
export function summary(lines: readonly Line[]): string {
  const of = (state: LineState): number => lines.filter((line) => line.state === state).length;
  const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  const bad = [counted(of('warning'), 'warning'), counted(of('failure'), 'failure')];
  return `${of('ok')} ok, ${bad.join(', ')}.\n`;
}

export function lineJson({ name, state, detail, fix }: Line): Record<string, unknown> {
  return { name, state, ok: state !== 'failure', detail, fix: fix ?? null };
}

/** Quotes a path for a shell. */
export function word(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
