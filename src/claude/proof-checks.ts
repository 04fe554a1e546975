/**
 * What two canary runs must have shown for the lock to be proved. Pure.
 *
 * The first run's prompt begins with a command and its fake model asks for every dangerous tool; the second has no system
 * prompt, and its prompt begins with what the CLI could take for a shell command; a whole conversation follows in it.
 */
import { blocksOf, textOf, type RequestBlock } from '../standin/messages.ts';
import type { Conversation } from '../conversation.ts';
import type { SeenRequest } from '../standin/server.ts';
import { unknownTool, type MarkerName, type ToolUse } from './canary.ts';
import { conversationFailures } from './canary-conversation.ts';
import type { CanaryRun } from './canary-run.ts';
import { unexpectedInInit } from './lock.ts';

/** `name` is stable; `detail` is for the owner. */
export type ProofCheck = { name: string; ok: boolean; detail: string };

export type CanaryEvidence = {
  tools: CanaryRun;
  bare: CanaryRun;
  /** What the second run was asked when its first turn was over. */
  conversation: Conversation;
  toolUses: readonly ToolUse[];
  markers: Readonly<Record<MarkerName, string>>;
  /** Traces of what ran, by file name. */
  traces: readonly string[];
  /** Lines of the host's own instruction files. */
  hostLines: readonly string[];
};

/** An empty system prompt leaves a header and one sentence (117 to 165 characters on the builds seen); a coding prompt has thousands. */
const maxBareSystemCharacters = 600;

export function checkEvidence(evidence: CanaryEvidence): ProofCheck[] {
  const { tools, bare, markers, traces, toolUses } = evidence;
  const runs = [tools, bare];
  const starts = check('starts', runs.map(startFailure));
  // Nothing can be said of a CLI that did not run.
  if (!starts.ok) return [starts];

  const seen = runs.flatMap((run) => run.requests);
  const said = runs.map((run) => run.stdout).join('\n');
  const leaked = (...names: MarkerName[]): string[] => [
    ...names
      .filter((name) => seen.some((request) => request.body.includes(markers[name])))
      .map((name) => `${name} text reached the model`),
    // No prompt holds a marker: one on stdout was read, or listed, by the CLI.
    ...names.filter((name) => said.includes(markers[name])).map((name) => `${name} text is on stdout`),
  ];
  const left = (prefix: string): string[] =>
    traces.filter((trace) => trace.startsWith(prefix)).map((trace) => `it left ${trace}`);

  return [
    starts,
    check(
      'speaks-the-protocol',
      runs.map((run) => run.garbage),
    ),
    check('turn-ends', runs.map(turnFailure)),
    check(
      'streams-the-answer',
      runs.map((run) => (run.streamed ? undefined : "the model's answer did not come as events")),
    ),
    // The refusal of the tools goes back to the model in both; the second run has two turns.
    check('asks-no-more', [requestsFailure(tools, 2), requestsFailure(bare, 3)]),
    check(
      'init-lists-nothing',
      runs.flatMap((run) => (run.init ? unexpectedInInit(run.init) : 'no init event')),
    ),
    check(
      'offers-no-tool',
      seen.length === 0
        ? ['no request reached the model']
        : // The conversation offers the caller's own.
          [...tools.requests, ...bare.requests.slice(0, 1)].flatMap(offeredTools),
    ),
    check('slash-command-not-run', [
      tools.requests.length === 0 ? 'the prompt did not reach the model' : undefined,
    ]),
    check('prompt-verbatim', runs.map(promptFailure)),
    check('conversation-verbatim', conversationFailures(evidence.conversation, bare.requests[1])),
    check('system-verbatim', [systemFailure(tools)]),
    check('no-prompt-of-its-own', [ownPromptFailure(bare)]),
    check('at-file-not-read', leaked('secret')),
    check('shell-command-not-run', left('shell')),
    check('no-claude-md', [...leaked('claude-md'), ...hostTextFailures(evidence.hostLines, runs)]),
    check('no-skill', leaked('skill')),
    check('no-command', leaked('command')),
    check('no-agent', leaked('agent')),
    check('no-output-style', leaked('style')),
    check('no-hook-ran', [
      ...runs.flatMap((run) => run.hooks.map((name) => `${name} ran`)),
      ...leaked('hook'),
      ...left('hook-'),
    ]),
    check('no-mcp-server', left('mcp')),
    check(
      'no-session-kept',
      runs.flatMap((run) => run.sessions.map(() => 'the conversation was written to a file')),
    ),
    check('no-real-credential', seen.flatMap(credentialFailure)),
    ...toolNames(toolUses).map((name) =>
      check(`tool-use-refused:${name}`, [refusalFailure(name, toolUses, tools)]),
    ),
    check(
      'canary-untouched',
      traces.filter((trace) => !/^(?:hook-|mcp|shell)/.test(trace)),
    ),
  ];
}

