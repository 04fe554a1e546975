/** One line of the doctor: what it checked, the result, and the command that fixes a problem. */

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

export function ok(name: string, detail: string): Line {
  return { name, state: 'ok', detail };
}

export function warning(name: string, detail: string, fix: string): Line {
  return { name, state: 'warning', detail, fix };
}

export function failure(name: string, detail: string, fix: string): Line {
  return { name, state: 'failure', detail, fix };
}

const marks = { ok: 'ok  ', warning: 'warn', failure: 'FAIL' } as const;

/** With its fix, unless that is the fix of the line before. */
export function lineText({ name, state, detail, fix }: Line, fixBefore?: string): string {
  const shown = fix === undefined || fix === fixBefore ? '' : `     -> ${fix}\n`;
  return `${marks[state]} ${[name, detail].filter((part) => part !== '').join(': ')}\n${shown}`;
}

export function summary(lines: readonly Line[]): string {
  const count = (state: LineState): number => lines.filter((line) => line.state === state).length;
  return `ok: ${count('ok')}, warnings: ${count('warning')}, failures: ${count('failure')}\n`;
}
