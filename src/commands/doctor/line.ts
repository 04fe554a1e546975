/** One line of the doctor's: what was looked at, how it is, and what to type when it is not well. */
import { paint, type Terminal } from '../text/terminal.ts';

export type LineState = 'ok' | 'warning' | 'failure';

export type Line = {
  /** Stable. */
  name: string;
  state: LineState;
  /** For the owner: never a secret, an address of a person, or content. */
  detail: string;
  /** The command that mends it, or the line to write where no command does. Each line that is not ok has one. */
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

/** A path as one word of a shell. */
export function word(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
