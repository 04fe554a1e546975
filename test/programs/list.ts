/** Every program that `npm run clients` tries. */
import { claudeCode } from './list/claude-code.ts';
import { clines } from './list/cline.ts';
import { codex } from './list/codex.ts';
import { continues } from './list/continue.ts';
import { instructor } from './list/instructor.ts';
import { n8n } from './list/n8n.ts';
import { opencodes } from './list/opencode.ts';
import { pis } from './list/pi.ts';
import { promptfoo } from './list/promptfoo.ts';
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
  ...instructor,
  ...n8n,
  ...promptfoo,
];
