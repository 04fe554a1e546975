/** One request to a relay, timed at the client. */
import { request } from 'node:http';
import type { TestRelay } from '../test/support/relay.ts';
import type { Bench, Timing } from './bare.ts';

/** How the process of a request came about, by the name that its start has in `Server-Timing`. */
const starts = ['hot', 'claim', 'spawn'] as const;
type Start = (typeof starts)[number];

export type Answer = Timing & { start: Start | undefined };

/** Throws unless the request began in this way: anything else would be measured as something that it is not. */
export async function askStarted(start: Start, relay: TestRelay, bench: Bench): Promise<Timing> {
  const answer = await ask(relay, bench);
  if (answer.start === start) return answer;
  throw new Error(
    `A measured request began with "${answer.start}" in its Server-Timing, where "${start}" was to be measured.`,
  );
}

/** Throws unless the relay answers 200, and says what the relay printed last and how it ended. */
export async function ask(relay: TestRelay, bench: Bench): Promise<Answer> {
  try {
    return await post(relay, bench);
  } catch (cause) {
    const { exitCode, signalCode } = relay.process;
    const { stdout, stderr } = relay.output();
    throw new Error(
      `No answer; the relay's exit code is ${exitCode}, its signal ${signalCode}. It printed:\n${stderr.slice(-2000)}\n${stdout.slice(-2000)}`,
      { cause },
    );
  }
}

async function post({ url, key }: TestRelay, { prompt, system, model }: Bench): Promise<Answer> {
  const startedAt = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const call = request(
    `${url}/v1/complete`,
    {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    },
    (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => {
        const whole = performance.now() - startedAt;
        const parts = partsOf(String(response.headers['server-timing']));
        const start = starts.find((name) => parts.has(name));
        if (response.statusCode === 200) resolve({ whole, first: firstText(parts, whole), start });
        else reject(new Error(`the relay answered ${response.statusCode}`));
      });
    },
  );
  call.on('error', reject);
  call.end(JSON.stringify({ prompt, system, model }));
  return promise;
}

/** Milliseconds by name. */
function partsOf(serverTiming: string): Map<string, number> {
  const parts = new Map<string, number>();
  for (const [, name = '', ms] of serverTiming.matchAll(/(\w+);dur=([\d.]+)/g)) parts.set(name, Number(ms));
  return parts;
}

/**
 * When the first text would be at the client: the relay's own `first_text`, plus all of the time that the client saw and the relay
 * did not (connection, request and answer on their way), as if none of it came after the first text.
 */
function firstText(parts: ReadonlyMap<string, number>, whole: number): number {
  const first = parts.get('first_text') ?? Number.NaN;
  let inRelay = 0;
  for (const [name, ms] of parts) if (name !== 'first_text') inRelay += ms;
  return first + Math.max(0, whole - inRelay);
}
