#!/bin/sh
# Installs the relay as a service of this user, or upgrades it in place. `claude-relay install` does the work.
set -eu
cd "$(dirname "$0")"

case ${1-} in -h | --help)
  cat <<'HELP'
usage: ./install.sh [--uninstall [--purge]] [--print] [--wait <seconds>]

Installs the relay as a service of this user, without root, or upgrades it in place. Keys, usage and settings stay.

  --uninstall  stop and remove the service and its tunnels; keys, usage and settings stay
  --purge      with --uninstall: also remove keys and usage
  --print      print the unit file (macOS: the property list) and change nothing
  --wait       seconds to wait until the relay is ready (default: 180)

Examples:
  ./install.sh              # install; also after git pull or a change in config.env
  ./install.sh --uninstall  # uninstall it
HELP
  exit 0
  ;;
esac

if [ -n "${SUDO_USER-}" ] && [ "${SUDO_USER-}" != root ]; then
  echo "claude-relay: run this without sudo, as the user who is logged in to Claude Code. The service belongs to that user." >&2
  exit 1
fi
bin/packages
exec bin/claude-relay install "$@"
