/** The user unit of the Debian package: what `claude-relay install` writes, for the default settings of any user. */
import { loadConfig } from '../../src/config.ts';
import { relayUnit } from '../../src/service/relay-unit.ts';

/** A path with a specifier for a root, of which the unit's quoting makes `/%%h`. */
const home = '/%h';
const cacheDir = '/%C/claude-relay';

/** `claude-relay install` leaves out what needs namespaces. Nothing fits this unit to the machine, so it says why it does not start. */
const requireNamespaces = `ExecStartPre=+/bin/sh -c 'unshare --user --mount true || { echo "This machine gives no namespaces to ordinary users. Run: claude-relay install" >&2; exit 1; }'\n`;

export function packagedUnit(): string {
  const environment = {
    // Claude Code's installer puts the CLI into the first.
    PATH: `${home}/.local/bin:/usr/local/bin:/usr/bin:/bin`,
    NODE_COMPILE_CACHE: cacheDir,
  };
  const host = {
    root: '/usr/lib/claude-relay',
    file: '/%E/claude-relay/config.env',
    home,
    environment,
    cacheDir,
  };
  // A version before 253: the line for the manager's socket cannot hold a specifier.
  const systemd = { version: 252, environment: {}, namespaces: true, lingerEnabled: false };
  return relayUnit({ config: loadConfig({ env: { HOME: home } }), host }, systemd)
    .replaceAll(/\/%%(?=[hCE]\/)/g, '%')
    .replace(/^StartLimitIntervalSec=/m, 'Documentation=man:claude-relay(1)\n$&')
    .replace(/^ExecStartPre=/m, `${requireNamespaces}$&`);
}
