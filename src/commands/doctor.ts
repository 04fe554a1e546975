/** `claude-relay doctor`: what stands between this machine and a working relay, line by line. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliMissing, findCli, loginStatus } from '../claude/cli.ts';
import { proveLock } from '../claude/proof.ts';
import type { Config } from '../config.ts';
import { openStore } from '../store/sqlite.ts';
import { paint, type Terminal } from './terminal.ts';

type Line = { name: string; ok: boolean; detail: string };

/** Prints every check; resolves to whether all of them passed. Never throws. */
export async function doctor(config: Config, terminal: Terminal, json: boolean): Promise<boolean> {
  const lines: Line[] = [];
  const add = (name: string, ok: boolean, detail: string): void => {
    lines.push({ name, ok, detail });
    if (json) return;
    const mark = ok ? paint(terminal, 'green', 'ok  ') : paint(terminal, 'red', 'FAIL');
    terminal.out(`${mark} ${name}${detail === '' ? '' : `: ${detail}`}\n`);
  };
  add('node', Number(process.versions.node.split('.')[0]) >= 24, `v${process.versions.node}`);
  checkDatabase(config, add);
  const claudeBin = locate(config, add);
  if (claudeBin !== undefined) {
    await checkLogin(claudeBin, config, add);
    const proof = await proveLock({ claudeBin, hostEnv: config.hostEnv });
    add('claude-version', proof.cliVersion !== undefined, proof.cliVersion ?? 'it did not say');
    for (const check of proof.checks) add(`lock/${check.name}`, check.ok, check.detail);
    add(
      'lock-proved',
      proof.proved,
      `in ${(proof.durationMs / 1000).toFixed(1)} s; adds ${proof.addedBytes} bytes to every request`,
    );
  }
  const ok = lines.every((line) => line.ok);
  if (json) terminal.out(`${JSON.stringify({ ok, checks: lines }, null, 2)}\n`);
  return ok;
}

type Add = (name: string, ok: boolean, detail: string) => void;

function locate(config: Config, add: Add): string | undefined {
  try {
    const path = findCli(config.claudeBin, config.hostEnv);
    add('claude', true, path);
    return path;
  } catch (error) {
    if (!(error instanceof CliMissing)) throw error;
    add('claude', false, error.message);
    return undefined;
  }
}

async function checkLogin(claudeBin: string, config: Config, add: Add): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'relay-login-'));
  const { loggedIn, method } = await loginStatus(claudeBin, config.hostEnv, scratch);
  rmSync(scratch, { recursive: true, force: true });
  const detail =
    loggedIn === false ? 'not logged in: run `claude` once and log in, or `claude setup-token`' : method;
  add('login', loggedIn !== false, detail);
}

function checkDatabase(config: Config, add: Add): void {
  try {
    const store = openStore(config.dataDir);
    const writable = store.writable();
    store.close();
    add('database', writable.ok, writable.ok ? config.dataDir : writable.reason);
  } catch (error) {
    add('database', false, (error as Error).message);
  }
}
