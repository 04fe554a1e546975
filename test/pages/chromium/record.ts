/** Writes what the installed Chromium shows of the pages of shapes.ts. */
import { writeFileSync } from 'node:fs';

import { showInChromium } from './browser.ts';
import { shapes } from './shapes.ts';
import { recordFile } from './shown.ts';

writeFileSync(recordFile, `${JSON.stringify(await showInChromium(shapes), null, 2)}\n`);
