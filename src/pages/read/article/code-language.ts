/** The language of a code block, from the class names and attributes of highlighters. */
import { all, attribute, classesOf, type DomElement, named, parentsOf } from './dom.ts';

/** Names that are a language without a prefix, as in `class="hljs python"`. */
const names = new Set(
  `ada apache arduino asm awk bash bat batch c c# c++ clojure cmake cobol coffeescript console cpp crystal
  csharp css csv cuda cython d dart diff dockerfile dos elixir elm erlang fish fortran fsharp gherkin glsl
  go golang gradle graphql groovy haml handlebars haskell hcl html http ini java javascript js json json5
  jsonc jsx julia kotlin kt latex less lisp lua makefile markdown matlab md mermaid nginx nim nix objc
  objectivec ocaml pascal patch perl php plaintext postgresql powershell ps1 prolog properties proto
  protobuf ps pug puppet py pycon python python3 r racket rb rest rst ruby rust rs sass scala scheme scss
  sh shell solidity sql stylus svelte swift tcl terraform tex text toml ts tsx turtle typescript vb vbnet
  verilog vhdl vim vue wasm xhtml xml yaml yml zig zsh`.match(/\S+/g),
);
const none = /^(default|ignore|none|nohighlight|no-highlight|unknown|undefined|null)$/i;
const wellFormed = /^[\w+#.-]{1,40}$/;

export function codeLanguage(block: DomElement): string {
  const inner = all(block, named('CODE PRE')).slice(0, 8);
  for (const element of [...inner, block]) {
    const language = fromAttributes(element) ?? fromClasses(element) ?? bareName(element);
    if (language !== undefined) return language;
  }
  for (const parent of parentsOf(block).take(4)) {
    if (!/^(DIV|FIGURE|SPAN|TD|TR|TBODY|TABLE|[\w]+-[\w-]+)$/.test(parent.nodeName)) break;
    // `<figure class="highlight js">`, `<div class="syntaxhighlighter js">`.
    const isHighlighted = /highlight/.test(attribute(parent, 'class'));
    const language =
      fromAttributes(parent) ?? fromClasses(parent) ?? (isHighlighted ? bareName(parent) : undefined);
    // The names of a much larger element are about something else.
    if (language !== undefined && parent.textContent.length <= 2 * block.textContent.length + 200)
      return language;
  }
  return '';
}

function usable(name: string | null | undefined): string | undefined {
  return typeof name === 'string' && wellFormed.test(name) && !none.test(name) ? name : undefined;
}

function fromAttributes(element: DomElement): string | undefined {
  const lang = /^(PRE|CODE)$/.test(element.nodeName) ? element.getAttribute('lang') : null;
  return (
    usable(element.getAttribute('data-language')) ?? usable(element.getAttribute('data-lang')) ?? usable(lang)
  );
}

const prefixed = /(?:^|\s)(?:lang-|language-|brush:\s*|src-)([\w+#.-]+)/i;
/** Of GitHub and pandoc. */
const marked = /(?:^|\s)(?:highlight-source-|highlight-text-|sourceCode\s+)([\w+#.]+)/i;

function fromClasses(element: DomElement): string | undefined {
  const classes = attribute(element, 'class');
  const language = usable(prefixed.exec(classes)?.[1]) ?? usable(marked.exec(classes)?.[1]);
  if (language !== undefined) return language;
  const highlighted = /(?:^|\s)highlight-([\w+#.]+)/.exec(classes)?.[1];
  return names.has(highlighted?.toLowerCase() ?? '') ? highlighted : undefined;
}

function bareName(element: DomElement): string | undefined {
  return classesOf(element).find((name) => names.has(name.toLowerCase()));
}
