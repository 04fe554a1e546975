/** What the commands on the records (keys, ledger) share: the data directory and the terminal. */
import { CommandError } from '../command-error.ts';
import type { Config } from '../config.ts';
import { openKeys, type Keys } from '../keys/store.ts';
import type { ServedModels } from '../model-family.ts';
import { storeFailure, StoreError } from '../store/errors.ts';
import { openStore, type Store } from '../store/sqlite.ts';
import { processTerminal, type Terminal } from './text/terminal.ts';

/** For the commands on the settings. */
export type SettingsContext = { config(): Config; configFile(): string };

export type CommandContext = {
  /** The relay's data directory, from its settings. */
  dataDir(): string;
  /** Where the relay of these settings answers. */
  relayUrl(): string;
  /** The models that the relay of these settings serves. */
  models(): ServedModels;
  terminal?: Terminal;
  /** Milliseconds since 1970. */
  now?: () => number;
};

export type Records = { store: Store; keys: Keys; terminal: Terminal; now: () => number };

/** A relay that runs holds locks for milliseconds only: a command can wait for them. */
export const waitMs = 5000;

/** Runs a command's work on the open database and closes it. Throws KeyError, StoreError or CommandError for a problem that the user can fix. */
export async function withRecords<T>(
  context: Pick<CommandContext, 'dataDir' | 'terminal' | 'now'>,
  work: (records: Records) => T | Promise<T>,
): Promise<T> {
  const { now = Date.now, terminal = processTerminal() } = context;
  const store = openStore(context.dataDir(), { waitMs });
  try {
    return await work({ store, keys: openKeys(store, { now }), terminal, now });
  } catch (error) {
    const reason = error instanceof StoreError ? undefined : storeFailure(error);
    throw reason === undefined ? error : new CommandError(`The command failed: ${reason}.`);
  } finally {
    store.close();
  }
}
