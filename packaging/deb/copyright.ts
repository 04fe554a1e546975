/** The `copyright` of the Debian package, in Debian's machine-readable format: the licence of each package in node_modules. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

type Manifest = { name?: string; version?: string; license?: string; author?: string | { name?: string } };

/** `tree` is the program's directory, `installed` where the package installs it. */
export function copyrightText(tree: string, installed: string): string {
  const header = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: claude-relay
Source: https://github.com/claude-relay/claude-relay
Comment: The packages in node_modules are those of the npm registry, without changes. Node.js is the program that
 nodejs.org publishes; its licence names the parts that it contains.
`;
  const packages = globSync('**/node_modules/{*,@*/*}/package.json', { cwd: tree })
    .map(dirname)
    .filter((directory) => !directory.endsWith('.bin'))
    .sort();
  return [
    header,
    paragraph('*', tree),
    ...packages.map((directory) => paragraph(`${installed}/${directory}/*`, join(tree, directory))),
  ].join('\n');
}

function paragraph(files: string, directory: string): string {
  const { name, license, author } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  ) as Manifest;
  const texts = globSync('**/{licen[cs]e,LICEN[CS]E}{,.md,.txt}', {
    cwd: directory,
    exclude: ['**/node_modules'],
  })
    .sort()
    .map((file) => readFileSync(join(directory, file), 'utf8'));
  if (license === undefined || texts.length === 0) throw new Error(`${name} has no licence in ${directory}.`);
  const text = texts.map((text) => text.trim()).join('\n\n');
  const owners = [...text.matchAll(/^\W*copyright (?:\(c\) |© |(?=\d{4}))(.*)$/gim)].map(([, owner = '']) =>
    owner.trim(),
  );
  const named = typeof author === 'object' ? author.name : author;
  return `Files: ${files}
Copyright: ${owners.length > 0 ? [...new Set(owners)].join('\n ') : `the authors of ${name}${named === undefined ? '' : `, ${named}`}`}
License: ${license}
${indent(license === 'Apache-2.0' ? withoutApache(text) : text)}
`;
}

/** Debian has the text of this licence on every system. */
function withoutApache(text: string): string {
  const reference = 'The text of the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.';
  return text.replace(
    /^ *Apache License\n[^]*(?:limitations under the License\.|END OF TERMS AND CONDITIONS)/m,
    reference,
  );
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
    .join('\n');
}
