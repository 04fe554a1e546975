/**
 * The same meaning as a profile for `sandbox-exec` of macOS. It was never run on a Mac: nothing uses it yet, and a relay there reports that it has no seal.
 * Pure.
 */
import type { Places } from './files.ts';

export type SandboxOptions = {
  places: Places;
  /** The process's directory. */
  own: string;
  /** Of its valve, on loopback. */
  port: number;
};

/** A later rule wins over an earlier one. */
export function sandboxProfile({ places, own, port }: SandboxOptions): string {
  const rule = (verdict: 'allow' | 'deny', operations: string, paths: readonly string[]): string[] =>
    paths.length === 0
      ? []
      : [`(${verdict} ${operations}${paths.map((path) => ` (subpath ${quoted(path)})`).join('')})`];
  return [
    '(version 1)',
    '(deny default)',
    // What the loader of each program needs.
    '(import "system.sb")',
    '(allow process-fork process-exec)',
    '(allow signal (target same-sandbox))',
    ...rule('allow', 'file-read*', places.read),
    ...rule('allow', 'file-read* file-write*', [...places.write, own]),
    ...rule('deny', 'file-write*', places.read),
    ...rule('deny', 'file-read* file-write*', places.hidden),
    `(allow network-outbound (remote ip "localhost:${port}"))`,
    '',
  ].join('\n');
}

function quoted(path: string): string {
  return `"${path.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
