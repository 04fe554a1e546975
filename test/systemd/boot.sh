#!/bin/bash
# Boots a Debian system with systemd as PID 1, runs its /opt/e2e/run.sh after its model.service, and reports the checks in it.
#   boot.sh <name> <work directory> <the system's directory>
# E2E_VIA is kvm or container (or tcg, which is too slow for the proof); E2E_TIMEOUT is in seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=$1 dir=$2 tree=$3
timeout=${E2E_TIMEOUT:-7200}
via=${E2E_VIA:-$([ -w /dev/kvm ] && grep -qE '\b(vmx|svm)\b' /proc/cpuinfo && echo kvm || echo container)}
for program in $([ "$via" = container ] && echo unshare || echo qemu-system-x86_64 mke2fs); do
  command -v "$program" >/dev/null || { echo "e2e: $program is missing: apt-get install qemu-system-x86 e2fsprogs" >&2; exit 1; }
done
cat >"$tree/etc/systemd/system/e2e.service" <<'UNIT'
[Unit]
After=multi-user.target model.service systemd-logind.service
[Service]
ExecStart=/opt/e2e/run.sh
[Install]
WantedBy=multi-user.target
UNIT
chroot "$tree" systemctl enable --quiet e2e.service
echo e2e >"$tree/etc/hostname"
log=$dir/$suite.log
: >"$log"
started=$(date +%s)

# A virtual machine with KVM. Without KVM an emulated machine is too slow for the proof, whose processes get 15 s each:
# then a container in namespaces of this kernel, with its own PID 1, cgroups, network and users.
echo "e2e: booting $suite, via $via"
case $via in
container)
  touch "$tree/etc/e2e-container"
  # The root of its cgroups: what is below is the container's.
  group=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/claude-relay-e2e-$$
  mkdir "$group"
  while :; do
    code=0
    timeout "$timeout" sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$group" \
      unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --net --cgroup \
      test/systemd/container.sh "$tree" "$log" </dev/null >"$dir/container.out" 2>&1 || code=$?
    # The reboot(2) of another PID namespace than the first ends its PID 1: with SIGHUP for a reboot, with SIGINT for a power-off.
    [ "$code" = 129 ] || break
    echo "e2e: it reboots"
  done &
  ;;
kvm | tcg)
  kernel=$(ls "$tree"/boot/vmlinuz-* | tail -n 1)
  initrd=$(ls "$tree"/boot/initrd.img-* | tail -n 1)
  cp "$kernel" "$dir/vmlinuz"
  cp "$initrd" "$dir/initrd"
  rm -f "$dir/disk.img"
  mke2fs -q -t ext4 -d "$tree" "$dir/disk.img" 4G
  accelerator=$([ "$via" = kvm ] && echo kvm || echo tcg,thread=multi)
  cpu=${E2E_CPU:-$([ "$via" = kvm ] && echo host || echo Haswell-noTSX)}
  timeout "$timeout" qemu-system-x86_64 -accel "$accelerator" -cpu "$cpu" -smp 2 -m 3072 -display none -monitor none -serial "file:$log" -nic none \
    -drive "file=$dir/disk.img,if=virtio,format=raw,cache=unsafe" -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -append 'root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 systemd.log_level=notice' </dev/null &
  ;;
*) echo "e2e: E2E_VIA is kvm, tcg or container" >&2; exit 1 ;;
esac
machine=$!
end() {
  kill "$machine" 2>/dev/null || true
  if [ -n "${group-}" ]; then
    echo 1 >"$group/cgroup.kill" || true
    sleep 1
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  fi
}
trap end EXIT
told=0
while :; do
  alive=$(kill -0 "$machine" 2>/dev/null && echo yes || echo no)
  lines=$(grep -ao 'E2E .*' "$log" || true)
  count=$(printf '%s\n' "$lines" | grep -c 'E2E' || true)
  if [ "$count" -gt "$told" ]; then printf '%s\n' "$lines" | tail -n +$((told + 1)); fi
  told=$count
  if grep -aq 'Kernel panic' "$log"; then echo "e2e: the guest's kernel panicked" >&2; break; fi
  [ "$alive" = yes ] || break
  sleep 3
done
seconds=$(($(date +%s) - started))
passed=$(grep -ac 'E2E ok' "$log" || true)
failed=$(grep -ac 'E2E FAIL' "$log" || true)
echo "e2e: $suite: $passed ok, $failed failed, in $seconds s; the console is in $log"
[ "$failed" = 0 ] && grep -aq 'E2E done' "$log"
