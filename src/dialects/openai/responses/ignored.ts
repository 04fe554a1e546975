/** What a request sends that has no effect, for `x-relay-ignored-params`. Pure. */
import type { z } from 'zod';
import {
  parametersWithoutEffect,
  reasoningParameter,
  responsesRequest,
  textParameter,
  type ResponsesRequest,
} from './request.ts';

/** A header has room for so many names; callers choose their number and length. */
const mostNames = 40;

export class Ignored {
  readonly #names = new Set<string>();

  /** A name that cannot stand in a header is written with question marks. */
  add(name: string): void {
    if (this.#names.size < mostNames) this.#names.add(name.slice(0, 80).replaceAll(/[^\w.-]/g, '?'));
  }

  /** The fields of `value` that `schema` does not know. Null means absent. */
  addUnknown(value: object, schema: z.ZodObject, prefix = ''): void {
    for (const [name, field] of Object.entries(value)) {
      if (field !== null && field !== undefined && !Object.hasOwn(schema.shape, name))
        this.add(prefix + name);
    }
  }

  list(): string[] {
    return [...this.#names];
  }
}

/** Values that ask for what happens anyway. */
const asksNothing: Readonly<Record<string, (value: unknown) => boolean>> = {
  frequency_penalty: (value) => value === 0,
  include: (value) => (value as string[]).every((each) => each === 'reasoning.encrypted_content'),
  presence_penalty: (value) => value === 0,
  service_tier: (value) => value === 'auto' || value === 'default',
  store: (value) => value === false,
  truncation: (value) => value === 'disabled',
};

/** `body` is the request as it came, `request` its parameters. */
export function noteParameters(body: object, request: ResponsesRequest, ignored: Ignored): void {
  ignored.addUnknown(body, responsesRequest);
  const used: Record<string, unknown> = request;
  for (const name of Object.keys(parametersWithoutEffect)) {
    if (name in used && asksNothing[name]?.(used[name]) !== true) ignored.add(name);
  }
  const { reasoning, text } = body as { reasoning?: object | null; text?: object | null };
  ignored.addUnknown(reasoning ?? {}, reasoningParameter, 'reasoning.');
  ignored.addUnknown(text ?? {}, textParameter, 'text.');
  if ((request.text?.verbosity ?? 'medium') !== 'medium') ignored.add('text.verbosity');
  if (request.background === true && request.stream === true) ignored.add('background');
  if (request.stream_options?.include_obfuscation === true) ignored.add('stream_options.include_obfuscation');
}
