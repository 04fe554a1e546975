/** `claude-relay ask`: one prompt through the relay of this machine, the answer as it comes. */
import { text as textOfStream } from 'node:stream/consumers';
import { Option, type Command } from 'commander';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { openKeys } from '../keys/store.ts';
import { openStore } from '../store/sqlite.ts';
import { CommandError } from '../command-error.ts';
import { callRelay, textOf, type Answer } from '../service/call.ts';
import { eventData, relayUrl } from './loopback.ts';
import { withExamples } from './text/parse.ts';
import { printable, processTerminal, type Terminal } from './text/terminal.ts';

type AskOptions = {
  model?: string;
  system?: string;
  effort?: string;
  key?: string;
  url?: string;
  json?: boolean;
  stream: boolean;
};

/** The label of the key that `ask` uses when it is given none. */
const ownLabel = 'ask';
/** How long a secret of that key counts: it is looked at once, when the request arrives. */
const ownSecretMs = 300_000;

export function addAskCommand(program: Command, config: () => Config): void {
  const command = program
    .command('ask')
    .description('send one prompt through the running relay and print the answer as it comes')
    .argument('[prompt...]', 'the prompt; - stands for what comes on stdin')
    .option('--model <model>', 'one of ALLOWED_MODELS; DEFAULT_MODEL when absent')
    .option('--system <text>', 'the system prompt')
    .addOption(
      new Option('--effort <level>', 'how hard the model thinks').choices([
        'low',
        'medium',
        'high',
        'xhigh',
        'max',
      ]),
    )
    .option('--json', 'the whole answer as JSON: model, stop reason, tokens, cost')
    .option('--no-stream', 'print the answer when it is complete')
    .option('--key <key>', 'the key to use, instead of CLAUDE_RELAY_KEY')
    .option(
      '--url <url>',
      'where the relay of this machine listens, instead of CLAUDE_RELAY_URL or HOST and PORT',
    )
    .action((words: string[], options: AskOptions) => ask(config(), words, options, processTerminal()));
  withExamples(
    command,
    [
      ['claude-relay ask "Say hello."', 'the answer, as it comes'],
      [
        'cat notes.txt | claude-relay ask -',
        'the prompt from stdin: not in the process list, and of any length',
      ],
      ['git diff | claude-relay ask "Review this change:" -', 'words, then stdin'],
      ['claude-relay ask --model haiku --json "Say hello."', 'with model, tokens and cost'],
    ],
    `Without a key it uses one labelled "${ownLabel}", whose limits and counts are those of any key; the secret ends with the call.
Exit status: 0 for an answer, 1 for none, 130 after Ctrl-C.`,
  );
}

async function ask(
  config: Config,
  words: readonly string[],
  options: AskOptions,
  terminal: Terminal,
): Promise<void> {
  const { hostEnv } = config;
  // Set to nothing is as good as not set.
  const url = relayUrl(config, options.url ?? (hostEnv['CLAUDE_RELAY_URL'] || undefined));
  const ownKey = options.key ?? (hostEnv['CLAUDE_RELAY_KEY'] || undefined);
  const prompt = await promptOf(words);
  const stop = new AbortController();
  const signals = { SIGINT: 130, SIGTERM: 143 } as const;
  let stopped: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    stopped = signals[signal as keyof typeof signals];
    stop.abort();
  };
  for (const signal of Object.keys(signals)) process.on(signal, onSignal);
  try {
    await withKey(config, ownKey, async (key) => {
      const answer = await callRelay(`${url}/v1/complete`, {
        key,
        body: bodyOf(prompt, options),
        signal: stop.signal,
      }).catch((error: unknown) => {
        throw unreachable(error, url);
      });
      if (answer.status === 401 && ownKey === undefined) {
        throw new CommandError(
          `The relay at ${url} keeps its keys elsewhere than in ${config.dataDir}, as the demo does: give one of them with --key.`,
        );
      }
      await print(answer, options, terminal, stop).catch((error: unknown) => {
        throw (error as NodeJS.ErrnoException).code === 'ECONNRESET' ? brokenOff() : error;
      });
    });
  } catch (error) {
    if (stopped === undefined && !(stop.signal.aborted && terminal.gone())) throw error;
  } finally {
    for (const signal of Object.keys(signals)) process.off(signal, onSignal);
  }
  if (stopped !== undefined) process.exitCode = stopped;
}

