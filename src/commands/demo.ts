/**
 * `claude-relay serve --demo`: runs the real CLI against the stand-in, without a login or internet access. The keys are in a
 * temporary directory, and every answer says that it is canned.
 */
import { join } from 'node:path';
import { standInHost } from '../claude/lock.ts';
import type { Config } from '../config.ts';
import type { Relay } from '../relay.ts';
import {
  lastUserTexts,
  startStandIn,
  textBlock,
  type Reply,
  type SeenRequest,
} from '../claude/proof/stand-in.ts';
import { findCli } from '../claude/cli.ts';
import { CommandError } from '../command-error.ts';
import { root, way } from '../installation.ts';
import { callRelay, textOf } from '../service/call.ts';
import { withRecords } from './context.ts';
import { callUrl, say, startLogged } from './serve.ts';
import { aborted, listenForStop } from './stop-signals.ts';
import { makeScratch } from './scratch.ts';

/** The CLI of a checkout's devDependencies. A package has none, and uses that of the owner. */
const ownCli =
  way === 'checkout' ? join(root, 'node_modules/@anthropic-ai/claude-code/bin/claude.exe') : undefined;
const prompt = 'Say hello.';

/** Resolves after the call (`once`) or after a signal. Throws CommandError when the call fails. */
export async function demo(config: Config, once: boolean): Promise<void> {
  using stop = listenForStop();
  using scratch = makeScratch('relay-demo-');
  const home = scratch.path;
  await using running = new AsyncDisposableStack();
  const model = running.adopt(await startStandIn(cannedReply), (model) => model.close());
  const demoConfig: Config = {
    ...config,
    // On a terminal the log would appear between the messages.
    logLevel: process.stdout.isTTY ? 'warn' : config.logLevel,
    adminPort: 0,
    dataDir: join(home, 'data'),
    hostEnv: { ...standInHost(config.hostEnv, model.url), HOME: home },
  };
  delete demoConfig.hostEnv['CLAUDE_CONFIG_DIR'];
  const cli = findCli(config.claudeBin ?? ownCli, demoConfig.hostEnv);
  const relay = running.adopt(await startLogged(demoConfig, cli), (relay) => relay.close());
  say(`Demo: the real Claude Code CLI, a stand-in for the model. No login, no internet, canned answers.`);
  say(`claude-relay listens on ${relay.url}; proving the lock ...`);
  stop.onAgain = () => relay.hurry();
  const key = await withRecords(
    { dataDir: () => demoConfig.dataDir },
    ({ keys }) => keys.create('demo', {}, 'demo').token,
  );
  await Promise.race([showCall(relay, key), aborted(stop.signal)]);
  if (once || stop.signal.aborted) return;
  say('\nThe demo keeps serving until Ctrl-C.');
  await aborted(stop.signal);
}

async function showCall(relay: Relay, key: string): Promise<void> {
  await relay.readiness.settled();
  const state = relay.readiness.state();
  if (state.phase !== 'proved') throw new CommandError(`The relay is not ready: ${state.reason}.`);
  const passed = state.proof.checks.length;
  say(
    `The lock is proved: ${passed} checks in ${(state.proof.durationMs / 1000).toFixed(1)} s, Claude Code ${state.proof.cliVersion}.`,
  );
  say(`\n$ curl ${callUrl(relay)}/v1/complete \\
    -H "authorization: Bearer ${key}" \\
    -H 'content-type: application/json' \\
    -d '{"prompt": "${prompt}"}'`);
  const answer = await callRelay(`${callUrl(relay)}/v1/complete`, { key, body: { prompt } });
  say(`\nHTTP ${answer.statusCode}\n${await textOf(answer)}`);
  if (answer.statusCode !== 200) throw new CommandError('The demo call failed.');
}

/** It says what it is wherever a person can see it, and takes enough from the prompt to show that the prompt arrived. */
export function cannedReply({ json }: SeenRequest): Reply {
  // The prompt is the last text: the CLI may put its own notes before it.
  const prompt = json === undefined ? '' : (lastUserTexts(json).at(-1) ?? '');
  const words = prompt.split(/\s+/u).filter((word) => word !== '').length;
  return {
    blocks: [
      textBlock([
        '[demo: canned answer, no model was asked] ',
        `Your prompt arrived: ${words} ${words === 1 ? 'word' : 'words'}, ${Buffer.byteLength(prompt)} bytes. `,
        'It went through the locked Claude Code CLI to a stand-in on this machine. ',
        'Without --demo, Claude answers here.',
      ]),
    ],
    deltaDelayMs: 40,
  };
}
