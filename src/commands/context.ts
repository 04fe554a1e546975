/** What the commands on the records (keys, ledger) share: the data directory, the terminal, and how a failure is told. */
import type { Command } from 'commander';
import { KeyError } from '../keys/key.ts';
import { openKeys, type Keys } from '../keys/store.ts';
import { storeFailure, StoreError } from '../store/errors.ts';
import { openStore, type Store } from '../store/sqlite.ts';
import { processTerminal, type Terminal } from './text/terminal.ts';

export type CommandContext = {
  /** The relay's data directory, from its settings. */
  dataDir(): string;
  /** Where the relay of these settings answers; undefined where nobody can know. */
  relayUrl?(): string | undefined;
  terminal?: Terminal;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Ends a command that would go on by itself (`logs -f`). */
  signal?: AbortSignal;
};

export type Records = { store: Store; keys: Keys; terminal: Terminal; now: () => number };

/** A relay that runs holds locks for milliseconds only: a command can wait for them. */
const waitMs = 5000;

/** Runs a command's work on the open database and closes it; a problem that the user can fix becomes one message and exit status 1. */
export async function withRecords(
  command: Command,
  context: CommandContext,
  work: (records: Records) => void | Promise<void>,
): Promise<void> {
  const { now = Date.now, terminal = processTerminal() } = context;
  try {
    const store = openStore(context.dataDir(), { waitMs });
    try {
      const keys = openKeys(store, { now });
      await work({ store, keys, terminal, now });
    } finally {
      store.close();
    }
  } catch (error) {
    const message = sentence(error);
    if (message === undefined) throw error;
    command.error(`claude-relay: ${message}`, { exitCode: 1 });
  }
}

function sentence(error: unknown): string | undefined {
  if (error instanceof KeyError || error instanceof StoreError) return error.message;
  const reason = storeFailure(error);
  return reason === undefined ? undefined : `This could not be done: ${reason}.`;
}
