/** Doctor: the lines of `claude-relay doctor`. */
import { html } from 'hono/html';
import { summary, type Line } from '../../commands/doctor/line.ts';
import { time } from '../../commands/text/table.ts';
import type { Examined, OwnerData } from '../data.ts';
import { live, table, type Html, type View } from '../layout.ts';

export function doctorView(data: OwnerData): View {
  const { value, asking } = data.doctor();
  const content = html`${asking ? html`<p class="none">The checks run. They take some seconds: reload this page then.</p>` : ''}${value === undefined ? '' : linesOf(value)}`;
  return { content: live('doctor', content), refreshS: asking ? 1 : 60 };
}

function linesOf({ at, lines }: Examined): Html {
  return html`<p>Checked at ${time(at)}. ${summary(lines)}</p>
    ${table<Line>(
      'What was checked',
      [
        { title: 'State', cell: ({ state }) => html`<em class="tag ${state}">${state}</em>` },
        { title: 'Check', cell: ({ name }) => name },
        { title: 'Result', cell: ({ detail }) => detail },
        { title: 'To fix it', cell: ({ fix }) => (fix === undefined ? '' : html`<code>${fix}</code>`) },
      ],
      lines,
    )}`;
}