/** Bytes that the CLI adds to a request: its body without prompt and system prompt. 0 when there was none. */
export function addedBytes(run: CanaryRun): number {
  const request = run.requests[0];
  if (request === undefined) return 0;
  const own = [run.prompt, run.system].map((text) => Buffer.byteLength(JSON.stringify(text)) - 2);
  return own.reduce((left, bytes) => left - bytes, Buffer.byteLength(request.body));
}

/** A text that the CLI puts before the model's eyes by itself. */
export type AddedText = {
  /** The role of the message that it is in, `system` for the system prompt. */
  where: string;
  characters: number;
};

/** The texts in a request that are neither its prompt nor its system prompt. */
export function addedTexts(run: CanaryRun): AddedText[] {
  const request = run.requests[0]?.json;
  if (request === undefined) return [];
  const own = new Set([run.prompt, run.system]);
  return [{ role: 'system', content: request.system }, ...request.messages].flatMap(({ role, content }) =>
    blocksOf(content)
      .flatMap((block) => textOf(block) ?? [])
      .filter((text) => !own.has(text))
      .map((text) => ({ where: role, characters: text.length })),
  );
}

function check(name: string, failures: readonly (string | undefined)[]): ProofCheck {
  const found = [...new Set(failures.filter((failure) => failure !== undefined))];
  return { name, ok: found.length === 0, detail: found.slice(0, 8).join('; ').slice(0, 600) };
}

function toolNames(toolUses: readonly ToolUse[]): string[] {
  return [...new Set(toolUses.map((use) => use.name))];
}

function startFailure(run: CanaryRun): string | undefined {
  if (run.started) return undefined;
  const stderr = run.stderrTail.trim().slice(-300);
  const said = stderr === '' ? '' : `: ${stderr}`;
  if (run.cut === 'aborted') return 'stopped before it answered';
  if (run.cut === 'timeout') return `no answer in time${said}`;
  if (run.garbage !== undefined) return `its output is not the protocol: ${run.garbage}`;
  const { code = null, signal = null } = run.exit ?? {};
  return `ended (${code === null ? (signal ?? 'could not be started') : `exit ${code}`}) before it answered${said}`;
}

function turnFailure(run: CanaryRun): string | undefined {
  if (run.result === undefined) return run.cut === undefined ? 'no result' : `no result (${run.cut})`;
  return run.result.is_error
    ? `the result is an error: ${(run.result.result ?? '').slice(0, 200)}`
    : undefined;
}

/** What the CLI asks by itself would take the prompt along, and cost tokens. */
function requestsFailure({ requests }: CanaryRun, expected: number): string | undefined {
  return requests.length > expected
    ? `${requests.length} requests reached the model where ${expected} were asked for`
    : undefined;
}

function offeredTools(request: SeenRequest): string[] {
  if (request.json === undefined) return ['a request of unknown shape'];
  return (request.json.tools ?? []).slice(0, 5).map((tool) => `offered ${tool.name}`);
}

