/**
 * A program in place of Claude Code tries about sixty ways out of each seal. SECURITY.md has the table of what came of it; WRITE=1
 * writes it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chooseSeal } from '../src/claude/seal/seal.ts';
import { escapee, startOutside, type Outside } from './support/escape.ts';
import { needs, notAsOrdinaryUser, ordinaryUser } from './support/needs.ts';
import { root } from './support/relay.ts';
import { gateway, pathOf, ways, withStoredLogin } from './support/seal-ways.ts';

const security = join(root, 'SECURITY.md');
type Column = { name: string; way: (typeof ways)[number]; login: Record<string, string> };
const columns: readonly Column[] = ways.toReversed().flatMap((way) => {
  if (way.name === 'namespace by bwrap, and bwrap') return [];
  const withToken = { name: way.name, way, login: { ANTHROPIC_API_KEY: 'sk-ant-stub' } };
  if (way.expected.network !== 'filter') return [withToken];
  return [{ name: `${way.expected.files}, with a stored login`, way, login: {} }, withToken];
});
const title = `| What the program tries | ${columns.map(({ name }) => name).join(' | ')} |`;
/** By try, what each column has. */
const results = new Map<string, Map<string, string>>();

/** The same as an ordinary user, started by the last test. */
const asUser = process.env['ESCAPE_AS_USER'] === '1';
const skip = needs(...(asUser ? [] : ['root']), 'perl', 'ip', 'ipcrm', 'mkfifo');

describe('out of the seal', { skip }, () => {
  let outside: Outside;
  before(async () => {
    outside = await startOutside({ addresses: !asUser });
  });
  after(() => {
    outside.close();
  });

  for (const { name: column, way, login } of columns) {
    test(`a program has tried every way out of: ${column}`, { skip: way.skip }, async () => {
      const { path, remove } = pathOf(way);
      try {
        const hostEnv = { HOME: outside.home, PATH: path, ...gateway, ...login };
        const seal = await chooseSeal({ mode: 'auto', claudeBin: escapee, hostEnv });
        const expected = column === way.name ? way.expected : withStoredLogin(way.expected);
        assert.deepEqual({ network: seal.network, files: seal.files }, expected);
        const tried = await outside.tryAll(seal, hostEnv);
        seal.close();
        for (const [name, result] of tried) {
          const row = results.get(name) ?? new Map<string, string>();
          results.set(name, row.set(column, result === 'open' ? 'open' : 'closed'));
        }
        assert.ok(tried.size > 50, `${tried.size} tries`);
      } finally {
        remove();
      }
    });
  }

  test('without a seal nearly every way is open, so that a closed one proves something', () => {
    const closed = [...results].filter(([, row]) => row.get('no seal') !== 'open').map(([name]) => name);
    // Some kernels have no crypto sockets or vsock. An ordinary user cannot mount, for one, in any case.
    assert.ok(closed.length <= (asUser ? 20 : 3), closed.join());
  });

  test('the table of SECURITY.md has what came of each try', () => {
    const text = readFileSync(security, 'utf8');
    const before = text.slice(0, text.indexOf(title));
    const [table = '', ...rest] = text.slice(before.length).split('\n\n');
    assert.ok(table.startsWith(title), 'SECURITY.md has no table of the tries');
    const measured = [...results].filter(([, row]) => row.get('no seal') === 'open');
    if (process.env['WRITE'] === '1') {
      const lines = measured.map(
        ([name, row]) => `| ${name} | ${columns.map((column) => row.get(column.name) ?? '?').join(' | ')} |`,
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
        const result = row.get(column.name);
        const hasRows = result === undefined || (asUser && result === 'closed');
        if (!hasRows) assert.equal(rows.get(name)?.[index], result, `${name}, ${column.name}`);
      }
    }
    return undefined;
  });

  if (!asUser)
    test('no more than that is open to an ordinary user', { skip: notAsOrdinaryUser() }, () => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const { status, stdout } = spawnSync(process.execPath, ['--test', import.meta.filename], {
        uid: ordinaryUser,
        gid: ordinaryUser,
        env: { ...env, ESCAPE_AS_USER: '1' },
        encoding: 'utf8',
      });
      assert.equal(status, 0, stdout);
      assert.match(stdout, /out of: namespace and bwrap \(/);
    });
});
