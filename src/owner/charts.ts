/** Charts as SVG, drawn here. Their colours are in owner.css; next to each is a table of the same numbers. */
import { html, raw } from 'hono/html';
import { count } from '../commands/text/table.ts';
import type { Html } from './layout.ts';

/** One bar with its parts, in the order of the series. */
export type Bar = { name: string; parts: readonly number[] };

/** So many series have a colour; the last one is for all others. */
export const mostSeries = 8;

const width = 720;
const height = 180;

/** Bars of stacked parts. `label` says what the chart shows. */
export function stackedBars(label: string, series: readonly string[], bars: readonly Bar[]): Html {
  const sums = bars.map(({ parts }) => parts.reduce((sum, part) => sum + part, 0));
  const top = Math.max(1, ...sums);
  const step = width / Math.max(1, bars.length);
  const shapes = bars.map(({ name, parts }, i) => {
    let y = height;
    const rects = parts.map((part, place) => {
      const tall = (part / top) * height;
      y -= tall;
      if (part === 0) return '';
      const title = html`<title>${name}, ${series[place] ?? ''}: ${count(part)}</title>`;
      return html`<rect
        class="series-${place}"
        x="${fixed(i * step + step * 0.1)}"
        y="${fixed(y)}"
        width="${fixed(step * 0.8)}"
        height="${fixed(tall)}"
        >${title}</rect
      >`;
    });
    return html`<g>${rects}</g>`;
  });
  return html`<figure>
    <p class="ends">${count(top)}</p>
    <svg
      class="chart"
      viewBox="0 0 ${width} ${height}"
      preserveAspectRatio="none"
      role="img"
      aria-label="${label}"
    >
      ${shapes}
    </svg>
    <p class="ends"><span>${bars.at(0)?.name ?? ''}</span><span>${bars.at(-1)?.name ?? ''}</span></p>
    <figcaption>
      ${series.map(
        (name, place) =>
          html`<span class="legend"
            ><svg class="key" viewBox="0 0 10 10" aria-hidden="true">
              <rect class="series-${place}" width="10" height="10"></rect></svg
            >${name}</span
          >`,
      )}
    </figcaption>
  </figure>`;
}

/** A small line of bars without an axis. */
export function sparkline(label: string, values: readonly number[]): Html {
  const top = Math.max(1, ...values);
  const rects = values.map((value, i) => {
    const tall = value === 0 ? 0.5 : Math.max(1, (value / top) * 18);
    return raw(`<rect x="${i * 5}" y="${fixed(18 - tall)}" width="4" height="${fixed(tall)}"></rect>`);
  });
  return html`<svg class="spark" viewBox="0 0 ${values.length * 5} 18" role="img" aria-label="${label}">
    ${rects}
  </svg>`;
}

/** What is used of a limit, 0 to 1 (more is full). Its colour changes at four fifths, and when it is full. */
export function meter(label: string, part: number): Html {
  return bar(label, part, part >= 1 ? 'full' : part >= 0.8 ? 'nearly' : 'fine');
}

/** A part of a whole, 0 to 1. */
export function bar(label: string, part: number, kind = 'plain'): Html {
  const shown = Math.min(1, Math.max(0, part));
  return html`<svg
    class="meter ${kind}"
    viewBox="0 0 100 8"
    preserveAspectRatio="none"
    role="img"
    aria-label="${label}"
  >
    <rect class="whole" width="100" height="8"></rect>
    <rect class="part" width="${fixed(shown * 100)}" height="8"></rect>
  </svg>`;
}

function fixed(value: number): string {
  return String(Number(value.toFixed(2)));
}
