/** The known parameters of a request that have no effect, for `x-relay-ignored-params`. Pure. */
import { parametersWithoutEffect, type ResponsesRequest } from './request.ts';

/** Values that ask for what happens anyway. */
const asksNothing: Readonly<Record<string, (value: unknown) => boolean>> = {
  frequency_penalty: (value) => value === 0,
  include: (value) => (value as string[]).every((each) => each === 'reasoning.encrypted_content'),
  presence_penalty: (value) => value === 0,
  service_tier: (value) => value === 'auto' || value === 'default',
  store: (value) => value === false,
  truncation: (value) => value === 'disabled',
};

/** Adds to `ignored` what the relay knows of `request` and does not use. */
export function noteParameters(request: ResponsesRequest, ignored: Set<string>): void {
  const used: Record<string, unknown> = request;
  for (const name of Object.keys(parametersWithoutEffect)) {
    if (name in used && asksNothing[name]?.(used[name]) !== true) ignored.add(name);
  }
  if ((request.text?.verbosity ?? 'medium') !== 'medium') ignored.add('text.verbosity');
  if (request.background === true && request.stream === true) ignored.add('background');
  if (request.stream_options?.include_obfuscation === true) ignored.add('stream_options.include_obfuscation');
}
