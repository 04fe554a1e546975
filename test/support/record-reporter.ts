/** A reporter for `test/run.ts`: one line of JSON for each test. Suites are left out, unless they were skipped. */
import type { TestEvent } from 'node:test/reporters';

export type TestRecord = {
  /** `end`: the file ran to its end. */
  type: 'start' | 'pass' | 'fail' | 'skip' | 'end';
  /** With the names of the suites around it. */
  name: string;
  ms: number;
  /** Why it was skipped. */
  reason?: string;
};

// oxlint-disable-next-line import/no-default-export -- Node.js looks for the default export.
export default async function* records(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const names: string[] = [];
  for await (const event of source) {
    const record = recordOf(event, names);
    if (record !== undefined) yield `${JSON.stringify(record)}\n`;
  }
  yield `${JSON.stringify({ type: 'end', name: '', ms: 0 } satisfies TestRecord)}\n`;
}

/** `names` is the path to the test that started last. */
function recordOf(event: TestEvent, names: string[]): TestRecord | undefined {
  if (event.type === 'test:start') {
    names.length = event.data.nesting;
    names.push(event.data.name);
    return { type: 'start', name: names.join(' > '), ms: 0 };
  }
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined;
  const { name, nesting, skip, details } = event.data;
  const path = [...names.slice(0, nesting), name].join(' > ');
  const ms = details.duration_ms;
  if (skip !== undefined && skip !== false)
    return { type: 'skip', name: path, ms, ...(typeof skip === 'string' ? { reason: skip } : {}) };
  if (event.type === 'test:fail') {
    return isOfSubtests(event.data.details.error) ? undefined : { type: 'fail', name: path, ms };
  }
  return details.type === 'suite' ? undefined : { type: 'pass', name: path, ms };
}

/** A suite that failed because of a test in it; the test is reported itself. */
function isOfSubtests(error: object): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed';
}
