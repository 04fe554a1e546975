/**
 * How many connections the file limit of this process allows. Connections and pipes to Claude Code processes are open files:
 * connections get the files that remain when everything else that the settings allow at once has its own.
 */
/** The process itself: its event loop, log, database, worker threads, webhooks, and a proof of the lock. Measured: 41 without these two. */
const ownFiles = 64;
/** Four pipes, and two sockets for each of its connections; six more while it starts, and the search for strays when it ends. */
const filesOfProcess = 20;
/** Connections that have to go have a file until the event loop comes round. */
const closing = 16;
/** A connection, or its name look-up before that. */
const filesOfFetch = 6;
/** Stands for a GLOBAL_CONCURRENCY of 0 (no limit): the largest other value. */
const unlimited = 64;

/** Bounds on the result: fewer are useless, and with more the memory runs out first. */
const fewestConnections = 16;
const mostConnections = 10_000;

type FileDemand = { concurrency: number; waiting: number; fetches: number };

export function connectionsFor(fileLimit: number, { concurrency, waiting, fetches }: FileDemand): number {
  const processes = (concurrency === 0 ? unlimited : concurrency) + waiting;
  const rest = fileLimit - ownFiles - processes * filesOfProcess - closing;
  // Each fetch has a connection that asked for it, so there are never more of them than connections.
  const shared = Math.floor(rest / (1 + filesOfFetch));
  const left = fetches === 0 ? shared : Math.max(shared, rest - fetches * filesOfFetch);
  return Math.min(mostConnections, Math.max(fewestConnections, left));
}

/** Open files that the system allows this process. Node has raised it to the hard limit at its start. */
export function fileLimit(): number {
  // Otherwise the report looks up the names of connected hosts, and waits for that.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft?: number | 'unlimited' } };
  };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