/** Of the first request: the prompt is one whole block, and its text is nowhere else. */
function promptFailure(run: CanaryRun): string | undefined {
  const request = run.requests[0];
  if (request === undefined) return 'no request reached the model';
  const blocks = (request.json?.messages ?? [])
    .filter((message) => message.role === 'user')
    .flatMap((message) => blocksOf(message.content));
  return onceFailure('the prompt', run.prompt, blocks, request.body);
}

function systemFailure(run: CanaryRun): string | undefined {
  const request = run.requests[0];
  if (request === undefined) return 'no request reached the model';
  return onceFailure('the system prompt', run.system, blocksOf(request.json?.system), request.body);
}

function onceFailure(
  what: string,
  text: string,
  blocks: readonly RequestBlock[],
  body: string,
): string | undefined {
  const whole = blocks.filter((block) => textOf(block) === text).length;
  if (whole !== 1) return `${what} is in ${whole} blocks, not in one`;
  const times = body.split(JSON.stringify(text).slice(1, -1)).length - 1;
  return times === 1 ? undefined : `${what} is in the request ${times} times`;
}

function ownPromptFailure(run: CanaryRun): string | undefined {
  const request = run.requests[0];
  if (request === undefined) return 'no request reached the model';
  const length = blocksOf(request.json?.system).reduce((sum, block) => sum + (textOf(block)?.length ?? 0), 0);
  return length <= maxBareSystemCharacters
    ? undefined
    : `with no system prompt given, ${length} characters of the CLI's own are sent`;
}

function hostTextFailures(hostLines: readonly string[], runs: readonly CanaryRun[]): string[] {
  const texts = runs.flatMap((run) => run.requests.slice(0, 1).map((request) => request.body));
  const found = hostLines.some((line) => {
    const escaped = JSON.stringify(line).slice(1, -1);
    return texts.some((text) => text.includes(escaped));
  });
  // Which line is the owner's business: it is not repeated here.
  return found ? ["text of the host's own instruction files reached the model"] : [];
}

function credentialFailure(request: SeenRequest): string[] {
  const { authorization } = request.headers;
  const key = request.headers['x-api-key'];
  return authorization === undefined && key === 'sk-ant-stub'
    ? []
    : ['another login than the dummy was used'];
}

/**
 * A refused tool comes back as an error that reads like the one for a tool that does not exist. (A tool that exists and
 * fails, or that wants a permission, is an error too; but then the lock is not what stopped it.)
 */
function refusalFailure(name: string, toolUses: readonly ToolUse[], run: CanaryRun): string | undefined {
  const unknown = toolResults(unknownTool, toolUses, run)[0];
  if (unknown === undefined) return 'no refusal was seen';
  if (!unknown.isError) return 'a tool that does not exist was not refused';
  const shape = unknown.text.split(unknownTool)[0] ?? '';
  const results = toolResults(name, toolUses, run);
  if (results.length === 0) return 'its refusal was not seen';
  const odd = results.find((result) => !result.isError || !result.text.startsWith(shape));
  return odd === undefined ? undefined : `it came back as: ${odd.text.slice(0, 160)}`;
}

/** Looked up by id: 2.1.330 renames a `Task` to `Agent` in what it sends back. */
function toolResults(
  name: string,
  toolUses: readonly ToolUse[],
  run: CanaryRun,
): { isError: boolean; text: string }[] {
  const ids = new Set<unknown>(toolUses.filter((use) => use.name === name).map((use) => use.id));
  return run.requests
    .flatMap((request) => request.json?.messages ?? [])
    .flatMap((message) => blocksOf(message.content))
    .filter((block) => block.type === 'tool_result' && ids.has(block['tool_use_id']))
    .map((block) => {
      const { content } = block;
      return {
        isError: block['is_error'] === true,
        text: typeof content === 'string' ? content : JSON.stringify(content ?? ''),
      };
    });
}
