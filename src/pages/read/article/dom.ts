/** The part of the DOM that reading an article uses. linkedom's own types require a browser's types. */
export type DomNode = {
  readonly nodeType: number;
  readonly nodeName: string;
  readonly textContent: string;
  readonly firstChild: DomNode | null;
  readonly nextSibling: DomNode | null;
  readonly previousSibling: DomNode | null;
  readonly parentNode: DomElement | null;
  readonly childNodes: readonly DomNode[];
  readonly ownerDocument: DomDocument;
};

export type DomElement = DomNode & {
  readonly children: readonly DomElement[];
  readonly previousElementSibling: DomElement | null;
  readonly outerHTML: string;
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  hasAttribute(name: string): boolean;
  contains(node: DomNode): boolean;
  cloneNode(deep: boolean): DomElement;
  append(...nodes: (DomNode | string)[]): void;
  prepend(...nodes: (DomNode | string)[]): void;
  before(...nodes: (DomNode | string)[]): void;
  replaceWith(...nodes: (DomNode | string)[]): void;
  remove(): void;
  normalize(): void;
};

export type DomDocument = {
  readonly body: DomElement;
  readonly documentElement: DomElement;
  createElement(name: string): DomElement;
};

export function isElement(node: DomNode | null | undefined): node is DomElement {
  return node?.nodeType === 1;
}

export function isText(node: DomNode): boolean {
  return node.nodeType === 3;
}

/** The elements inside. The list does not change with the tree. Selectors are too slow for some pages. */
export function all(root: DomElement, is: (element: DomElement) => boolean): DomElement[] {
  const found: DomElement[] = [];
  for (const node of nodesOf(root)) if (isElement(node) && is(node)) found.push(node);
  return found;
}

export function first(root: DomElement, is: (element: DomElement) => boolean): DomElement | undefined {
  for (const node of nodesOf(root)) if (isElement(node) && is(node)) return node;
  return undefined;
}

/** Whether a node is one of these: names in capitals with a space between them. */
export function named(names: string): (node: DomNode) => boolean {
  const set = new Set(names.split(' '));
  return ({ nodeName }) => set.has(nodeName);
}

/** An attribute's value, or '' without one. */
export function attribute(element: DomElement, name: string): string {
  return element.getAttribute(name) ?? '';
}

/** Whether an element has this attribute. */
export function having(name: string): (element: DomElement) => boolean {
  return (element) => element.hasAttribute(name);
}

export function classesOf(element: DomElement): string[] {
  return attribute(element, 'class').match(/\S+/g) ?? [];
}

/**
 * Every node inside, in the order of the page, without recursion. `inside` false skips a node's children. `leave` is called after
 * each node and its children.
 */
export function* nodesOf(
  root: DomNode,
  inside: (node: DomNode) => boolean = () => true,
  leave: (node: DomNode) => void = () => {},
): Generator<DomNode> {
  let node = root.firstChild;
  while (node !== null) {
    yield node;
    if (node.firstChild !== null && inside(node)) {
      node = node.firstChild;
      continue;
    }
    leave(node);
    while (node !== null && node.nextSibling === null) {
      node = node.parentNode === root ? null : node.parentNode;
      if (node !== null) leave(node);
    }
    node = node?.nextSibling ?? null;
  }
}

/** The elements around a node, the nearest first. */
export function* parentsOf(node: DomNode): Generator<DomElement> {
  for (let parent = node.parentNode; isElement(parent); parent = parent.parentNode) yield parent;
}

/** The nearest element of a kind around a node. */
export function around(node: DomNode, is: (element: DomElement) => boolean): DomElement | undefined {
  return parentsOf(node).find(is);
}

export const blockNames: ReadonlySet<string> = new Set(
  `ADDRESS ARTICLE ASIDE BLOCKQUOTE DD DIV DL DT FIELDSET FIGCAPTION FIGURE FOOTER FORM H1 H2 H3 H4 H5 H6
  HEADER HR LI MAIN NAV OL P PRE SECTION TABLE TBODY TD TFOOT TH THEAD TR UL`.match(/\S+/g),
);

/** The text on one line. */
export function lineOf(text: string | null | undefined): string {
  return (text ?? '').replace(/\s+/g, ' ').trim();
}

export function create(
  { ownerDocument }: DomNode,
  name: string,
  attributes: Readonly<Record<string, string>> = {},
  ...content: (DomNode | string)[]
): DomElement {
  const element = ownerDocument.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

/** Replaces `inner` with a block, and with it the wrappers that hold nothing else to read. */
export function replaceWrapped(
  inner: DomElement,
  block: DomElement,
  isWrapper: (element: DomElement) => boolean,
  isNothing: (node: DomNode) => boolean = () => false,
): void {
  let outer = inner;
  for (const parent of parentsOf(inner).take(4)) {
    if (!/^(DIV|FIGURE|P)$/.test(parent.nodeName) || !isWrapper(parent)) break;
    const inside = outer;
    if (parent.childNodes.some((node) => node !== inside && holdsContent(node) && !isNothing(node))) break;
    outer = parent;
  }
  outer.replaceWith(block);
}

export function holdsContent(node: DomNode): boolean {
  if (node.textContent.trim() !== '') return true;
  return isElement(node) && (isMedia(node) || first(node, isMedia) !== undefined);
}

const isMedia = named('AUDIO IFRAME IMG VIDEO');
