/** `claude-relay dashboard`: opens the owner's page with a link that works once, for a minute. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { processEnv, type Config } from '../config.ts';
import { findProgram } from '../find-program.ts';
import { openCodes } from '../owner/codes.ts';
import { probe } from '../service/call.ts';
import { removeOwnFile, writeOwnFile } from '../service/own-file.ts';
import { withRecords } from './context.ts';

/** Milliseconds that a browser has to start and to open the link. */
const browserMs = 20_000;

export function addDashboardCommand(program: Command, config: () => Config): void {
  program
    .command('dashboard')
    .description("open the owner's page: keys, use, requests and trouble")
    .option('--print', 'only print the link, which works once, for a minute')
    .action((options: { print?: boolean }) => dashboard(config(), options.print === true));
}

async function dashboard(config: Config, printOnly: boolean): Promise<void> {
  const { adminPort } = config;
  if (adminPort === 0) {
    throw new CommandError(
      'The page is off (ADMIN_PORT=0). Set ADMIN_PORT in config.env, and restart the relay.',
    );
  }
  const base = `http://127.0.0.1:${adminPort}`;
  const answer = await probe(`${base}/open`);
  if (answer.status !== 401) {
    throw new CommandError(
      `No page of claude-relay answers on ${base}. Start the relay first; its log says if that port is taken.`,
    );
  }
  await withRecords({ dataDir: () => config.dataDir }, async ({ store, terminal, now }) => {
    const codes = openCodes(store, adminPort, now);
    const linkOf = (code: string): string => `${base}/open?code=${code}`;
    if (!printOnly) {
      const { code, isUsed } = codes.make();
      const opened = await openInBrowser(linkOf(code), config.dataDir, isUsed);
      if (opened) return terminal.err('Opened the page in your browser.\n');
      terminal.err('No browser opened it. Open this link within a minute, on this machine. It works once:\n');
    }
    terminal.out(`${linkOf(codes.make().code)}\n`);
  });
}

/**
 * Resolves to whether a browser used the link. The link is in a file that only the owner can read: other users see the arguments of a
 * program.
 */
async function openInBrowser(link: string, dataDir: string, isUsed: () => boolean): Promise<boolean> {
  const isMac = process.platform === 'darwin';
  const onDesktop = isMac || (processEnv['DISPLAY'] ?? processEnv['WAYLAND_DISPLAY'] ?? '') !== '';
  const opener = findProgram(isMac ? 'open' : 'xdg-open', processEnv['PATH']);
  if (!onDesktop || opener === undefined) return false;
  const file = join(dataDir, `open-page-${process.pid}.html`);
  writeOwnFile(file, `<!doctype html><meta http-equiv="refresh" content="0; url=${link}">\n`, 0o600);
  try {
    const hasFailed = startOpener(opener, file);
    const until = performance.now() + browserMs;
    while (performance.now() < until && !hasFailed() && !isUsed()) await sleep(100);
    return isUsed();
  } finally {
    removeOwnFile(file);
  }
}

/** Without a desktop environment, an opener stays until the browser ends: the command does not wait for it. Returns whether it failed. */
function startOpener(opener: string, file: string): () => boolean {
  let failed = false;
  const child = spawn(opener, [file], { stdio: 'ignore', detached: true });
  child.once('error', () => (failed = true));
  child.once('exit', (status) => (failed = status !== 0));
  child.unref();
  return () => failed;
}
