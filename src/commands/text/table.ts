/** Text for people: tables, bars and numbers. Pure. */

export type Column = { title: string; right?: boolean };

/** Columns padded to their widest cell. Colours have no width. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => shownLength(line[i] ?? ''))));
  return lines
    .map((line) =>
      columns
        .map(({ right = false }, i) => pad(line[i] ?? '', widths[i] ?? 0, right))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(width - shownLength(text));
  return right ? space + text : text + space;
}

function shownLength(text: string): number {
  return text.replaceAll(/\x1b\[[0-9;]*m/g, '').length;
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** A bar of up to `width` characters. A value above 0 always has a bar. */
export function bar(value: number, largest: number, width = 12): string {
  if (value <= 0 || largest <= 0) return '';
  const parts = Math.max(1, Math.round(Math.min(value / largest, 1) * width * 8));
  return '█'.repeat(Math.floor(parts / 8)) + (eighths[parts % 8] ?? '');
}

/** `1 234 567`: a space cannot be read as a decimal sign. */
export function count(value: number): string {
  return String(value).replaceAll(/\B(?=(?:[0-9]{3})+$)/g, ' ');
}

/** Dollars; small amounts have four decimals. */
export function cost(usd: number): string {
  if (usd === 0) return '$0';
  return usd >= 1 ? `$${usd.toFixed(2)}` : `$${usd.toFixed(4)}`;
}

/** `2030-01-31 18:00:05`, in UTC. */
export function time(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}

/** `0.8s`, `75s`. */
export function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : `${Math.round(ms / 1000)}s`;
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
