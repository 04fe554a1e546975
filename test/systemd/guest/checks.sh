# The checks of a booted guest. Each line that begins with E2E is the outcome of one; the host reads them from the console.
# shellcheck shell=bash
# The console of a machine, or a file that a container's host reads.
if [ -e /etc/e2e-container ]; then exec >>/e2e.log 2>&1; else exec >/dev/ttyS0 2>&1; fi

state=/var/lib/e2e
user=me
port=18799
mkdir -p "$state"
export SYSTEMD_PAGER= LC_ALL=C.UTF-8

as_me() { runuser -l "$user" -c "$1"; }
systemctl_me() { systemctl --user --machine="$user@.host" "$@" 2>/dev/null || as_me "XDG_RUNTIME_DIR=/run/user/$(id -u "$user") systemctl --user $*"; }
property() { systemctl_me show claude-relay.service --property="$1" --value; }
ok() { echo "E2E ok $1"; }
bad() {
  echo "E2E FAIL $1"
  echo "${2-}" | tail -n 40 | sed 's/^/E2E |  /'
  as_me "journalctl --user --unit claude-relay --lines 30 --output cat --no-pager" 2>&1 | cut -c1-300 | sed 's/^/E2E |  /'
}
is() { if [ "$2" = "$3" ]; then ok "$1 ($2)"; else bad "$1: it is '$2', expected '$3'"; fi; }
ready() { curl -s -m 20 "http://127.0.0.1:$port/ready" | grep -q '^{"ok":true'; }
until_ready() { for _ in $(seq 600); do ready && return 0; sleep 1; done; return 1; }
key() { cat "$state/key"; }
complete() {
  curl -s -m 300 -o "$state/answer" -w '%{http_code}' "http://127.0.0.1:$port/v1/complete" -H "authorization: Bearer $(key)" \
    -H 'content-type: application/json' -d '{"prompt":"Say hello."}'
}
used() {
  curl -s -m 60 "http://127.0.0.1:$port/v1/usage" -H "authorization: Bearer $(key)" >"$state/usage"
  "${node:-node}" -p "JSON.parse(require('fs').readFileSync('$state/usage', 'utf8')).limits.key_daily.used"
}
sealed() {
  curl -s -m 20 "http://127.0.0.1:$port/ready" >"$state/ready"
  "${node:-node}" -p "JSON.parse(require('fs').readFileSync('$state/ready', 'utf8')).seal.$1"
}
