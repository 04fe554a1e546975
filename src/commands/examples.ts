/** The examples below a command's help. */
import type { Command } from 'commander';

/** `[what to type, what it does]`; a test reads each as the program would. */
export type Example = readonly [line: string, what: string];

export function withExamples(command: Command, examples: readonly Example[], after?: string): void {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(width)}  # ${what}\n`);
  command.addHelpText('after', `\nExamples:\n${lines.join('')}${after === undefined ? '' : `\n${after}\n`}`);
}
