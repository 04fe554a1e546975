import type { AnswerFacts } from './dialect.ts';

export type Given<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], null | undefined> };

/** The fields that have a value. For a dialect, null means absent; the CLI must get neither. */
export function given<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  ) as Given<Fields>;
}

/** The field with which every API says that a fallback answered; none otherwise. */
export function fallbackField({ fallbackFrom }: AnswerFacts): { fallback_from?: string } {
  return given({ fallback_from: fallbackFrom });
}
