/** `npm run bench`: measures on this machine what docs/benchmarks.md shows, prints a table and writes JSON. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { everyCli } from '../test/support/real-cli.ts';
import { root } from '../test/support/relay.ts';
import type { Bench } from './bare.ts';
import { measureFetch } from './fetch.ts';
import { measureGrowth, measureHttpSide } from './http.ts';
import { measureLatency } from './latency.ts';
import { measureNetwork } from './network.ts';
import { measurePage } from './page.ts';
import { report, type Result } from './report.ts';
import { measureSaturation } from './saturation.ts';
import { measureSeal } from './seal.ts';
import { startUpstream } from './upstream.ts';

const sections = ['latency', 'saturation', 'network', 'http', 'growth', 'fetch', 'seal', 'page'] as const;

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    cli: { type: 'string', default: everyCli[0].version },
    rounds: { type: 'string' },
    delay: { type: 'string', default: '0' },
    only: { type: 'string', default: sections.join(',') },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const help = `npm run bench -- [options]
  --quick          three minutes in place of half an hour, more on a busy machine
  --cli VERSION    ${everyCli.map(({ version }) => version).join(' or ')}, or the path of a Claude Code CLI
  --rounds N       rounds of latency and seal (30; with --quick as many as fit)
  --delay MS       time that the stand-in upstream takes before it answers (0)
  --only a,b       some of ${sections.join(', ')}
  --out FILE       where the JSON goes (bench/results/<date>.json)
`;

async function main(): Promise<void> {
  const { quick } = flags;
  const wanted = (section: (typeof sections)[number]): boolean => flags.only.split(',').includes(section);
  const claudeBin = everyCli.find(({ version }) => version === flags.cli)?.path ?? flags.cli;
  const startedAt = performance.now();
  const date = new Date().toISOString();
  const start = minuteLoad();
  const scratch = mkdtempSync(join(tmpdir(), 'relay-bench-'));
  for (const name of ['home', 'tmp']) mkdirSync(join(scratch, name));
  const delayMs = Number(flags.delay);
  const upstream = await startUpstream(delayMs);
  const bench: Bench = {
    claudeBin,
    upstream: { ANTHROPIC_BASE_URL: upstream.url },
    scratch,
    model: 'opus',
    system: 'Answer in one sentence.',
    prompt: 'Say what a relay does.',
  };
  const http = { quick, rounds: quick ? 2 : 7, seconds: quick ? 0.4 : 3, afterSeconds: quick ? 5 : 60 };
  try {
    const latency = wanted('latency')
      ? await measureLatency(bench, {
          rounds: Number(flags.rounds ?? 30),
          maxMs: quick ? 10_000 : Number.POSITIVE_INFINITY,
          cpu: quick ? { batches: 1, requests: 3 } : { batches: 3, requests: 8 },
        })
      : undefined;
    const saturation = wanted('saturation')
      ? await measureSaturation(bench, {
          batches: quick ? 2 : 6,
          requests: quick ? 4 : 24,
          maxMs: quick ? 10_000 : Number.POSITIVE_INFINITY,
        })
      : undefined;
    const network = wanted('network')
      ? await measureNetwork(bench, {
          rounds: 10,
          maxMs: quick ? 10_000 : Number.POSITIVE_INFINITY,
          hotRequests: quick ? 5 : 20,
        })
      : undefined;
    const httpSide = wanted('http') ? await measureHttpSide(bench, http) : undefined;
    const growth = wanted('growth') ? await measureGrowth(bench, http) : undefined;
    const fetch = wanted('fetch') ? await measureFetch(bench, quick) : undefined;
    const seal = wanted('seal')
      ? await measureSeal(bench, {
          rounds: Number(flags.rounds ?? 30),
          maxMs: quick ? 20_000 : Number.POSITIVE_INFINITY,
        })
      : undefined;
    const page = wanted('page') ? await measurePage(bench, http) : undefined;
    const result: Result = {
      date,
      machine: {
        cores: availableParallelism(),
        memoryGib: Math.round(totalmem() / 2 ** 30),
        arch: process.arch,
        platform: process.platform,
      },
      versions: {
        node: process.versions.node,
        claude: cliVersion(bench),
        relay: (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version,
      },
      options: { quick, delayMs },
      load: { start, end: minuteLoad() },
      seconds: Math.round((performance.now() - startedAt) / 1000),
      ...(latency && { latency }),
      ...(saturation && { saturation }),
      ...(network && { network }),
      ...(httpSide && { http: httpSide }),
      ...(growth && { growth }),
      ...(fetch && { fetch }),
      ...(seal && { seal }),
      ...(page && { page }),
    };
    const out = flags.out ?? join(root, 'bench/results', `${date.replaceAll(':', '-').slice(0, 19)}.json`);
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`);
    process.stdout.write(`${report(result)}\nwritten to ${out}\n`);
  } finally {
    await upstream.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

function minuteLoad(): number {
  return Number((loadavg()[0] ?? 0).toFixed(1));
}

function cliVersion({ claudeBin }: Bench): string {
  return execFileSync(claudeBin, ['--version'], { encoding: 'utf8' }).split(' ')[0]?.trim() ?? '';
}

if (flags.help) process.stdout.write(help);
else await main();
