/** What the canary runs must have shown for the lock to be proved. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { SeenRequest } from './stand-in.ts';
import { unknownTool, type Canary, type MarkerName, type ToolUse } from './canary.ts';
import type { CanaryPerson } from './canary-home.ts';
import type { CanaryRun, ToolResult } from './canary-run.ts';
import { unexpectedInInit } from '../breach.ts';
import { dummyHeaders } from '../lock.ts';
import { familyOf } from '../../model-family.ts';
import { compareSent, type Sent } from './compare-sent.ts';

/** `name` is stable; `detail` is for the owner. */
export type ProofCheck = { name: string; ok: boolean; detail: string };

export type CanaryEvidence = Pick<Canary, 'toolUses' | 'markers'> & {
  /** One run for each kind of login. */
  runs: readonly CanaryRun[];
  /** A run whose model was overloaded. */
  failing: CanaryRun;
  /** Whom the configuration of some runs names. */
  person: CanaryPerson;
  /** Traces of what ran, by file name. */
  traces: readonly string[];
  /** Lines of the host's instruction files. */
  hostLines: readonly string[];
};

export function checkEvidence(evidence: CanaryEvidence): ProofCheck[] {
  const { runs, markers, traces, toolUses } = evidence;
  const perRun = (failuresOf: (run: CanaryRun) => string | readonly string[] | undefined): string[] =>
    runs.flatMap((run) => failuresOf(run) ?? []);
  const starts = check('starts', perRun(startFailure));
  // A CLI that did not run gives no evidence.
  if (!starts.ok) return [starts];

  const requests = runs.flatMap((run) => run.requests);
  const compared = runs.map(sentBy);
  const sent = compared.flatMap((turns) => turns.slice(0, 1));
  const later = compared.flatMap((turns) => turns.slice(1));
  const leaked = (name: MarkerName): string[] => [
    ...(requests.some(({ body }) => body.includes(markers[name])) ? [`${name} text reached the model`] : []),
    // No prompt holds a marker: one on stdout was read, or listed, by the CLI.
    ...(runs.some(({ stdout }) => stdout.includes(markers[name])) ? [`${name} text is on stdout`] : []),
  ];
  const left = (prefix: string): string[] =>
    traces.filter((trace) => trace.startsWith(prefix)).map((trace) => `it left ${trace}`);

  const failures: Record<string, readonly string[]> = {
    'speaks-the-protocol': perRun(({ garbage }) => garbage),
    'turn-ends': perRun((run) => turnFailure(run, 1)),
    'streams-the-answer': perRun(({ streamed }) =>
      streamed ? undefined : "the model's answer did not come as events",
    ),
    'asks-no-more': perRun(requestsFailure),
    'asks-the-model': [...runs, evidence.failing].flatMap(modelFailures),
    'one-way-out': perRun(wayOutFailure),
    'init-lists-nothing': perRun(({ init }) => (init ? unexpectedInInit(init) : 'no init event')),
    'offers-no-tool': perRun(offeredTools),
    'slash-command-not-run': perRun(({ requests }) =>
      requests.length > 0 ? undefined : 'the prompt did not reach the model',
    ),
    'sent-verbatim': [
      ...perRun(({ requests }) => (requests.length === 0 ? 'it did not reach the model' : undefined)),
      ...sent.flatMap(({ lost }) => lost),
    ],
    'nothing-added': sent.flatMap(({ added }) => added),
    'names-no-owner': perRun((run) => ownerFailures(run, evidence.person)),
    'at-file-not-read': leaked('secret'),
    'shell-command-not-run': left('shell'),
    'no-claude-md': [...leaked('claude-md'), ...hostTextFailures(evidence.hostLines, requests)],
    'no-skill': leaked('skill'),
    'no-command': leaked('command'),
    'no-agent': leaked('agent'),
    'no-output-style': leaked('style'),
    'no-hook-ran': [
      ...perRun(({ hooks }) => hooks.map((name) => `${name} ran`)),
      ...leaked('hook'),
      ...left('hook-'),
    ],
    'no-mcp-server': left('mcp'),
    'no-session-kept': perRun(({ sessions }) => sessions.map(() => 'the conversation was written to a file')),
    'no-real-credential': perRun(credentialFailures),
    ...Object.fromEntries(
      toolUses.map(({ name }) => [
        `tool-use-refused:${name}`,
        perRun((run) => refusalFailure(name, toolUses, run)),
      ]),
    ),
    'canary-untouched': traces.filter((trace) => !/^(?:hook-|mcp|shell)/.test(trace)),
    'hot-turns-end': perRun((run) => turnFailure(run, run.asked.length)),
    'hot-sent-verbatim': [
      ...perRun(({ requests, asked }) =>
        requests.length < asked.length ? 'a later request did not reach the model' : undefined,
      ),
      ...later.flatMap(({ lost }) => lost),
    ],
    'hot-keeps-nothing': [...later.flatMap(({ added }) => added), ...perRun(remains)],
  };
  return [starts, ...Object.entries(failures).map(([name, found]) => check(name, found))];
}

/** A check whose failure means that a process must not serve a second request. */
export function isHotCheck({ name }: ProofCheck): boolean {
  return name.startsWith('hot-');
}

/** Bytes that the CLI adds to a prompt: the body without its messages and the system prompt. 0 without a request. */
export function addedBytes({ asked, requests }: CanaryRun): number {
  const turn = asked.findIndex(({ tools }) => tools === undefined);
  const [request, conversation] = [requests[turn], asked[turn]];
  if (request === undefined || conversation === undefined) return 0;
  const own = [conversation.messages, ...asked[0].system].map(
    (part) => Buffer.byteLength(JSON.stringify(part)) - 2,
  );
  return own.reduce((left, bytes) => left - bytes, Buffer.byteLength(request.body));
}

