/** argv -> a command. */
import { CliMissing } from './claude/cli.ts';
import { SealMissing } from './claude/seal/seal.ts';
import { CommandError } from './command-error.ts';
import { createProgram } from './commands/program.ts';
import { ConfigError } from './config.ts';
import { KeyError } from './keys/key.ts';
import { StoreError } from './store/errors.ts';

try {
  await createProgram().parseAsync();
} catch (error) {
  const known = [CommandError, ConfigError, CliMissing, KeyError, SealMissing, StoreError].some(
    (kind) => error instanceof kind,
  );
  if (!known) throw error;
  process.stderr.write(`claude-relay: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
