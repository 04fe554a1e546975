/** Every program that `npm run clients` tries. */
import { claudeCode } from './list/claude-code.ts';
import { codex } from './list/codex.ts';
import type { Program } from './program.ts';

export const programs: readonly Program[] = [...codex, ...claudeCode];
