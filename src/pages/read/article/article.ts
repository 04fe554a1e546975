/** Reads the main content of a page, as text or Markdown, in a bounded worker that reads only this page. */
import { BoundedWorker, WorkerEnded } from '../../../bounded-worker.ts';
import { RelayError } from '../../../errors.ts';
import { moduleUrl } from '../../../installation.ts';
import type { UseSlot } from '../../guard/slots.ts';
import type { Article, ArticleJob } from './worker.ts';

/** For a page of at most 2 MB. */
const resources = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 };
const workerFile = moduleUrl('worker', import.meta.url);

/** Throws `page_too_complex`; rejects with the signal's reason when it aborts. */
export function readArticle(
  job: ArticleJob,
  jobMs: number,
  useSlot: UseSlot,
  signal: AbortSignal,
  keyId: string,
): Promise<Article> {
  return useSlot('article', keyId, signal, async () => {
    const worker = new BoundedWorker<ArticleJob, Article>(workerFile, { resources, jobMs });
    try {
      return await worker.run(job, signal);
    } catch (error) {
      if (!(error instanceof WorkerEnded)) throw error;
      const message = 'The page is too large or too deep to be read as an article.';
      throw new RelayError('page_too_complex', message, { cause: error });
    } finally {
      await worker.close();
    }
  });
}
