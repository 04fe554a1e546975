#!/bin/bash
# Builds the Debian package, and installs, upgrades, removes and purges it: in a chroot, and in a booted Debian with relays of two users.
#   npm run e2e:deb [-- <suite>]     suite: trixie (Debian 13, the default) or bookworm (12)
# Needs root, about 6 GB of disk, npm and Debian's packages, and mmdebstrap; ten minutes and the download.
# E2E_DIR keeps the downloads; E2E_DEB is a package that is already built; test/systemd/boot.sh has more.
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=${1:-trixie}
dir=${E2E_DIR:-${TMPDIR:-/tmp}/claude-relay-e2e}
command -v mmdebstrap >/dev/null || { echo "e2e: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "e2e: building the image needs root" >&2; exit 1; }
[ -x node_modules/.bin/node ] || { echo "e2e: run npm ci first" >&2; exit 1; }
mkdir -p "$dir"

base=$dir/deb-$suite.tar
if [ ! -e "$base" ]; then
  packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,polkitd,linux-image-cloud-amd64,initramfs-tools,procps,curl,ca-certificates,iproute2
  packages+=,bubblewrap,man-db,bash-completion,zsh,fish,lintian
  mmdebstrap --format=tar --variant=minbase --include="$packages" "$suite" "$base.new" "${E2E_MIRROR:-http://deb.debian.org/debian}"
  mv "$base.new" "$base"
fi

deb=${E2E_DEB:-$(node_modules/.bin/node packaging/deb/build.ts --arch amd64 --out "$dir/deb")}
echo "e2e: $deb: $(($(stat -c %s "$deb") / 1048576)) MiB, installed $(($(dpkg-deb -f "$deb" Installed-Size) / 1024)) MiB"

tree=$dir/deb-tree
rm -rf "$tree"
mkdir -p "$tree"
tar -xf "$base" -C "$tree" --numeric-owner
mkdir -p "$tree/opt/e2e"
cp "$deb" "$tree/opt/e2e/old.deb"
# The same package with a higher version.
next=$dir/deb-next
rm -rf "$next"
dpkg-deb --raw-extract "$deb" "$next"
sed -i 's/^Version: .*/Version: 99.0.0/' "$next/DEBIAN/control"
sed -i 's/^  "version": .*/  "version": "99.0.0",/' "$next/usr/lib/claude-relay/package.json"
dpkg-deb --root-owner-group -Znone --build "$next" "$tree/opt/e2e/new.deb" >/dev/null
rm -rf "$next"

echo "e2e: a chroot of $suite, without a running systemd"
fail() { echo "e2e: FAIL $1" >&2; exit 1; }
chroot "$tree" lintian --allow-root --fail-on error,warning /opt/e2e/old.deb || fail 'lintian'
# What apt, dpkg and the triggers of man-db keep about any package.
files() { chroot "$tree" find / -xdev \( -path /opt -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log -o -path /var/cache -o -path /root \) -prune -o -print | sort; }
apt_get() { chroot "$tree" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y "$@" </dev/null >"$dir/apt.out" 2>&1 || { cat "$dir/apt.out" >&2; fail "apt-get $*"; }; }
files >"$dir/files-before"
added() { comm -13 "$dir/files-before" -; }
apt_get install /opt/e2e/old.deb
chroot "$tree" claude-relay --version >/dev/null
diff <(files | added) <(chroot "$tree" dpkg -L claude-relay | sed 's,^/\.$,/,' | sort | added) || fail 'the package and its first start leave a file that dpkg does not know'
apt_get install /opt/e2e/new.deb
[ "$(chroot "$tree" claude-relay --version)" = 99.0.0 ] || fail 'the upgrade leaves the old version'
apt_get purge claude-relay
diff "$dir/files-before" <(files) || fail 'the purge leaves files'
rm -rf "$tree/root/.cache"
echo 'e2e: lintian finds no error or warning; installed, upgraded and purged'

for user in me you other; do
  chroot "$tree" useradd --create-home --shell /bin/bash "$user"
  mkdir -p "$tree/home/$user/.config/systemd/user/claude-relay.service.d" "$tree/home/$user/.config/claude-relay"
  printf '[Service]\nEnvironment=ANTHROPIC_BASE_URL=http://127.0.0.1:9911\n' >"$tree/home/$user/.config/systemd/user/claude-relay.service.d/model.conf"
  printf 'PORT=%s\nADMIN_PORT=0\nANTHROPIC_API_KEY=sk-ant-stub\nLOG_LEVEL=info\n' "$([ "$user" = me ] && echo 18799 || echo 18800)" >"$tree/home/$user/.config/claude-relay/config.env"
  chmod 600 "$tree/home/$user/.config/claude-relay/config.env"
  chroot "$tree" chown -R "$user:$user" "/home/$user"
done
for user in me you; do
  install -d -o "$(stat -c %u "$tree/home/$user")" -g "$(stat -c %g "$tree/home/$user")" "$tree/home/$user/.local" "$tree/home/$user/.local/bin"
  ln -s /opt/e2e/claude "$tree/home/$user/.local/bin/claude"
  echo 'PATH="$HOME/.local/bin:$PATH"' >>"$tree/home/$user/.profile"
done
cp --dereference node_modules/@anthropic-ai/claude-code/bin/claude.exe "$tree/opt/e2e/claude"
cp test/systemd/guest/checks.sh "$tree/opt/e2e/"
cp test/deb/guest.sh "$tree/opt/e2e/run.sh"
# The stand-in model, which runs with the package's Node.
mkdir -p "$tree/opt/e2e/checkout/node_modules"
cp -r --parents src test/support test/systemd/guest package.json "$tree/opt/e2e/checkout/"
cp -r node_modules/zod "$tree/opt/e2e/checkout/node_modules/"
cp --dereference node_modules/.bin/node "$tree/opt/e2e/node"
cat >"$tree/etc/systemd/system/model.service" <<'UNIT'
[Service]
DynamicUser=yes
ExecStart=/opt/e2e/node /opt/e2e/checkout/test/systemd/guest/model.ts
[Install]
WantedBy=multi-user.target
UNIT
chroot "$tree" systemctl enable --quiet model.service
exec test/systemd/boot.sh "$suite" "$dir" "$tree"
