/** A table of cases in one test: every row is checked, and the message lists each row that failed. */
import assert from 'node:assert/strict';

export async function checkRows<Row>(
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  check: (row: Row) => unknown,
  { atOnce = false } = {},
): Promise<void> {
  const failures: string[] = [];
  const checkOne = async (row: Row): Promise<void> => {
    try {
      await check(row);
    } catch (error) {
      failures.push(`${nameOf(row)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  assert.ok(rows.length > 0, 'there are no rows');
  if (atOnce) await Promise.all(rows.map(checkOne));
  else for (const row of rows) await checkOne(row);
  assert.ok(
    failures.length === 0,
    `${failures.length} of ${rows.length} rows failed:\n${failures.join('\n')}`,
  );
}
