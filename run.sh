#!/bin/sh
# Starts the relay in the foreground; installs what is missing first. `./run.sh --demo` needs no login and no internet.
set -eu
cd "$(dirname "$0")"

fail() {
  echo "claude-relay: $1" >&2
  exit 1
}

command -v npm >/dev/null 2>&1 || fail "Node.js 20 or newer with npm is needed, and there is no npm on PATH. See https://nodejs.org"
major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
[ "$major" -ge 20 ] || fail "Node.js 20 or newer is needed; this machine has $(node -v 2>/dev/null || echo none). See https://nodejs.org"

demo=no
for argument in "$@"; do
  [ "$argument" = --demo ] && demo=yes
done

# A Node of version 24 or newer is enough to run; an older one fetches its own with the development packages, and the demo needs its CLI.
if [ "$major" -ge 24 ] && [ "$demo" = no ]; then
  needed=node_modules/hono
  packages=--omit=dev
else
  needed=node_modules/.bin/node
  packages=--include=dev
fi
if [ ! -e "$needed" ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "claude-relay: installing its packages (once) ..." >&2
  npm ci --no-audit --no-fund --loglevel=error "$packages" >&2 || fail "npm ci failed; the lines above say why."
fi

exec bin/claude-relay serve "$@"