/** The lengths, in characters, of the texts that the CLI adds to the system prompt; to the messages it adds none. */
export function addedTexts(run: CanaryRun): number[] {
  return (sentBy(run)[0]?.listed ?? []).map((text) => text.length);
}

/** Compares each turn that reached the model with its conversation. */
function sentBy({ asked, requests }: CanaryRun): Sent[] {
  const [{ system }] = asked;
  return asked.flatMap((conversation, turn) => {
    const request = requests[turn];
    return request === undefined ? [] : [compareSent(conversation, system, request)];
  });
}

function check(name: string, failures: readonly string[]): ProofCheck {
  const found = [...new Set(failures)];
  return { name, ok: found.length === 0, detail: found.slice(0, 8).join('; ').slice(0, 600) };
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

/** Of the first `turns`. A last one of several has no result if the CLI would have asked again. */
function turnFailure(run: CanaryRun, turns: number): string | undefined {
  const ended = run.results.length + (run.held && run.asked.length > 1 ? 1 : 0);
  if (ended < turns) return run.cut === undefined ? 'no result' : `no result (${run.cut})`;
  // A turn in which the model asks for a tool ends when the CLI may not ask it again.
  const failed = run.results
    .slice(0, turns)
    .find((result) => result.is_error && result.subtype !== 'error_max_turns');
  return failed === undefined ? undefined : `the result is an error: ${(failed.result ?? '').slice(0, 200)}`;
}

/** The stand-in got what the valve let out, and nothing past it. */
function wayOutFailure({ received, wentOut }: CanaryRun): string | undefined {
  return received === wentOut
    ? undefined
    : `${received} requests reached the model, ${wentOut} through the valve`;
}

/** What of an earlier turn is in the body of a later one. */
function remains({ asked, requests }: CanaryRun): string[] {
  return requests.flatMap(({ json }, turn) => {
    const now = asked[turn];
    if (turn === 0 || now === undefined || json === undefined) return [];
    const fields: Record<string, boolean> = {
      tools: now.tools === undefined && (json.tools ?? []).length > 0,
      tool_choice: now.toolChoice === undefined && json['tool_choice'] !== undefined,
      temperature: now.temperature === undefined && json['temperature'] !== undefined,
      stop_sequences: now.stopSequences === undefined && json['stop_sequences'] !== undefined,
      max_tokens: asked.some(({ maxTokens }) => maxTokens !== now.maxTokens && maxTokens === json.max_tokens),
      effort: asked.some(
        ({ effort }) => effort !== now.effort && isDeepStrictEqual(json['output_config'], { effort }),
      ),
    };
    return Object.keys(fields)
      .filter((name) => fields[name])
      .map((name) => `${name} of an earlier request`);
  });
}

/** A further request of the CLI would take the prompt along and cost tokens. */
function requestsFailure({ requests, asked }: CanaryRun): string | undefined {
  return requests.length > asked.length
    ? `${requests.length} requests reached the model where ${asked.length} were asked for`
    : undefined;
}

/** Each request asks the model that the CLI reports, also after one has failed. (A real turn compares that with the answer.) */
function modelFailures({ requests, init }: CanaryRun): string[] {
  if (requests.length === 0) return ['it asked no model'];
  return requests
    .filter(({ json }) => familyOf(json?.model ?? '') !== familyOf(init?.model ?? ''))
    .map(({ json }) => `it asked ${json?.model.slice(0, 80)}, and reported ${init?.model.slice(0, 80)}`);
}

/** The tools that the first request offered although its conversation had none. */
function offeredTools({ asked: [conversation], requests: [request] }: CanaryRun): string[] {
  if (conversation.tools !== undefined || request === undefined) return [];
  if (request.json === undefined) return ['a request of unknown shape'];
  return (request.json.tools ?? []).slice(0, 5).map((tool) => `offered ${tool.name}`);
}

/** Nothing in a body or a header names the person. Only the account's id goes to the API, in `metadata`. */
function ownerFailures({ requests, login }: CanaryRun, person: CanaryPerson): string[] {
  return requests.flatMap(({ body, headers }) => {
    const all = body + JSON.stringify(headers);
    const withoutUserId = all.replace(/"metadata":\{"user_id":"(?:\\.|[^"\\])*"\}/, '');
    return Object.entries(person)
      .filter(([name, text]) => (name === 'accountId' ? withoutUserId : all).includes(text))
      .map(([name]) => `the owner's ${name} is in the request (${login})`);
  });
}

function hostTextFailures(hostLines: readonly string[], requests: readonly SeenRequest[]): string[] {
  const found = hostLines.some((line) => {
    const escaped = JSON.stringify(line).slice(1, -1);
    return requests.some(({ body }) => body.includes(escaped));
  });
  // The line itself is private to the owner.
  return found ? ["text of the host's instruction files reached the model"] : [];
}

function credentialFailures({ requests, login }: CanaryRun): string[] {
  const [name, value] = dummyHeaders[login];
  return requests
    .filter(({ headers }) => {
      const sent = [headers.authorization, headers['x-api-key']].filter((header) => header !== undefined);
      return sent.length !== 1 || headers[name] !== value;
    })
    .map(() => `another login than the dummy was used (${login})`);
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

/** Looked up by id: 2.1.330 renames a `Task` to `Agent`. */
function toolResults(name: string, toolUses: readonly ToolUse[], run: CanaryRun): readonly ToolResult[] {
  const ids = new Set<unknown>(toolUses.filter((use) => use.name === name).map((use) => use.id));
  return run.toolResults.filter(({ id }) => ids.has(id));
}
