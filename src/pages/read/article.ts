/**
 * The main content of a page, as text or Markdown, from a worker thread of its own for each page.
 *
 * A page's tree can cost any time and memory, so the worker has a heap of its own that ends it alone, a hard time
 * limit, an empty environment, and no way to write to the relay's output. There are never more than a few of them.
 */
import { Worker } from 'node:worker_threads';

import { RelayError } from '../../errors.ts';
import type { Article, ArticleJob } from './article/read.ts';
import type { Slots } from '../guard/slots.ts';

/** As source or as built: the worker's file has the same ending as this one. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './article-worker.ts' : './article-worker.js',
  import.meta.url,
);

/** Megabytes and milliseconds for one page of at most 2 MB. */
const resourceLimits = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 };
const timeoutMs = 6000;

/** Throws `page_too_complex`; rejects with the signal's reason when it aborts. */
export async function readArticle(
  job: ArticleJob,
  slots: Slots,
  signal: AbortSignal,
  keyId = '',
): Promise<Article> {
  return slots.use('article', keyId, signal, () => runWorker(job, signal));
}

async function runWorker(job: ArticleJob, signal: AbortSignal): Promise<Article> {
  signal.throwIfAborted();
  const worker = new Worker(workerFile, {
    workerData: job,
    resourceLimits,
    env: {},
    execArgv: [],
    // Piped and not read: what a library prints about a page is content.
    stdout: true,
    stderr: true,
  });
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    return await new Promise<Article>((resolve, reject) => {
      const tooComplex = (cause?: unknown): void =>
        reject(
          new RelayError('page_too_complex', 'The page is too large or too deep to be read as an article.', {
            cause,
          }),
        );
      worker.once('message', resolve);
      worker.once('error', tooComplex);
      worker.once('exit', tooComplex);
      limit.addEventListener('abort', () => tooComplex(), { once: true });
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  } finally {
    await worker.terminate();
  }
}
