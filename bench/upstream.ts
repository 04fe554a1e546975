/** The stand-in upstream as a separate process, so that its work is not measured with the relay: `upstream.ts <delay in ms>`. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStandIn, textBlock } from '../src/claude/proof/stand-in.ts';

export type Upstream = { url: string; close: () => Promise<void> };

/** Starts it; every answer begins after `delayMs`. */
export async function startUpstream(delayMs: number): Promise<Upstream> {
  const child = fork(import.meta.filename, [String(delayMs)], { execArgv: [] });
  const [url] = (await once(child, 'message')) as [string];
  return {
    url,
    close: async () => {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const blocks = [textBlock(['The answer ', 'comes in ', 'four pieces', '.'])];
  const standIn = await startStandIn(async () => {
    await sleep(Number(process.argv[2]));
    return { blocks };
  });
  process.send(standIn.url);
  process.once('disconnect', () => void standIn.close());
}
