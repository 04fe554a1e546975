import { fileURLToPath } from 'node:url';
import type { Program } from '../program.ts';

const script = fileURLToPath(new URL('instructor.mjs', import.meta.url));

export const instructor: readonly Program[] = ['TOOLS', 'JSON_SCHEMA', 'FUNCTIONS'].map((mode) => ({
  name: `instructor-${mode.toLowerCase().replace('_', '-')}`,
  title: `Instructor, mode \`${mode}\``,
  packages: ['@instructor-ai/instructor@1.7.0', 'openai@4.104.0', 'zod@3.25.76'],
  setUp: [`Instructor({ client: new OpenAI({ baseURL: 'URL/v1', apiKey: 'KEY' }), mode: '${mode}' })`],
  note: 'Its answers are objects by a schema.',
  ask: ({ check, prompt, url, key, installed, run }) =>
    run('node', [script, installed, mode, check, prompt], {
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: key,
    }),
}));
