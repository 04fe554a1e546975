#!/bin/sh
# Installs the relay as a service of this user, or upgrades it in place. The work is in `claude-relay install`.
set -eu
cd "$(dirname "$0")"

case ${1-} in -h | --help)
  cat <<'HELP'
usage: ./install.sh [--uninstall [--purge]] [--print] [--wait <seconds>]

Installs the relay as a service of this user, without root, or upgrades it in place; keys, usage and settings stay.

  --uninstall  stop the service and remove what an install made; keys, usage and settings stay
  --purge      with --uninstall: remove keys and usage, too
  --print      only print the unit file (macOS: the property list) that would be written
  --wait       how long to wait until the relay is ready, 180 seconds otherwise

Examples:
  ./install.sh              # install; also after git pull, or a change of config.env
  ./install.sh --uninstall  # take it away again
HELP
  exit 0
  ;;
esac

if [ -n "${SUDO_USER-}" ] && [ "${SUDO_USER-}" != root ]; then
  echo "claude-relay: Run this without sudo, as the user who is logged in to Claude Code: the service is that user's own." >&2
  exit 1
fi
bin/packages
exec bin/claude-relay install "$@"
