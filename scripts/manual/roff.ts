/** Text -> roff, for man(7). */

const special: Readonly<Record<string, string>> = {
  '\\': String.raw`\(rs`,
  // A plain one may become a hyphen that a shell does not accept.
  '-': String.raw`\-`,
  '"': String.raw`\(dq`,
  "'": String.raw`\(aq`,
  '`': String.raw`\(ga`,
  '^': String.raw`\(ha`,
  '~': String.raw`\(ti`,
};

/** The characters of a text as they are. */
export function escaped(text: string): string {
  return text.replaceAll(/[\\\-"'`^~]/g, (character) => special[character] ?? character);
}

export function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${escaped(text)}\\fR`;
}

/** `key create <label>`, `-n, --lines <n>`: what is typed is bold, what stands for something else is in italics. */
export function usage(text: string): string {
  return text
    .split(/(<[^>]+>|\[[^\]]+\]|, )/)
    .map((part) => {
      if (part.startsWith('<')) return italic(part.slice(1, -1));
      if (part.startsWith('[')) return `[${italic(part.slice(1, -1))}]`;
      const words = part.trim();
      return words === '' || words === ',' ? part : part.replace(words, () => bold(words));
    })
    .join('');
}

const width = 80;

/** The lines of a paragraph whose text is roff, each short, and none of them a request. */
export function filled(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => each.replace(/^(?=[.'])/, String.raw`\&`)).join('\n');
}
