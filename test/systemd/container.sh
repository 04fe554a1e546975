#!/bin/bash
# PID 1 of new namespaces (unshare): gives them a separate root and runs its systemd.
#   container.sh <tree> <file for the console>
set -euo pipefail
tree=$1 console=$2
mount --bind "$tree" "$tree"
mount -t proc -o nosuid,nodev,noexec proc "$tree/proc"
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$tree/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$tree/sys/fs/cgroup"
# What the host's kernel has one of is not this system's to change.
mount --bind "$tree/proc/sys" "$tree/proc/sys"
mount -o remount,bind,ro "$tree/proc/sys"
# A user namespace gets its own /proc only where a whole one is in sight.
mount -t proc -o nosuid,nodev,noexec proc "$tree/proc/driver"
[ ! -e "$tree/proc/sysrq-trigger" ] || mount --bind /dev/null "$tree/proc/sysrq-trigger"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$tree/dev"
for device in null zero full random urandom tty; do
  touch "$tree/dev/$device"
  mount --bind "/dev/$device" "$tree/dev/$device"
done
mkdir "$tree/dev/pts" "$tree/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$tree/dev/pts"
ln -s pts/ptmx "$tree/dev/ptmx"
mount -t tmpfs -o nosuid,nodev tmpfs "$tree/dev/shm"
ln -s /proc/self/fd "$tree/dev/fd"
touch "$tree/e2e.log"
mount --bind "$console" "$tree/e2e.log"
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$tree/run"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$tree/tmp"
ip link set lo up
hostname e2e
cd "$tree"
mkdir -p .old
pivot_root . .old
umount -l /.old
exec env -i container=e2e PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-syslog,-mknod /sbin/init --log-target=journal --show-status=no
