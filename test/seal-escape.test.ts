/**
 * A program in place of Claude Code tries about sixty ways out of each seal. SECURITY.md has the table of what came of it; WRITE=1
 * writes it.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chooseSeal } from '../src/claude/seal/seal.ts';
import { escapee, startOutside, type Outside } from './support/escape.ts';
import { needs } from './support/needs.ts';
import { root } from './support/relay.ts';
import { pathOf, ways } from './support/seal-ways.ts';

const security = join(root, 'SECURITY.md');
const columns = [
  'no seal',
  'namespace',
  'landlock',
  'bwrap',
  'namespace and landlock',
  'namespace and bwrap',
];
const title = `| What the program tries | ${columns.join(' | ')} |`;
/** By try, what each column has. */
const results = new Map<string, Map<string, string>>();

describe('out of the seal', { skip: needs('root', 'perl', 'ip', 'ipcrm', 'mkfifo') }, () => {
  let outside: Outside;
  before(async () => {
    outside = await startOutside();
  });
  after(() => {
    outside.close();
  });

  for (const way of ways) {
    test(`a program has tried every way with the programs for ${way.name}`, { skip: way.skip }, async () => {
      const { path, remove } = pathOf(way);
      try {
        const hostEnv = { HOME: outside.home, PATH: path, ANTHROPIC_API_KEY: 'sk-ant-stub' };
        const seal = await chooseSeal({ mode: 'auto', claudeBin: escapee, hostEnv });
        assert.deepEqual({ network: seal.network, files: seal.files }, way.expected);
        const tried = await outside.tryAll(seal, hostEnv);
        seal.close();
        for (const [name, result] of tried) {
          const row = results.get(name) ?? new Map<string, string>();
          results.set(name, row.set(way.name, result === 'open' ? 'open' : 'closed'));
        }
        assert.ok(tried.size > 50, `${tried.size} tries`);
      } finally {
        remove();
      }
    });
  }

  test('without a seal nearly every way is open, so that a closed one proves something', () => {
    const closed = [...results].filter(([, row]) => row.get('no seal') !== 'open').map(([name]) => name);
    // Some kernels have no crypto sockets or vsock.
    assert.ok(closed.length <= 3, closed.join());
  });

  test('the table of SECURITY.md has what came of each try', () => {
    const text = readFileSync(security, 'utf8');
    const before = text.slice(0, text.indexOf(title));
    const [table = '', ...rest] = text.slice(before.length).split('\n\n');
    assert.ok(table.startsWith(title), 'SECURITY.md has no table of the tries');
    const measured = [...results].filter(([, row]) => row.get('no seal') === 'open');
    if (process.env['WRITE'] === '1') {
      const lines = measured.map(
        ([name, row]) => `| ${name} | ${columns.map((column) => row.get(column) ?? '?').join(' | ')} |`,
      );
      const written = [title, `| --- ${'| --- '.repeat(columns.length)}|`, ...lines].join('\n');
      return writeFileSync(security, before + [written, ...rest].join('\n\n'));
    }
    const rows = new Map(
      table
        .split('\n')
        .slice(2)
        .map((line) => line.split('|').slice(1, -1))
        .map(([name = '', ...cells]) => [name.trim(), cells.map((cell) => cell.trim())]),
    );
    for (const [name, row] of measured) {
      for (const [index, column] of columns.entries()) {
        const result = row.get(column);
        if (result !== undefined) assert.equal(rows.get(name)?.[index], result, `${name}, ${column}`);
      }
    }
    return undefined;
  });
});
