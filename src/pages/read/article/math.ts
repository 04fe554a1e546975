/** Writes every formula as an element with `data-tex` and its TeX: KaTeX, MathJax 2 to 4, MathML, images and delimiters. */
import { MathMLToLaTeX } from 'mathml-to-latex';

import {
  all,
  attribute,
  classesOf,
  create,
  type DomElement,
  type DomNode,
  first,
  having,
  isElement,
  isText,
  lineOf,
  named,
  nodesOf,
} from './dom.ts';

/** Longer than any formula that a person writes. UTF-16 units of TeX, and of MathML to translate. */
const maxLength = 20_000;

type Formula = { readonly tex: string; readonly display: boolean };

export function readMath(body: DomElement): void {
  for (const script of all(body, named('SCRIPT'))) {
    const type = attribute(script, 'type');
    if (!type.startsWith('math/tex')) continue;
    // The output of MathJax 2 is before its source.
    let before = script.previousElementSibling;
    while (before !== null && /(^|\s)(MathJax|MJX)/.test(attribute(before, 'class'))) {
      before.remove();
      before = script.previousElementSibling;
    }
    put(script, { tex: script.textContent, display: type.includes('mode=display') });
  }
  for (const element of all(body, isRendered)) {
    const done = !body.contains(element) || first(element, having('data-tex')) !== undefined;
    if (!done) put(element, renderedFormula(element));
  }
  for (const element of all(body, isSource)) {
    if (element.children.length === 0) put(element, sourceFormula(element));
  }
  for (const text of [...nodesOf(body, mayHoldSource)].filter(isText)) readDelimited(text);
}

const isMath = named('MATH math');
const renderedClass = /(^|\s)(katex(-display)?|mwe-math-element|MathJax(_Display)?)(\s|$)/;
const imageClass = /(^|\s)(mwe-math-[\w-]+|math(-[\w-]+)?|latex|tex)(\s|$)/;

function isRendered(element: DomElement): boolean {
  const classes = attribute(element, 'class');
  if (element.nodeName === 'IMG' && imageClass.test(classes)) return true;
  return isMath(element) || element.nodeName === 'MJX-CONTAINER' || renderedClass.test(classes);
}

/** The source of a formula that a script would render. */
function isSource(element: DomElement): boolean {
  return (
    element.nodeName === 'MATH-RENDERER' ||
    /(^|\s)(math|math-container|arithmatex)(\s|$)/.test(attribute(element, 'class'))
  );
}

function renderedFormula(element: DomElement): Formula {
  const math = isMath(element) ? element : first(element, isMath);
  const image = element.nodeName === 'IMG' ? element : first(element, named('IMG'));
  const source = math === undefined ? undefined : texOf(math);
  const display =
    math?.getAttribute('display') === 'block' ||
    element.getAttribute('display') === 'true' ||
    [element, image].some((each) => /[-_]display(\s|$)/i.test(each?.getAttribute('class') ?? ''));
  return { tex: source ?? image?.getAttribute('alt') ?? '', display };
}

/** From the page's annotation, or translated. */
function texOf(math: DomElement): string | undefined {
  const annotation = all(math, named('ANNOTATION annotation')).find((each) =>
    /tex/i.test(attribute(each, 'encoding')),
  );
  if (annotation !== undefined) return annotation.textContent;
  const alternative = math.getAttribute('alttext');
  if (alternative !== null && alternative.trim() !== '') return alternative;
  const source = math.outerHTML;
  if (source.length > maxLength) return undefined;
  try {
    return MathMLToLaTeX.convert(source);
  } catch {
    return undefined;
  }
}

/** TeX between delimiters, or in an element whose class says how it is shown. */
function sourceFormula(element: DomElement): Formula | undefined {
  const text = element.textContent.trim();
  const display = /^(?:\$\$([^]+)\$\$|\\\[([^]+)\\\])$/.exec(text);
  if (display !== null) return { tex: display[1] ?? display[2] ?? '', display: true };
  const inline = /^(?:\$([^$]+)\$|\\\(([^]+)\\\))$/.exec(text);
  if (inline !== null) return { tex: inline[1] ?? inline[2] ?? '', display: false };
  const classes = classesOf(element);
  const shown = classes.find((name) => name === 'display' || name === 'inline');
  if (!classes.includes('math') || shown === undefined) return undefined;
  return { tex: text, display: shown === 'display' };
}

function put(place: DomElement, formula: Formula | undefined): void {
  // Wikipedia wraps every formula in a style.
  const tex = lineOf(formula?.tex)
    .replace(/^\{\\(?:display|text)style\s*([^]*)\}$/, '$1')
    .trim();
  if (formula !== undefined && isPlausible(tex)) place.replaceWith(elementOf(place, { ...formula, tex }));
}

function isPlausible(tex: string): boolean {
  return tex !== '' && tex.length <= maxLength;
}

function elementOf(place: DomNode, { tex, display }: Formula): DomElement {
  return create(place, display ? 'p' : 'span', { 'data-tex': display ? 'display' : 'inline' }, tex);
}

/** Whether `$$` inside can begin a formula. */
function mayHoldSource(node: DomNode): boolean {
  const isVerbatim = /^(PRE|CODE|SCRIPT|STYLE|TEXTAREA)$/.test(node.nodeName);
  return isElement(node) && !isVerbatim && !node.hasAttribute('data-tex');
}

const closings: Readonly<Record<string, string>> = { '\\(': '\\)', '\\[': '\\]', $$: '$$' };

/** TeX between delimiters, which a script of the page would have rendered. */
function readDelimited(node: DomNode): void {
  const text = node.textContent;
  const parts: (DomNode | string)[] = [];
  const openings = /\\[([]|\$\$/g;
  let end = 0;
  for (let opening = openings.exec(text); opening !== null; opening = openings.exec(text)) {
    const closing = text.indexOf(closings[opening[0]] ?? '', openings.lastIndex);
    if (closing === -1) break;
    const tex = lineOf(text.slice(openings.lastIndex, closing));
    openings.lastIndex = closing + 2;
    if (!isPlausible(tex)) continue;
    const formula = elementOf(node, { tex, display: opening[0] !== '\\(' });
    parts.push(text.slice(end, opening.index), formula);
    end = closing + 2;
  }
  if (parts.length > 0) (node as DomElement).replaceWith(...parts, text.slice(end));
}
