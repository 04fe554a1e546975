/**
 * JSON whose numbers are written again as they stood. What a model says is read and told again, and a double would change it on the way:
 * the digits of a 64-bit id, or 1.0, which is not 1 everywhere.
 */

/** Of the standard, and not yet in TypeScript's library. */
const { rawJSON } = JSON as unknown as { rawJSON: (source: string) => object };

/** Numbers that would be written in another way are objects which only `JSON.stringify` understands; everything else is as usual. */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, keepNumber);
}

/** With all numbers as numbers. */
export function withoutExactNumbers(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

const written = new WeakMap<object, string>();

/** Remembers the text that an object was read from, whole JSON or not; `writtenAs` gives it back as long as the object lives. */
export function rememberText<T extends object>(value: T, text: string): T {
  written.set(value, text);
  return value;
}

/** An object as it was written, where that is remembered; anything else as JSON. */
export function writtenAs(value: object): string {
  return written.get(value) ?? JSON.stringify(value);
}

function keepNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return String(value) === context.source ? value : rawJSON(context.source);
}
