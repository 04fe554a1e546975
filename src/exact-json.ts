/**
 * JSON whose numbers are written again as they stood. What a model says is read and told again, and a double would change it on the way:
 * the digits of a 64-bit id, or 1.0, which is not 1 everywhere. Pure.
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

function keepNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return String(value) === context.source ? value : rawJSON(context.source);
}