/** The words, with what comes on stdin in the place of `-`. */
async function promptOf(words: readonly string[]): Promise<string> {
  if (words.length === 0 && process.stdin.isTTY) {
    throw new CommandError('Give a prompt: bin/claude-relay ask "Say hello.", or - to read it from stdin.');
  }
  if (words.length > 0 && !words.includes('-')) return words.join(' ');
  const input = await textOfStream(process.stdin);
  // Alone it is the prompt byte for byte; beside words it is a paragraph of its own.
  if (words.every((word) => word === '-')) return input;
  const paragraphs = [''];
  for (const word of words) {
    if (word === '-') paragraphs.push(input, '');
    else paragraphs.push(`${paragraphs.pop() ?? ''} ${word}`.trimStart());
  }
  return paragraphs.filter((paragraph) => paragraph !== '').join('\n\n');
}

function bodyOf(
  prompt: string,
  { model, system, effort, json, stream }: AskOptions,
): Record<string, unknown> {
  return {
    prompt,
    ...(system === undefined ? {} : { system }),
    ...(model === undefined ? {} : { model }),
    ...(effort === undefined ? {} : { effort }),
    ...(json === true ? { output_format: 'json' } : stream ? { stream: true } : {}),
  };
}

/** Runs `work` with the key that was given, or with a secret of the key `ask` that ends with it. */
async function withKey(
  config: Config,
  given: string | undefined,
  work: (key: string) => Promise<void>,
): Promise<void> {
  if (given !== undefined) return work(given);
  const store = openStore(config.dataDir, { waitMs: 5000 });
  try {
    const lent = openKeys(store).lend(ownLabel, ownSecretMs, 'ask');
    try {
      await work(lent.token);
    } finally {
      lent.end();
    }
  } finally {
    store.close();
  }
}

const delta = z.object({ type: z.literal('delta'), text: z.string() });
const done = z.object({ type: z.literal('done'), stop_reason: z.string().nullish() });
const answered = z.object({ text: z.string(), stop_reason: z.string().nullish() });
const refused = z.object({ error: z.string(), message: z.string(), request_id: z.string().optional() });

async function print(
  answer: Answer,
  options: AskOptions,
  terminal: Terminal,
  stop: AbortController,
): Promise<void> {
  const say = teller(terminal, stop);
  if (answer.headers['content-type']?.startsWith('text/event-stream') === true) {
    for await (const event of eventData(answer.chunks)) {
      const part = delta.safeParse(event);
      if (part.success) say.part(part.data.text);
      const failed = refused.safeParse(event);
      if (failed.success) {
        say.end();
        throw failure(failed.data);
      }
      const end = done.safeParse(event);
      if (end.success) {
        say.end(end.data.stop_reason ?? undefined);
        return;
      }
    }
    say.end();
    throw brokenOff();
  }
  const text = await textOf(answer);
  const document = parsed(text);
  if (answer.status !== 200) {
    const failed = refused.safeParse(document);
    throw failed.success
      ? failure(failed.data)
      : new CommandError(
          `The relay answered ${answer.status} in a way that is not its own: is it claude-relay?`,
        );
  }
  if (options.json === true) {
    terminal.out(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  const complete = answered.parse(document);
  say.part(complete.text);
  say.end(complete.stop_reason ?? undefined);
}

/** Prints parts of an answer; a file or a pipe gets them exactly, a terminal without what would steer it. */
function teller(
  terminal: Terminal,
  stop: AbortController,
): { part(text: string): void; end(stopReason?: string): void } {
  const onTerminal = process.stdout.isTTY;
  let last = '\n';
  return {
    part: (text) => {
      const shown = onTerminal ? printable(text) : text;
      if (shown === '') return;
      terminal.out(shown);
      last = shown;
      // Nobody reads any more, as after `| head`.
      if (terminal.gone()) stop.abort();
    },
    end: (stopReason = 'end_turn') => {
      if (!last.endsWith('\n')) terminal.out('\n');
      if (stopReason !== 'end_turn' && stopReason !== 'stop_sequence') {
        terminal.err(`claude-relay: the model stopped early: ${stopReason}\n`);
      }
    },
  };
}

function failure({ error, message, request_id: id }: z.infer<typeof refused>): CommandError {
  return new CommandError(`${message} (${error}${id === undefined ? '' : `, ${id}`})`);
}

function brokenOff(): CommandError {
  return new CommandError('The answer broke off: the relay ended before it was complete.');
}

function unreachable(error: unknown, url: string): unknown {
  switch ((error as NodeJS.ErrnoException).code ?? '') {
    case 'ECONNREFUSED':
      return new CommandError(
        `No relay listens at ${url}. Start it (./run.sh), or see bin/claude-relay doctor.`,
      );
    case 'ECONNRESET':
      return brokenOff();
    default:
      return error;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
