/** From a page to what is returned of its main content; in the worker, as it can take any time and memory. */
import { mainContent } from './main-content.ts';
import { toMarkdown } from './markdown.ts';
import { toText } from './text.ts';

export type ArticleJob = {
  readonly html: string;
  readonly url: string;
  readonly format: 'text' | 'markdown';
  /** As the page declares it, to know its heading by; '' if it declares none. */
  readonly title: string;
};

export type Article = {
  readonly text: string;
  /** What was found in the content, for pages that do not declare it. */
  readonly byline?: string;
  readonly excerpt?: string;
};

export function readContent({ html, url, format, title }: ArticleJob): Article {
  const { content, ...found } = mainContent(html, url, title);
  return { text: format === 'markdown' ? toMarkdown(content) : toText(content), ...found };
}
