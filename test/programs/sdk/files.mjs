/** What each script gets, and the tool that it offers the model. */
import { readFileSync } from 'node:fs';

export const { RELAY_URL: url, RELAY_KEY: key, PROMPT: prompt, CHECK: check, MODE: mode } = process.env;
export const toolText = 'Returns the text of a file.';
export const readFile = ({ path }) => readFileSync(path, 'utf8');
