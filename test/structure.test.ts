/** Who may import whom in src, types included: the linter's `import/no-cycle` does not see imports of types. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const src = join(import.meta.dirname, '../src');

/** File -> the files of src that it imports or re-exports. */
const imports = new Map(
  globSync('**/*.ts', { cwd: src })
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => {
      const text = readFileSync(join(src, file), 'utf8');
      const targets = [...text.matchAll(/(?:\bfrom|\bimport\(|^import)\s*'(\.[^']+\.ts)'/gm)];
      return [
        file,
        targets.map(([, target = '']) => relative(src, join(src, dirname(file), target))),
      ] as const;
    }),
);

function forbidden(from: (file: string) => boolean, to: (file: string) => boolean): string[] {
  return [...imports].flatMap(([file, targets]) =>
    from(file) ? targets.filter(to).map((target) => `${file} imports ${target}`) : [],
  );
}

/** The files of each cycle, in the order of the imports. */
function cycles(): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start !== -1) found.push([...path.slice(start), file].join(' -> '));
    if (start !== -1 || done.has(file)) return;
    for (const target of imports.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return found;
}

test('the test reads the imports of src', () => {
  assert.ok(imports.get('http/routes/table.ts')?.includes('http/routes/models.ts'));
  assert.ok(imports.get('http/run.ts')?.includes('claude/runner.ts'), 'imports of types are read');
});

test('src has no circular imports', () => {
  assert.deepEqual(cycles(), []);
});

test('no file under http imports the app: each handler names the parts that it uses', () => {
  assert.deepEqual(
    forbidden(
      (file) => file.startsWith('http/'),
      (target) => target === 'http/app.ts',
    ),
    [],
  );
});

test('no file under service imports a command', () => {
  assert.deepEqual(
    forbidden(
      (file) => file.startsWith('service/'),
      (target) => target.startsWith('commands/'),
    ),
    [],
  );
});

test('only the routes know which dialects there are', () => {
  assert.deepEqual(
    forbidden(
      (file) => file.startsWith('http/') && !file.startsWith('http/routes/'),
      (target) => /^dialects\/(?:anthropic|ollama|openai)\/|^dialects\/native\.ts$/.test(target),
    ),
    [],
  );
});
