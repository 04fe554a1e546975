/** What a process prints that shows that the lock does not hold, in a turn or while it waits. Pure. */
import type { CliEvent } from './protocol.ts';

export type Breach = {
  /**
   * `hook`: a hook ran, which only an administrator's settings can start. `listing`: the process lists what the relay did not put
   * there. `version`: it is another program than the one that was proved.
   */
  kind: 'hook' | 'listing' | 'version';
  /** Each finding, such as `tools: Bash`. */
  found: readonly string[];
};

/** `provedVersion` is what the CLI reported in the proof; undefined: any version will do. */
export function breachIn(event: CliEvent, provedVersion: string | undefined): Breach | undefined {
  if (event.kind === 'hook') return { kind: 'hook', found: [event.name] };
  if (event.kind !== 'init') return undefined;
  const found = unexpectedInInit(event.init);
  if (found.length > 0) return { kind: 'listing', found };
  const { claude_code_version: version } = event.init;
  if (provedVersion === undefined || version === provedVersion) return undefined;
  return { kind: 'version', found: [`version ${version.slice(0, 40)}, proved ${provedVersion}`] };
}

/**
 * Everything in a `system/init` event that the relay did not put there, such as `tools: Bash`; empty when the lock holds.
 * A field of the wrong shape is unexpected, too: a build that moved the list must not pass for one that has none.
 */
export function unexpectedInInit(init: Readonly<Record<string, unknown>>): string[] {
  const { messaging_socket_path: socket } = init;
  return [
    ...unlisted('tools', init['tools']),
    ...unlisted('mcp_servers', init['mcp_servers']),
    ...unlisted('skills', init['skills'] ?? []),
    ...unlisted('slash_commands', init['slash_commands'] ?? []),
    ...unlisted('plugins', init['plugins'] ?? [], isBuiltinPlugin),
    // Its text would go to the model. Absent and null mean none.
    ...unlisted('output_style', [init['output_style'] ?? 'default'], isDefault),
    ...unlisted('permissionMode', [init['permissionMode'] ?? 'default'], isDefault),
    ...unlisted('messaging_socket_path', socket === undefined ? [] : [socket]),
  ];
}

function isDefault(value: unknown): boolean {
  return value === 'default';
}

/** Plugins that are compiled into the CLI (2.1.330 lists three) do not come from a file of the host. */
function isBuiltinPlugin(plugin: unknown): boolean {
  return typeof plugin === 'object' && plugin !== null && 'path' in plugin && plugin.path === 'builtin';
}

function unlisted(
  field: string,
  listed: unknown,
  isKnown: (item: unknown) => boolean = () => false,
): string[] {
  if (!Array.isArray(listed)) return [`${field}: not a list`];
  return listed
    .filter((item) => !isKnown(item))
    .slice(0, 5)
    .map((item) => `${field}: ${(typeof item === 'string' ? item : JSON.stringify(item)).slice(0, 80)}`);
}
