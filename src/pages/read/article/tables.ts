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
  const withHeader = rows[0]?.head === true;
  if (header && !withHeader) grid.unshift([]);
  const width = grid.reduce((most, row) => Math.max(most, row.length), 0);
  const padded = width * grid.length <= maxCells;
  const lines = grid.map((row, y) => {
    const name = y === 0 && (header || withHeader) ? 'th' : 'td';
    const cells = Array.from({ length: padded || name === 'th' ? width : row.length }, (_, x) => {
      const cell = row[x];
      return cell === undefined ? create(table, name) : create(cell, name, {}, ...cellContent(cell));
    });
    return create(table, 'tr', {}, ...cells);
  });
  const captions = captionsOf(table).map(({ textContent }) => lineOf(textContent));
  const paragraphs = captions.filter((text) => text !== '').map((text) => create(table, 'p', {}, text));
  table.replaceWith(...paragraphs, create(table, 'table', {}, ...lines));
}

function captionsOf(table: DomElement): DomElement[] {
  return table.children.filter(named('CAPTION'));
}

/** The cells by row and column, with holes where a cell extends from the left or from above. */
function gridOf(rows: readonly Row[]): DomElement[][] {
  const spans = rows
    .flatMap(({ cells }) => cells)
    .reduce((sum, cell) => sum + span(cell, 'colspan') * span(cell, 'rowspan'), 0);
  if (spans > maxCells) return rows.map(({ cells }) => [...cells]);
  const taken = rows.map(() => new Set<number>());
  return rows.map(({ cells }, y) => {
    const row: DomElement[] = [];
    let x = 0;
    for (const cell of cells) {
      while (taken[y]?.has(x) === true) x += 1;
      row[x] = cell;
      const end = x + span(cell, 'colspan');
      const height = span(cell, 'rowspan');
      for (; x < end; x += 1) {
        for (let down = 0; down < height; down += 1) taken[y + down]?.add(x);
      }
    }
    return row;
  });
}

function span(cell: DomElement, name: string): number {
  const count = Number.parseInt(cell.getAttribute(name) ?? '1', 10);
  return count >= 1 ? Math.min(count, maxSpan) : 1;
}

/** A cell's blocks. In a table inside it, each row is a line with commas between its cells. */
function cellContent(cell: DomElement): readonly DomNode[] {
  for (const part of all(cell, needsLine)) {
    if (part.nodeName === 'HR') part.remove();
    else if (part.hasAttribute('data-tex')) part.setAttribute('data-tex', 'inline');
    else {
      const name = part.nodeName === 'PRE' ? 'code' : 'strong';
      part.replaceWith(create(part, 'p', {}, create(part, name, {}, ...part.childNodes)));
    }
  }
  for (const part of all(cell, named('TABLE THEAD TBODY TFOOT TR')).toReversed()) {
    if (part.nodeName !== 'TR') part.replaceWith(...part.childNodes);
    else {
      const line: (DomNode | string)[] = [];
      for (const { childNodes } of part.children) {
        if (childNodes.length > 0) line.push(', ', ...childNodes);
      }
      part.replaceWith(create(part, 'p', {}, ...line.slice(1)));
    }
  }
  return cell.childNodes;
}

function needsLine(element: DomElement): boolean {
  return /^(H[1-6]|HR|PRE)$/.test(element.nodeName) || element.hasAttribute('data-tex');
}
