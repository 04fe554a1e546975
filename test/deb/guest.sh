#!/bin/bash
# Runs in the booted guest, as a service of its PID 1: installs, upgrades and removes the package. One user's service is from
# `claude-relay install`, another's is the package's unit, and a third user runs no relay.
set -uo pipefail
. "$(dirname "$0")/checks.sh"
node=/opt/e2e/node
export DEBIAN_FRONTEND=noninteractive

as() { user=$1; port=$([ "$user" = me ] && echo 18799 || echo 18800); }
run() { if as_me "$1" >"$state/said" 2>&1; then ok "$1"; else bad "$1" "$(cat "$state/said")"; fi; }
said() { if grep -q -- "$1" "$state/said"; then ok "it says $1"; else bad "it does not say $1" "$(cat "$state/said")"; fi; }
apt_get() { if apt-get -qq -y "$@" >"$state/said" 2>&1; then ok "apt-get $*"; else bad "apt-get $*" "$(cat "$state/said")"; fi; }
pid() { property MainPID; }
until_other() { for _ in $(seq 600); do [ "$(pid)" != "$1" ] && [ "$(pid)" != 0 ] && return; sleep 1; done; }

echo "E2E $(. /etc/os-release && echo "$PRETTY_NAME"), $(systemctl --version | head -n 1), kernel $(uname -r)"
apt_get install /opt/e2e/old.deb
version=$(dpkg-query -f '${Version}' -W claude-relay)

as me
is 'its version' "$(as_me 'claude-relay --version')" "$version"
run 'claude-relay --help'
is 'its manual page' "$(as_me 'man -w claude-relay')" /usr/share/man/man1/claude-relay.1.gz
is 'the completion of bash' "$(as_me '. /usr/share/bash-completion/bash_completion; _comp_load claude-relay 2>/dev/null || _completion_loader claude-relay; complete -p claude-relay' | grep -c 'claude-relay$')" 1
is 'the completion of zsh' "$(as_me "zsh -fc 'autoload -Uz compinit; compinit -u -D; print \$_comps[claude-relay]'")" _claude-relay
is 'the completion of fish' "$(as_me "fish -c 'complete -C \"claude-relay serv\"'" | grep -c '^serve')" 1
run 'claude-relay serve --demo --once'
run 'claude-relay install --print'
said 'ExecStart=/bin/sh "/usr/lib/claude-relay/bin/claude-relay"'
run 'claude-relay install --wait 1200'
ready && ok 'it is ready when the install returns' || bad 'not ready'
is 'the seal' "$(sealed files)" bwrap
as_me 'claude-relay key create app' >"$state/key" 2>/dev/null
is 'a request' "$(complete)" 200
cp "$state/key" "$state/key-me"
mine=$(pid)

as you
loginctl enable-linger you other
sleep 5
systemctl_me enable --now claude-relay.service
until_ready && ok 'the unit of the package starts, without a directory of the relay' || bad 'the unit of the package'
is 'its unit' "$(property FragmentPath)" /usr/lib/systemd/user/claude-relay.service
is 'its directories' "$(stat -c %a:%U /home/you/.local/share/claude-relay /home/you/.cache/claude-relay | tr '\n' ' ')" '700:you 700:you '
is 'its seal' "$(sealed files)" bwrap
main=$(pid)
inside() { nsenter --target "$main" --mount -- runuser -u you -- sh -c "$1" 2>/dev/null && echo yes || echo no; }
is 'it can write its data' "$(inside 'touch ~you/.local/share/claude-relay/x && rm ~you/.local/share/claude-relay/x')" yes
is 'it cannot write the home' "$(inside 'touch ~you/x')" no
as_me 'claude-relay key create app' >"$state/key" 2>/dev/null
is 'a request to it' "$(complete)" 200
yours=$(pid)
# With an empty cache it starts again.
rm -r /home/you/.cache
systemctl_me restart claude-relay.service
until_ready && ok 'it starts without a cache' || bad 'without a cache'
yours=$(pid)

apt_get install /opt/e2e/new.deb
until_other "$yours"
until_ready && ok 'after the upgrade the unit of the package is ready' || bad 'not ready after the upgrade'
is 'the new version runs' "$(curl -s "http://127.0.0.1:$port/health" | grep -c 99.0.0)" 1
is 'its key is good after the upgrade' "$(complete)" 200
as me
cp "$state/key-me" "$state/key"
until_other "$mine"
until_ready && ok 'after the upgrade the unit of the user is ready' || bad 'not ready after the upgrade'
is 'the new version runs for it' "$(curl -s "http://127.0.0.1:$port/health" | grep -c 99.0.0)" 1
is 'its key is good after the upgrade' "$(complete)" 200
is 'its count survived the upgrade' "$(used)" 2
as other
is 'who ran none runs none' "$(property ActiveState)" inactive

as you
run 'claude-relay install --wait 1200'
is 'an install replaces the unit of the package' "$(property FragmentPath)" /home/you/.config/systemd/user/claude-relay.service
run 'claude-relay install --uninstall'
is 'an uninstall leaves the unit of the package' "$(property FragmentPath)" /usr/lib/systemd/user/claude-relay.service
is 'which does not run' "$(property ActiveState) $(property UnitFileState)" 'inactive disabled'
# What a kernel does that gives an ordinary user no namespaces.
manager=user@$(id -u you).service
mkdir -p "/run/systemd/system/$manager.d"
printf '[Service]\nRestrictNamespaces=~user\n' >"/run/systemd/system/$manager.d/none.conf"
systemctl daemon-reload
systemctl restart "$manager"
systemctl_me start claude-relay.service
as_me 'journalctl --user --unit claude-relay --no-pager' | grep -q 'Run: claude-relay install' && ok 'without namespaces the unit of the package says what to do' || bad 'without namespaces'
systemctl_me stop claude-relay.service

as me
apt_get remove claude-relay
is 'a removal stops the relay' "$(property MainPID) $(pgrep -u me -f -c /usr/lib/claude-relay)" '0 0'
is 'the data stays' "$(ls /home/me/.local/share/claude-relay/relay.db | wc -l)" 1
is 'a removal is a purge: there is no configuration' "$(dpkg-query -W claude-relay 2>/dev/null)" ''
is 'nothing is left' "$(ls -d /usr/lib/claude-relay /usr/bin/claude-relay /etc/*claude* /var/lib/*claude* 2>/dev/null | wc -l)" 0
echo 'E2E done'
systemctl poweroff
