#!/bin/sh
# Installs the relay as a service of this user, or upgrades it in place; ./install.sh --help says what else. The work is in `claude-relay install`.
set -eu
cd "$(dirname "$0")"

if [ -n "${SUDO_USER-}" ] && [ "${SUDO_USER-}" != root ]; then
  echo "claude-relay: Run this without sudo, as the user who is logged in to Claude Code: the service is that user's own." >&2
  exit 1
fi
bin/packages
exec bin/claude-relay install "$@"
