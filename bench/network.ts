/** The same ways over a network: the model takes its time and every byte travels. And the connections of a hot process. */
import { needs } from '../test/support/needs.ts';
import type { Bench } from './bare.ts';
import { startFarNetwork, type FarNetwork } from './far-network.ts';
import { inTurns, type Effort } from './rounds.ts';
import { timedRows, type TimedRow } from './timings.ts';
import { startUpstream } from './upstream.ts';
import { askHot, startHotProcess, startRelay, startWays } from './ways.ts';

const answerDelayMs = 300;
const oneWayMs = 40;
const rowNames = ['bare', 'cold', 'warm', 'hot'] as const;

type Measured = {
  answerDelayMs: number;
  oneWayMs: number;
  rounds: number;
  rows: TimedRow<(typeof rowNames)[number]>[];
  /** The connections of one process: those of the request that started it, and of the hot ones after it. */
  hot: { requests: number; connections: number };
};

export type Network = { skipped: string } | Measured;

type NetworkEffort = Effort & { hotRequests: number };

export async function measureNetwork(onLoopback: Bench, effort: NetworkEffort): Promise<Network> {
  const missing = needs('openssl');
  if (missing !== false) return { skipped: missing };
  const upstream = await startUpstream(answerDelayMs);
  const network = await startFarNetwork(upstream.url, onLoopback.scratch, oneWayMs);
  const bench = { ...onLoopback, upstream: network.env };
  try {
    // First, while nothing else has a connection.
    const connections = await hotConnections(bench, network, effort.hotRequests);
    const seen = await timeWays(bench, effort);
    return {
      answerDelayMs,
      oneWayMs,
      rounds: seen.bare.length,
      rows: timedRows(seen, seen.bare),
      hot: { requests: effort.hotRequests, connections },
    };
  } finally {
    await network.close();
    await upstream.close();
  }
}

async function hotConnections(bench: Bench, network: FarNetwork, requests: number): Promise<number> {
  const relay = await startRelay('hot', bench);
  try {
    await startHotProcess(relay, bench);
    for (let request = 0; request < requests; request += 1) await askHot(relay, bench);
    return await network.connections();
  } finally {
    await relay.stop();
  }
}

async function timeWays(bench: Bench, effort: Effort) {
  const { ways, stop } = await startWays(bench);
  try {
    return await inTurns(rowNames, (name) => ways[name].run(), effort);
  } finally {
    await stop();
  }
}
