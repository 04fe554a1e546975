#!/bin/sh
# Installs missing packages and runs the relay in the foreground. `./run.sh --demo` needs no login and no internet.
set -eu
cd "$(dirname "$0")"

case ${1-} in -h | --help)
  cat <<'HELP'
usage: ./run.sh [--demo [--once]]

Runs the relay in the foreground until Ctrl-C. The first run installs its packages.

  --demo  no login, no internet: the real Claude Code, a stand-in for the model, canned answers
  --once  with --demo: make one call, then stop

Examples:
  ./run.sh --demo --once  # one call, from start to end
  ./run.sh                # for real, with Claude Code installed and logged in
HELP
  exit 0
  ;;
esac

demo=
for argument in "$@"; do
  [ "$argument" = --demo ] && demo=--demo
done
bin/packages $demo
exec bin/claude-relay serve "$@"
