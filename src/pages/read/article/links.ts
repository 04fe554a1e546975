/** Makes links absolute and writes each on one line, also a link around a whole block such as a card. */
import {
  all,
  around,
  attribute,
  blockNames,
  create,
  type DomElement,
  type DomNode,
  first,
  isElement,
  isText,
  lineOf,
  named,
  nodesOf,
} from './dom.ts';
import { readableUrl } from './urls.ts';

export function readLinks(body: DomElement, base: string): void {
  for (const anchor of all(body, isHeading).flatMap((heading) => all(heading, named('A')))) {
    // A heading's link to itself is a sign without words.
    const toItself = /#/.test(attribute(anchor, 'href'));
    if (toItself && !/[\p{L}\p{N}]/u.test(anchor.textContent) && first(anchor, named('IMG')) === undefined)
      anchor.remove();
  }
  for (const link of all(body, named('A'))) {
    if (!link.hasAttribute('href')) continue;
    const url = readableUrl(link.getAttribute('href'), base);
    const nothing = link.textContent.trim() === '' && first(link, named('IMG')) === undefined;
    if (url === undefined || nothing) link.replaceWith(...link.childNodes);
    else link.setAttribute('href', url);
    if (url !== undefined && !nothing && holdsBlock(link)) flatten(link);
  }
}

const isHeading = named('H1 H2 H3 H4 H5 H6');

function flatten(link: DomElement): void {
  const parts = inlineParts(link);
  const flat = create(link, 'a', { href: attribute(link, 'href') }, ...parts);
  const alone = neighbours(link).every((node) => !isText(node) || lineOf(node.nodeValue) === '');
  link.replaceWith(
    alone && /^(DIV|SECTION|ARTICLE|MAIN|BODY)$/.test(link.parentNode?.nodeName ?? '')
      ? create(link, 'p', {}, flat)
      : flat,
  );
}

function neighbours(node: DomNode): DomNode[] {
  return [node.previousSibling, node.nextSibling].filter((each) => each !== null);
}

function holdsBlock(link: DomElement): boolean {
  for (const { nodeName } of nodesOf(link)) if (nodeName === 'BR' || blockNames.has(nodeName)) return true;
  return false;
}

/** The inline content of a link, with a space between its blocks. */
function inlineParts(link: DomElement): (DomNode | string)[] {
  const parts: (DomNode | string)[] = [];
  const isKept = (node: DomNode): boolean =>
    isElement(node) &&
    (/^(CODE|IMG|EM|STRONG|B|I|DEL|S)$/.test(node.nodeName) || node.hasAttribute('data-tex')) &&
    !holdsBlock(node);
  let last: DomNode | undefined;
  for (const node of nodesOf(link, (each) => !isKept(each))) {
    // A space between the parts of two blocks.
    if (last !== undefined && blockOf(node) !== blockOf(last)) parts.push(' ');
    last = node;
    if (isText(node)) parts.push(node.nodeValue ?? '');
    else if (isKept(node)) parts.push(node);
    else if (node.nodeName === 'BR') parts.push(' ');
  }
  while (isSpace(parts[0])) parts.shift();
  while (isSpace(parts.at(-1))) parts.pop();
  return parts;
}

function isSpace(part: DomNode | string | undefined): boolean {
  return typeof part === 'string' && part.trim() === '';
}

function blockOf(node: DomNode): DomElement | undefined {
  return around(node, ({ nodeName }) => nodeName === 'A' || blockNames.has(nodeName));
}
