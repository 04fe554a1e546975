/**
 * `npm run clients [-- NAME...]`: installs real programs from npm, runs each against the relay, the real CLI and a scripted model, and
 * writes what they did to docs/clients.md. Exits with status 1 if a program could not do what it should.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SeenRequest } from '../support/failing-model.ts';
import { freePort } from '../support/ports.ts';
import { eventually, startTestRelay, type TestRelay } from '../support/relay.ts';
import { install, versionOf } from './install.ts';
import { programs } from './list.ts';
import { type Check, checks, type Program, type Use } from './program.ts';
import { runProgram } from './run.ts';
import { answerText, files, reply, resultsIn } from './script.ts';
import { type Results, readResults, writeTable } from './table.ts';
import { type Exchange, startTap } from './tap.ts';

const wanted = process.argv.slice(2);
const chosen = programs.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const unknown = wanted.filter((name) => !programs.some((program) => program.name === name));
if (unknown.length > 0) {
  console.error(
    `No program is called ${unknown.join(', ')}. There are: ${programs.map(({ name }) => name).join(', ')}.`,
  );
  process.exit(2);
}

const results = readResults();
for (const program of chosen) {
  // Its own relay: wrong keys of one program do not count against the next.
  const relay = await startTestRelay({ proof: false, settings: { HOT_PROCESSES: '2' } });
  try {
    results[program.name] = await tryProgram(program, relay);
  } finally {
    await relay.stop();
  }
}
writeTable(programs, results);
process.exitCode = chosen.every(({ name }) =>
  Object.values(results[name]?.checks ?? {}).every(({ ok }) => ok),
)
  ? 0
  : 1;

async function tryProgram(program: Program, to: TestRelay): Promise<Results[string]> {
  const installed = await install(program);
  const entry: Results[string] = {
    version: versionOf(program),
    date: new Date().toISOString().slice(0, 10),
    paths: [],
    checks: {},
  };
  for (const check of checks) {
    if ((check === 'tools' && program.tool === undefined) || (check === 'key' && program.ollama)) continue;
    if (check === 'stream' && program.streams === false) continue;
    const { exchanges, fault } = await tryCheck(program, check, installed, to);
    entry.checks[check] = {
      ok: fault === undefined,
      refused: exchanges.filter(({ status }) => status === 401).length,
    };
    entry.paths = [
      ...new Set([...entry.paths, ...exchanges.filter(({ status }) => status === 200).map(pathOf)]),
    ];
    console.log(
      `${fault === undefined ? 'ok  ' : 'FAIL'} ${program.name}, ${check}${fault === undefined ? '' : `: ${fault}`}`,
    );
  }
  return entry;
}

/** Runs the program once, and says what was wrong, if anything. */
async function tryCheck(
  program: Program,
  check: Check,
  installed: string,
  to: TestRelay,
): Promise<{ exchanges: Exchange[]; fault?: string }> {
  const scratch = mkdtempSync(join(tmpdir(), 'relay-client-'));
  const home = join(scratch, 'home');
  const directory = join(scratch, 'work');
  for (const each of [home, directory]) mkdirSync(each);
  for (const [file, word] of Object.entries(files)) writeFileSync(join(directory, file), `${word}\n`);
  execFileSync('git', ['init', '--quiet'], { cwd: directory });
  const tap = await startTap(program.ollama === true ? await ollamaPort(to) : to.url);
  to.model.setReply(reply(check === 'tools' ? program.tool : undefined, (file) => join(directory, file)));
  const before = to.model.requests.length;
  const path = `${join(installed, 'node_modules/.bin')}:${process.env['PATH']}`;
  const run: Use['run'] = (command, args, env) =>
    runProgram(command, args, { cwd: directory, env: { HOME: home, PATH: path, TMPDIR: scratch, ...env } });
  try {
    const prompt =
      check === 'tools' ? 'Read first.txt, then second.txt. What is the answer?' : 'What is the answer?';
    const key = check === 'key' ? 'crk_wrong' : to.key;
    const printed = await program.ask({ check, prompt, url: tap.url, key, installed, home, directory, run });
    const fault = faultIn(
      program,
      check,
      printed,
      tap.exchanges,
      to.model.requests.slice(before).map(({ json }) => json),
    );
    return {
      exchanges: tap.exchanges,
      ...(fault === undefined
        ? {}
        : { fault: `${fault}\n${printed}\n${JSON.stringify(tap.exchanges, null, 1)}` }),
    };
  } finally {
    await tap.close();
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

function faultIn(
  { tool, refused, tries = 1 }: Program,
  check: Check,
  printed: string,
  exchanges: readonly Exchange[],
  requests: readonly SeenRequest['json'][],
): string | undefined {
  if (check === 'key') {
    const denied = exchanges.filter(({ status }) => status === 401);
    if (denied.length === 0 || denied.length > tries)
      return `${denied.length} tries with a wrong key, not ${tries}`;
    return /key|login|auth/i.test(printed) ? undefined : 'it does not say that the key is wrong';
  }
  const refusal = exchanges.find(
    ({ status, method, path }) => status >= 400 && refused?.test(`${status} ${method} ${path}`) !== true,
  );
  if (refusal !== undefined) return `the relay refused ${refusal.method} ${refusal.path}: ${refusal.refusal}`;
  if (!printed.includes(answerText)) return 'the answer is missing';
  const results = requests.flatMap(resultsIn).join();
  const missing = (tool?.results ?? Object.values(files)).find((word) => !results.includes(word));
  if (check === 'tools' && missing !== undefined) return `no result with ${missing} reached the model`;
  if (
    check === 'stream' &&
    !exchanges.some(({ status, type }) => status === 200 && /event-stream|ndjson/.test(type))
  )
    return 'no answer was a stream';
  return undefined;
}

function pathOf({ path }: Exchange): string {
  return path.replace(/\?.*/, '');
}

/** Gives the key a port for Ollama's clients. */
async function ollamaPort(relay: TestRelay): Promise<string> {
  const port = await freePort();
  relay.command('claude-relay', 'key', 'set', 'test', '--ollama-port', String(port));
  const url = `http://127.0.0.1:${port}`;
  await eventually('the relay listens for Ollama', () =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return url;
}
