/** Every program that `npm run clients` tries. */
import { claudeCode } from './list/claude-code.ts';
import { clines } from './list/cline.ts';
import { codex } from './list/codex.ts';
import { continues } from './list/continue.ts';
import { opencodes } from './list/opencode.ts';
import { pis } from './list/pi.ts';
import { sdks } from './list/sdks.ts';
import type { Program } from './program.ts';

export const programs: readonly Program[] = [
  ...codex,
  ...claudeCode,
  ...opencodes,
  ...clines,
  ...pis,
  ...continues,
  ...sdks,
];
