/** Text for people: tables and numbers. Pure. */

/** Columns padded to their widest cell. A column whose title begins with a space is aligned to the right. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles.map((title) => title.trim()), ...rows];
  const widths = titles.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines
    .map((line) => {
      const cells = titles.map((title, i) => {
        const [text = '', width = 0] = [line[i], widths[i]];
        return title.startsWith(' ') ? text.padStart(width) : text.padEnd(width);
      });
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
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
