#!/bin/bash
# Runs in the booted guest, as a service of its PID 1: installs the relay as a plain user, and does to it what happens to services.
set -uo pipefail
. "$(dirname "$0")/checks.sh"

checkout=/home/me/claude-relay
phase=$(cat "$state/phase" 2>/dev/null || echo 1)

install() { as_me "cd claude-relay && ./install.sh --wait 1200 $1" >"$state/said" 2>&1; }

echo "E2E phase $phase: $(systemctl --version | head -n 1), kernel $(uname -r)"
is 'PID 1 is systemd' "$(cat /proc/1/comm)" systemd

if [ "$phase" = 1 ]; then
  if install ''; then ok 'install.sh as a plain user'; else bad 'install.sh' "$(cat "$state/said")"; fi
  sed 's/^/E2E |  /' "$state/said"
  ready && ok 'it is ready when install.sh returns' || bad 'not ready'
  is 'the service is active' "$(property ActiveState)" active
  is 'its status, by sd_notify' "$(property StatusText)" ready
  is 'lingering' "$(loginctl show-user me --property=Linger --value)" yes
  echo "E2E note NotifyAccess=$(property NotifyAccess) MemoryMax=$(property MemoryMax) TasksMax=$(property TasksMax) WatchdogUSec=$(property WatchdogUSec)"

  is 'its processes are sealed from the network' "$(sealed network)" namespace
  is 'its processes are sealed from files' "$(sealed files)" bwrap
  as_me 'cd claude-relay && bin/claude-relay doctor' | grep -E '(^| )(seal|lock/sealed|relay/seal)' | sed 's/^/E2E |  /'

  main=$(property MainPID)
  is 'NoNewPrivs' "$(awk '/^NoNewPrivs/ {print $2}' "/proc/$main/status")" 1
  is 'a system call filter' "$(awk '/^Seccomp:/ {print $2}' "/proc/$main/status")" 2
  is 'no capability' "$(awk '/^Cap(Prm|Eff|Bnd)/ {print $2}' "/proc/$main/status" | sort -u | tr -d '\n')" 0000000000000000
  is 'its own user namespace' "$([ "$(readlink "/proc/$main/ns/user")" != "$(readlink /proc/1/ns/user)" ] && echo yes)" yes
  inside() { nsenter --target "$main" --mount -- runuser -u me -- sh -c "$1" 2>/dev/null && echo yes || echo no; }
  is 'it can write its data' "$(inside 'touch ~me/.local/share/claude-relay/x && rm ~me/.local/share/claude-relay/x')" yes
  is 'it cannot write the checkout' "$(inside 'touch /home/me/claude-relay/x')" no
  is 'it cannot write the home' "$(inside 'touch /home/me/x')" no
  is 'it can renew its login' "$(inside 'touch /home/me/.claude/x && rm /home/me/.claude/x')" yes
  is 'it does not see ~/.ssh' "$(inside 'cat /home/me/.ssh/id_test')" no
  is 'the control: without its namespace ~/.ssh is there' "$(runuser -u me -- cat /home/me/.ssh/id_test)" secret

  as_me 'cd claude-relay && bin/genkey app' >"$state/key" 2>/dev/null
  is 'a request' "$(complete)" 200
  is 'it is counted' "$(used)" 1

  kill -9 "$main"
  sleep 2
  until_ready && ok 'killed with SIGKILL, it came back' || bad 'it did not come back'
  is 'restarted' "$(property NRestarts)" 1
  is 'another process' "$([ "$(property MainPID)" != "$main" ] && echo yes)" yes
  is 'the key is good after the kill' "$(complete)" 200
  is 'the count survived the kill' "$(used)" 2

  kill -STOP "$(property MainPID)"
  sleep 200
  until_ready && ok 'hung, it was ended by the watchdog and came back' || bad 'the watchdog did not help'
  is 'restarted by the watchdog' "$(property NRestarts)" 2
  as_me "journalctl --user --unit claude-relay --no-pager" | grep -qi 'watchdog timeout' && ok 'the journal names the watchdog' || bad 'no word of the watchdog'

  sed -i 's/9911/9912/' /home/me/.config/systemd/user/claude-relay.service.d/model.conf
  systemctl_me daemon-reload
  systemctl_me restart claude-relay.service
  until_ready
  group=/sys/fs/cgroup$(property ControlGroup)
  complete >"$state/slow" &
  request=$!
  sleep 6
  running=$([ "$(wc -l <"$group/cgroup.procs")" -gt 1 ] && echo yes)
  systemctl_me stop claude-relay.service
  wait "$request"
  is 'a request that runs at the stop is finished' "$(cat "$state/slow")" 200
  is 'the control: while it ran there was something' "$running" yes
  is 'nothing of the service is left' "$(cat "$group/cgroup.procs" 2>/dev/null | wc -l)" 0
  is 'it stopped by itself' "$(property Result)" success
  sed -i 's/9912/9911/' /home/me/.config/systemd/user/claude-relay.service.d/model.conf

  echo "say('this is the next version');" >>"$checkout/src/commands/serve.ts"
  if install ''; then ok 'upgraded in place'; else bad 'the upgrade' "$(cat "$state/said")"; fi
  as_me "journalctl --user --unit claude-relay --no-pager" | grep -q 'this is the next version' && ok 'the new code runs' || bad 'the old code runs'
  is 'the key is good after the upgrade' "$(complete)" 200
  is 'the count survived the upgrade' "$(used)" 4

  # What a kernel does that gives an ordinary user no namespaces.
  manager=user@$(id -u me).service
  mkdir -p "/run/systemd/system/$manager.d"
  printf '[Service]\nRestrictNamespaces=~user\n' >"/run/systemd/system/$manager.d/none.conf"
  systemctl daemon-reload
  systemctl restart "$manager"
  if install '' && grep -q 'does not give namespaces' "$state/said"; then ok 'without user namespaces it says so and runs'; else bad 'without user namespaces' "$(cat "$state/said")"; fi
  is 'a request without namespaces' "$(complete)" 200
  is 'without namespaces it reports that there is no seal' "$(sealed network) $(sealed files)" 'none none'
  rm -r "/run/systemd/system/$manager.d"
  systemctl daemon-reload
  systemctl restart "$manager"
  if install '' && ! grep -q 'does not give namespaces' "$state/said"; then ok 'and with them again'; else bad 'with them again' "$(cat "$state/said")"; fi

  echo 2 >"$state/phase"
  used >"$state/used"
  sync
  echo 'E2E reboot'
  systemctl reboot
  exit
fi

until_ready && ok 'after the reboot it is ready, with nobody logged in, at the same port' || bad 'not ready after the reboot'
is 'nobody is logged in' "$(who | wc -l)" 0
is 'the count survived the reboot' "$(used)" "$(cat "$state/used")"
is 'the key is good after the reboot' "$(complete)" 200

if install --uninstall; then ok 'uninstalled'; else bad 'uninstall' "$(cat "$state/said")"; fi
sed 's/^/E2E |  /' "$state/said"
is 'nothing answers' "$(curl -s -o /dev/null "http://127.0.0.1:$port/health"; echo $?)" 7
is 'lingering is off again' "$([ -e /var/lib/systemd/linger/me ] && echo on || echo off)" off
is 'the unit is gone' "$(ls /home/me/.config/systemd/user/claude-relay.service 2>/dev/null | wc -l)" 0
is 'the data is there' "$(ls /home/me/.local/share/claude-relay/relay.db 2>/dev/null | wc -l)" 1
echo 'E2E done'
systemctl poweroff
