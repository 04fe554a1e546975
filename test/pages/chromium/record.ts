/** Writes what the installed Chromium shows of the pages of shapes.ts. */
import { writeFileSync } from 'node:fs';

import { findChromium, showInChromium } from './browser.ts';
import { shapes } from './shapes.ts';
import { recordFile } from './shown.ts';

const program = findChromium();
if (program === undefined) throw new Error('chromium is not on PATH: install it first');
writeFileSync(recordFile, `${JSON.stringify(await showInChromium(program, shapes), null, 2)}\n`);
