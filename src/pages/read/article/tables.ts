/**
 * Writes tables as Markdown allows them: a header row, rows of one width, and one line in a cell. A layout, a table around
 * tables, and a table with code of several lines become plain blocks.
 */
import {
  all,
  around,
  attribute,
  create,
  type DomElement,
  type DomNode,
  first,
  having,
  lineOf,
  named,
  nodesOf,
} from './dom.ts';

/** Columns or rows of one cell. The standard allows 1000 and 65534. */
const maxSpan = 100;
/** Cells of a table that is filled up to one width. A larger table keeps its cells. */
const maxCells = 50_000;

/** `header`: every table begins with a row of headers, which can be empty. */
export function readTables(content: DomElement, { header }: { header: boolean }): void {
  const tables = all(content, named('TABLE'));
  // Inner tables come first, so that each outer table is read once.
  for (const table of tables.toReversed()) {
    const rows = rowsOf(table);
    if (isData(table, rows)) writeTable(table, rows, header);
    else unwrap(table, rows);
  }
  // The main content can begin inside a layout.
  for (const part of all(content, named('TBODY THEAD TFOOT TR TD TH'))) {
    if (around(part, named('TABLE')) === undefined) part.replaceWith(block(part));
  }
}

type Row = { readonly cells: readonly DomElement[]; readonly head: boolean };

function rowsOf(table: DomElement): Row[] {
  const sections = table.children.flatMap((child) =>
    /^(THEAD|TBODY|TFOOT)$/.test(child.nodeName) ? child.children : [child],
  );
  return sections
    .filter(named('TR'))
    .map((row) => {
      const cells = row.children.filter(named('TD TH'));
      const head = row.parentNode?.nodeName === 'THEAD' || cells.every(({ nodeName }) => nodeName === 'TH');
      return { cells, head };
    })
    .filter(({ cells }) => cells.length > 0);
}

function isData(table: DomElement, rows: readonly Row[]): boolean {
  if (/^(presentation|none)$/.test(attribute(table, 'role'))) return false;
  if (!rows.some(({ cells }) => cells.length > 1)) return false;
  const marked =
    rows.some(({ cells }) => cells.some(({ nodeName }) => nodeName === 'TH')) ||
    table.children.some(({ nodeName }) => nodeName === 'CAPTION' || nodeName === 'THEAD');
  for (const node of nodesOf(table)) {
    if (node.nodeName === 'PRE' && node.textContent.includes('\n')) return false;
    if (node.nodeName === 'TABLE' && !marked) return false;
  }
  return true;
}

function unwrap(table: DomElement, rows: readonly Row[]): void {
  const cells = rows.flatMap((row) => row.cells);
  table.replaceWith(...captionsOf(table).map(block), ...cells.map(block));
}

function block(element: DomElement): DomElement {
  return create(element, 'div', {}, ...element.childNodes);
}

function writeTable(table: DomElement, rows: readonly Row[], header: boolean): void {
  const grid = gridOf(rows);
  const width = grid.reduce((most, row) => Math.max(most, row.length), 0);
  const padded = width * grid.length <= maxCells;
  const empty = (name: string, from: number): DomElement[] =>
    Array.from({ length: padded || name === 'th' ? Math.max(0, width - from) : 0 }, () =>
      create(table, name),
    );
  const withHeader = rows[0]?.head === true;
  const lines = grid.map((cells, index) => {
    const name = index === 0 && withHeader ? 'th' : 'td';
    const written = cells.map((cell) =>
      cell === undefined ? create(table, name) : create(cell, name, {}, ...cellContent(cell)),
    );
    return create(table, 'tr', {}, ...written, ...empty(name, cells.length));
  });
  if (header && !withHeader) lines.unshift(create(table, 'tr', {}, ...empty('th', 0)));
  const captions = captionsOf(table).map(({ textContent }) => lineOf(textContent));
  const paragraphs = captions.filter((text) => text !== '').map((text) => create(table, 'p', {}, text));
  table.replaceWith(...paragraphs, create(table, 'table', {}, ...lines));
}

function captionsOf(table: DomElement): DomElement[] {
  return table.children.filter(named('CAPTION'));
}

/** The cells by row and column; undefined where a cell extends from the left or from above. */
function gridOf(rows: readonly Row[]): (DomElement | undefined)[][] {
  const spans = rows.reduce(
    (sum, { cells }) =>
      sum + cells.reduce((cellSum, cell) => cellSum + span(cell, 'colspan') * span(cell, 'rowspan'), 0),
    0,
  );
  if (spans > maxCells) return rows.map(({ cells }) => [...cells]);
  const grid: (DomElement | undefined)[][] = rows.map(() => []);
  const taken = rows.map(() => new Set<number>());
  for (const [y, { cells }] of rows.entries()) {
    let x = 0;
    for (const cell of cells) {
      while (taken[y]?.has(x) === true) x += 1;
      const width = span(cell, 'colspan');
      for (let down = 0; down < span(cell, 'rowspan'); down += 1) {
        for (let right = 0; right < width; right += 1) taken[y + down]?.add(x + right);
      }
      const row = grid[y] ?? [];
      row[x] = cell;
      x += width;
    }
  }
  // Turns holes into undefined, also at the end of a row.
  return grid.map((row) => Array.from(row));
}

function span(cell: DomElement, name: string): number {
  const count = Number.parseInt(cell.getAttribute(name) ?? '1', 10);
  return count >= 1 ? Math.min(count, maxSpan) : 1;
}

/** A cell's blocks. In a table inside it, each row is a line with commas between its cells. */
function cellContent(cell: DomElement): readonly DomNode[] {
  if (first(cell, needsLine) === undefined) return cell.childNodes;
  for (const heading of all(cell, named('H1 H2 H3 H4 H5 H6 PRE'))) {
    const name = heading.nodeName === 'PRE' ? 'code' : 'strong';
    heading.replaceWith(create(heading, 'p', {}, create(heading, name, {}, ...heading.childNodes)));
  }
  for (const rule of all(cell, named('HR'))) rule.remove();
  for (const formula of all(cell, having('data-tex'))) formula.setAttribute('data-tex', 'inline');
  for (const inner of all(cell, named('TR'))) {
    const line: (DomNode | string)[] = [];
    for (const { childNodes } of inner.children) {
      if (childNodes.length > 0) line.push(...(line.length === 0 ? [] : [', ']), ...childNodes);
    }
    inner.replaceWith(create(inner, 'p', {}, ...line));
  }
  for (const inner of all(cell, named('TABLE THEAD TBODY TFOOT')).toReversed())
    inner.replaceWith(...inner.childNodes);
  return cell.childNodes;
}

function needsLine(element: DomElement): boolean {
  return /^(H[1-6]|HR|PRE|TABLE)$/.test(element.nodeName) || element.hasAttribute('data-tex');
}
