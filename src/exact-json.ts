/** JSON that a model wrote, written again as it was read: as doubles, the digits of a 64-bit id would change, and 1.0 become 1. */

/** Standard, but not yet in TypeScript's library. */
const { rawJSON } = JSON as unknown as { rawJSON: (source: string) => object };

/** For `JSON.stringify` only: a number that it would write in another way becomes an object that only it understands. */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    if (typeof value !== 'number' || context?.source === undefined) return value;
    return String(value) === context.source ? value : rawJSON(context.source);
  });
}

/** A JSON value that the model wrote, with its source text. `JSON.stringify` writes its numbers to the digit. */
export class WrittenJson {
  readonly text: string;
  readonly #exact: unknown;

  /** `instead` is the value when the text was cut off. Without it, such a text throws SyntaxError. */
  constructor(text: string, instead?: unknown) {
    this.text = text;
    this.#exact = instead ?? parseExactly(text);
  }

  /** The value with all numbers as doubles. */
  get value(): unknown {
    return JSON.parse(JSON.stringify(this));
  }

  toJSON(): unknown {
    return this.#exact;
  }
}

/** The source text of a value that the model wrote; the JSON of any other. */
export function writtenAs(value: object): string {
  return value instanceof WrittenJson ? value.text : JSON.stringify(value);
}
