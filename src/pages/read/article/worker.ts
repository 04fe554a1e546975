/** Reads the main content of a page in a worker: the tree of a hostile page can take any time and memory. See article.ts. */
import { answerJobs } from '../../../bounded-worker.ts';
import { mainContent, type MainContent } from './main-content.ts';
import { toMarkdown } from './markdown.ts';
import { toText } from './text.ts';

export type ArticleJob = {
  readonly html: string;
  readonly url: string;
  readonly format: 'text' | 'markdown';
  /** As declared by the page, to recognise its heading; '' without a declaration. */
  readonly title: string;
};

export type Article = { readonly text: string } & Omit<MainContent, 'content'>;

export function readContent({ html, url, format, title }: ArticleJob): Article {
  const { content, ...found } = mainContent(html, url, title);
  return { text: format === 'markdown' ? toMarkdown(content) : toText(content), ...found };
}

answerJobs(readContent);
