/** What a process prints that shows that the lock does not hold, in a turn or while it waits. Pure. */
import { unexpectedInInit } from './lock.ts';
import type { CliEvent } from './protocol.ts';

export type Breach = {
  /**
   * `hook`: a hook ran, which only an administrator's settings can start. `listing`: the process lists what the relay did not put there.
   * `version`: it is another program than the one that was proved.
   */
  kind: 'hook' | 'listing' | 'version';
  /** Each finding, such as `tools: Bash`. */
  found: readonly string[];
};

/** `provedVersion` is what the CLI said in the proof; undefined when nothing is proved, and then no version is another. */
export function breachIn(event: CliEvent, provedVersion: string | undefined): Breach | undefined {
  if (event.kind === 'hook') return { kind: 'hook', found: [event.name] };
  if (event.kind !== 'init') return undefined;
  const found = unexpectedInInit(event.init);
  if (found.length > 0) return { kind: 'listing', found };
  const { claude_code_version: version } = event.init;
  if (provedVersion === undefined || version === provedVersion) return undefined;
  return { kind: 'version', found: [`version ${version.slice(0, 40)}, proved ${provedVersion}`] };
}
