/**
 * The main content of a page, as text or Markdown: runs in a worker thread that the relay can end at any time, because
 * trees of hostile pages take time and memory that no rule bounds beforehand. See article.ts.
 */
import { parentPort, workerData } from 'node:worker_threads';

import { type ArticleJob, readContent } from './article/read.ts';

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(readContent(workerData as ArticleJob));
