/** What the CLI adds to a request under the lock, as the proof counts it. */
import { proveLock } from '../src/claude/proof/proof.ts';
import { estimateTokens } from '../src/claude/proof/stand-in.ts';
import { bareEnv, type Bench } from './bare.ts';

export type Added = {
  /** Characters of the texts in the system prompt; the messages get none. */
  characters: number;
  /** About four characters a token, as the stand-in counts them. */
  tokens: number;
  /** Bytes of the request's body without the messages and the caller's system prompt. */
  bytes: number;
};

export async function measureAdded(bench: Bench): Promise<Added> {
  const proof = await proveLock({ claudeBin: bench.claudeBin, hostEnv: bareEnv(bench) });
  const failed = proof.checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name} (${detail})`);
  if (!proof.proved) throw new Error(`the lock is not proved: ${failed.join(', ')}`);
  const characters = proof.addedTexts.reduce((sum, length) => sum + length, 0);
  return { characters, tokens: estimateTokens(characters), bytes: proof.addedBytes };
}
