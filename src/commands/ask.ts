/** `claude-relay ask`: one prompt through the relay of this machine, the answer as it comes. */
import { constants } from 'node:os';
import type { IncomingMessage } from 'node:http';
import { text as textOfStream } from 'node:stream/consumers';
import { Option, type Command } from 'commander';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { CommandError } from '../command-error.ts';
import { effortLevels } from '../conversation.ts';
import { relayCommand, runCommand } from '../installation.ts';
import { callRelay, parsedJson, textOf } from '../service/call.ts';
import { withRecords } from './context.ts';
import { addSections } from './help.ts';
import { eventData, relayUrl } from './loopback.ts';
import { listenForStop } from './stop-signals.ts';
import { json } from './text/table.ts';
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

/** The key that `ask` uses without --key. */
const ownLabel = 'ask';
/** How long a secret of that key is valid: the relay checks it when the request arrives. */
const ownSecretMs = 300_000;

export function addAskCommand(program: Command, config: () => Config): void {
  const command = program
    .command('ask')
    .description(
      `send one prompt through the running relay and print the answer as it arrives

Without a key, ask uses a temporary secret of the key "${ownLabel}", which has the limits of any key.`,
    )
    .argument('[prompt...]', 'the prompt; - stands for stdin')
    .option('--model <model>', 'one of ALLOWED_MODELS instead of DEFAULT_MODEL')
    .option('--system <text>', 'the system prompt')
    .addOption(new Option('--effort <level>', 'how hard the model thinks').choices(effortLevels))
    .option('--json', 'the whole answer as JSON: model, stop reason, tokens, reckoned cost')
    .option('--no-stream', 'print the answer when it is complete')
    .option('--key <key>', 'the key to use instead of CLAUDE_RELAY_KEY')
    .option(
      '--url <url>',
      'address of the relay of this machine instead of CLAUDE_RELAY_URL or HOST and PORT',
    )
    .action((words: string[], options: AskOptions) => ask(config(), words, options, processTerminal()));
  addSections(
    command,
    {
      title: 'Environment',
      items: [
        ['CLAUDE_RELAY_URL', 'the address of the relay of this machine, for ask without --url'],
        ['CLAUDE_RELAY_KEY', 'the key that ask uses without --key'],
      ],
    },
    {
      title: 'Exit status',
      items: [
        ['0', 'the answer is complete, or the model stopped early: stderr says why'],
        ['1', 'the request failed'],
        ['129, 130, 143', 'SIGHUP, Ctrl-C or SIGTERM ended it'],
      ],
    },
    {
      title: 'Examples',
      items: [
        ['claude-relay ask --model haiku "Say hello."', 'another model'],
        ['git diff | claude-relay ask "Review this:" -', 'words, then stdin'],
      ],
    },
  );
}

async function ask(
  config: Config,
  words: readonly string[],
  options: AskOptions,
  terminal: Terminal,
): Promise<void> {
  const { hostEnv } = config;
  // An empty variable is the same as none.
  const url = relayUrl(config, options.url ?? (hostEnv['CLAUDE_RELAY_URL'] || undefined));
  const ownKey = options.key ?? (hostEnv['CLAUDE_RELAY_KEY'] || undefined);
  const prompt = await promptOf(words);
  using stop = listenForStop();
  const send = async (key: string): Promise<void> => {
    const { model, system, effort } = options;
    // JSON leaves out what is undefined.
    const shape = options.json === true ? { output_format: 'json' } : { stream: options.stream };
    const body = { prompt, system, model, effort, ...shape };
    const answer = await callRelay(`${url}/v1/complete`, { key, body, signal: stop.signal });
    if (answer.statusCode === 401 && ownKey === undefined) {
      throw new CommandError(
        `The relay at ${url} does not use the keys in ${config.dataDir}: it has another DATA_DIR, as the demo does. Pass one of its keys with --key.`,
      );
    }
    await print(answer, options, terminal);
  };
  try {
    if (ownKey !== undefined) return await send(ownKey);
    await withRecords({ dataDir: () => config.dataDir, terminal }, async ({ keys }) => {
      const lent = keys.lend(ownLabel, ownSecretMs, 'ask');
      await send(lent.token).finally(() => lent.end());
    });
  } catch (error) {
    if (!stop.signal.aborted) throw readable(error, url);
    process.exitCode = 128 + constants.signals[stop.signal.reason as NodeJS.Signals];
  }
}

/** The words, with stdin in the place of `-`. */
async function promptOf(words: readonly string[]): Promise<string> {
  if (words.length === 0 && process.stdin.isTTY) {
    throw new CommandError(`Pass a prompt: ${relayCommand} ask "Say hello.", or - to read it from stdin.`);
  }
  const at = words.indexOf('-');
  if (words.length > 0 && at === -1) return words.join(' ');
  const input = await textOfStream(process.stdin);
  // Alone, stdin is the prompt byte for byte; next to words it is a separate paragraph.
  const paragraphs = [words.slice(0, at).join(' '), input, words.slice(at + 1).join(' ')];
  return paragraphs.filter((paragraph) => paragraph !== '').join('\n\n');
}

/** A whole answer has no `type`; the events of a stream have. */
const part = z.object({
  type: z.string().optional(),
  text: z.string().optional(),
  stop_reason: z.string().nullish(),
});
const refused = z.object({ error: z.string(), message: z.string(), request_id: z.string().optional() });

/** A file or a pipe gets the answer exactly; a terminal gets it without control characters. */
async function print(answer: IncomingMessage, options: AskOptions, terminal: Terminal): Promise<void> {
  const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
  let last = '\n';
  const endLine = (): void => {
    if (!last.endsWith('\n')) terminal.out('\n');
  };
  for await (const document of isStream ? eventData(answer) : [parsedJson(await textOf(answer))]) {
    const failed = refused.safeParse(document).data;
    if (failed !== undefined) {
      endLine();
      const { error, message, request_id: id } = failed;
      throw new CommandError(`${message} (${error}${id === undefined ? '' : `, ${id}`})`);
    }
    const read = part.safeParse(document).data;
    if (read === undefined || answer.statusCode !== 200) {
      throw new CommandError(
        `The answer, with status ${answer.statusCode}, is not from claude-relay. Does another program listen there?`,
      );
    }
    if (options.json === true) return terminal.out(json(document));
    const { type, text = '', stop_reason: reason } = read;
    const shown = process.stdout.isTTY ? printable(text) : text;
    // The last event repeats the text.
    if (type !== 'done' && shown !== '') {
      terminal.out(shown);
      last = shown;
    }
    // The reader has gone, as after `| head`: leaving the loop closes the connection, and the relay ends the turn.
    if (terminal.gone()) return;
    if (type !== undefined && type !== 'done') continue;
    endLine();
    if (!['end_turn', 'stop_sequence'].includes(reason ?? 'end_turn')) {
      terminal.err(`claude-relay: The model stopped early: ${reason}\n`);
    }
    return;
  }
  endLine();
  throw brokenOff();
}

function brokenOff(): CommandError {
  return new CommandError('The answer broke off: the relay ended before it was complete.');
}

function readable(error: unknown, url: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ECONNRESET') return brokenOff();
  if (code !== 'ECONNREFUSED') return error;
  return new CommandError(
    `No relay listens at ${url}. Start it with ${runCommand}, or run ${relayCommand} doctor.`,
  );
}
