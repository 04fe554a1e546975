/**
 * `claude-relay serve` without the proof and the check of the login, which start the CLI four times: for tests of anything else.
 * The runner and the CLI are the real ones. `relay.ts` starts it with `proof: false`.
 */
import { findCli } from '../../src/claude/cli.ts';
import type { Proof } from '../../src/claude/proof/proof.ts';
import { aborted, listenForStop } from '../../src/commands/stop-signals.ts';
import { loadConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { startRelay } from '../../src/relay.ts';

const config = loadConfig({ file: process.argv[2] ?? '' });
using stop = listenForStop();
const proof: Proof = {
  proved: true,
  hotProblem: undefined,
  cliVersion: undefined,
  provedAt: new Date().toISOString(),
  durationMs: 0,
  checks: [],
  addedBytes: 0,
  addedTexts: [],
};
const relay = await startRelay({
  config,
  claudeBin: findCli(config.claudeBin, config.hostEnv),
  log: createLog(config.logLevel),
  overrides: { prove: () => Promise.resolve(proof) },
});
await aborted(stop.signal);
stop.onAgain = () => relay.hurry();
await relay.close();
