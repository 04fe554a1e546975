/**
 * Work on hostile input in a worker thread that can be ended at any time. The thread has its own heap and time limit, an empty
 * environment, and no way to write to the relay's output.
 */
import { once } from 'node:events';
import { parentPort, type ResourceLimits, Worker } from 'node:worker_threads';

export type WorkerLimits = {
  readonly resources: ResourceLimits;
  /** Milliseconds for one job, from when the worker is ready. */
  readonly jobMs: number;
};

/** The job needed too much time or memory, or failed, or the worker was closed. */
export class WorkerEnded extends Error {}

/** Runs one job at a time. A worker that ends is replaced at the next job. */
export class BoundedWorker<Job, Result> {
  readonly #file: URL;
  readonly #limits: WorkerLimits;
  #worker: Worker | undefined;
  #ended = new AbortController();

  constructor(file: URL, limits: WorkerLimits) {
    this.#file = file;
    this.#limits = limits;
  }

  /** Throws `WorkerEnded`, or the signal's reason when it aborts. */
  async run(job: Job, signal: AbortSignal = new AbortController().signal): Promise<Result> {
    signal.throwIfAborted();
    try {
      const worker = this.#worker ?? (await this.#start(signal));
      worker.ref();
      const late = AbortSignal.timeout(this.#limits.jobMs);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(job);
      const message = await once(worker, 'message', {
        signal: AbortSignal.any([signal, late, this.#ended.signal]),
      });
      worker.unref();
      return message[0] as Result;
    } catch (error) {
      await this.close();
      signal.throwIfAborted();
      throw new WorkerEnded('The worker ended before its job was done.', { cause: error });
    }
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  async #start(signal: AbortSignal): Promise<Worker> {
    const ended = new AbortController();
    const worker = new Worker(this.#file, {
      resourceLimits: this.#limits.resources,
      env: {},
      execArgv: [],
      // Piped and not read: what a library prints about its input is content.
      stdout: true,
      stderr: true,
    });
    this.#worker = worker;
    this.#ended = ended;
    // Also between two jobs: an error that nobody waits for must not end the relay.
    worker.on('error', () => {});
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
      ended.abort();
    });
    await once(worker, 'message', { signal: AbortSignal.any([signal, ended.signal]) });
    return worker;
  }
}

/** The worker's side. */
export function answerJobs(answer: (job: never) => unknown): void {
  const send = (message: unknown): void => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
    parentPort?.postMessage(message);
  };
  parentPort?.on('message', (job) => send(answer(job as never)));
  send('ready');
}
