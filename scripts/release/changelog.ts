/** CHANGELOG.md in the form of Keep a Changelog 1.1.0: what each version contains, and the step from unreleased to released. */

const repository = 'https://github.com/claude-relay/claude-relay';

/** `date` is missing in the section of what is not released. */
export type Section = { version: string; date: string | undefined; text: string };

/** The newest first, as in the file. */
export function readSections(changelog: string): Section[] {
  const [body = ''] = changelog.split(/^\[[^\]]+\]: /m);
  return body
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [heading = '', ...lines] = section.split('\n');
      const [, version = heading, date] = /^\[([^\]]+)\](?: - (\S+)(?: \[YANKED\])?)?$/.exec(heading) ?? [];
      return { version, date, text: lines.join('\n').trim() };
    });
}

/** The link that each heading refers to, in the order of the sections. */
export function linkLines(versions: readonly string[]): string[] {
  return versions.map((version, index) => {
    const before = versions[index + 1];
    const tag = version === 'Unreleased' ? 'HEAD' : `v${version}`;
    if (before !== undefined) return `[${version}]: ${repository}/compare/v${before}...${tag}`;
    return `[${version}]: ${repository}/${tag === 'HEAD' ? 'commits/main' : `releases/tag/${tag}`}`;
  });
}

/** What was unreleased becomes the section of this version. */
export function closeUnreleased(changelog: string, version: string, date: string): string {
  const [body = ''] = changelog.split(/^\[Unreleased\]: /m);
  const dated = body.replace(/^## \[Unreleased\]$/m, `$&\n\n## [${version}] - ${date}`);
  return `${dated}${linkLines(readSections(dated).map((section) => section.version)).join('\n')}\n`;
}

/** For a GitHub release, where each line break shows: one line for each entry. */
export function releaseNotes({ text }: Section): string {
  return `${text.replaceAll(/\n {2}(?=\S)/g, ' ')}\n`;
}
