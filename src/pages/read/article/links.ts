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
  holdsContent,
  isElement,
  isText,
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
    if (url === undefined || !holdsContent(link)) {
      link.replaceWith(...link.childNodes);
      continue;
    }
    link.setAttribute('href', url);
    if (holdsBlock(link)) flatten(link, url);
  }
}

const isHeading = named('H1 H2 H3 H4 H5 H6');

function flatten(link: DomElement, url: string): void {
  const flat = create(link, 'a', { href: url }, ...inlineParts(link));
  const neighbours = [link.previousSibling, link.nextSibling];
  const alone = neighbours.every((node) => node === null || !isText(node) || node.textContent.trim() === '');
  link.replaceWith(
    alone && /^(DIV|SECTION|ARTICLE|MAIN|BODY)$/.test(link.parentNode?.nodeName ?? '')
      ? create(link, 'p', {}, flat)
      : flat,
  );
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
    if (isText(node)) parts.push(node.textContent);
    else if (isKept(node)) parts.push(node);
    else if (node.nodeName === 'BR') parts.push(' ');
  }
  return parts;
}

function blockOf(node: DomNode): DomElement | undefined {
  return around(node, ({ nodeName }) => nodeName === 'A' || blockNames.has(nodeName));
}
