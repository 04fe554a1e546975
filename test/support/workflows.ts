/** The workflows of GitHub Actions. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from './relay.ts';

type Step = { uses?: string; run?: string; with?: Record<string, unknown> };
export type Job = {
  uses?: string;
  needs?: string | string[];
  if?: string;
  environment?: string;
  permissions?: Record<string, string>;
  'timeout-minutes'?: number;
  steps?: Step[];
};
type Workflow = {
  on: Record<string, unknown>;
  permissions: unknown;
  concurrency: unknown;
  jobs: Record<string, Job>;
};

export const workflows = globSync('.github/workflows/*', { cwd: root }).map((name) => {
  const text = readFileSync(join(root, name), 'utf8');
  return { name, text, workflow: parse(text) as Workflow };
});
