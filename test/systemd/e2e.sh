#!/bin/bash
# Installs, kills, upgrades and reboots the relay in a separate Debian system, booted with systemd as PID 1.
#   npm run e2e:systemd [-- <suite>]     suite: bookworm (systemd 252, the default) or trixie (257)
# Needs root, about 6 GB of disk, Debian's packages, mmdebstrap, and with KVM qemu-system-x86 and e2fsprogs; five minutes and the download.
# E2E_DIR keeps the downloads; E2E_VIA is kvm or container (or tcg, which is too slow for the proof); E2E_TIMEOUT is in seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=${1:-bookworm}
dir=${E2E_DIR:-${TMPDIR:-/tmp}/claude-relay-e2e}
command -v mmdebstrap >/dev/null || { echo "e2e: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "e2e: building the image needs root" >&2; exit 1; }
[ -x node_modules/.bin/node ] || { echo "e2e: run npm ci first" >&2; exit 1; }
mkdir -p "$dir"

base=$dir/$suite.tar
if [ ! -e "$base" ]; then
  packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,polkitd,linux-image-cloud-amd64,initramfs-tools,procps,curl,ca-certificates,iproute2,bubblewrap
  mmdebstrap --format=tar --variant=minbase --include="$packages" "$suite" "$base.new" "${E2E_MIRROR:-http://deb.debian.org/debian}"
  mv "$base.new" "$base"
fi

tree=$dir/tree
rm -rf "$tree"
mkdir -p "$tree"
tar -xf "$base" -C "$tree" --numeric-owner
checkout=$tree/home/me/claude-relay
chroot "$tree" useradd --create-home --shell /bin/bash me
mkdir -p "$checkout" "$tree/home/me/.ssh" "$tree/home/me/.local/bin" "$tree/home/me/.config/systemd/user/claude-relay.service.d"
git ls-files -z --cached --others --exclude-standard | tar -cf - --null --files-from=- | tar -xf - -C "$checkout"
# What the relay needs to run, as `npm ci` left it, with the CLI that plays the one of the user.
cp -a node_modules "$checkout/"
rm -rf "$checkout"/node_modules/{claude-code-2-1-197,typescript,@typescript,oxlint*,@oxlint*,knip,.cache}
touch "$checkout/node_modules/.package-lock.json"
ln -s ../../claude-relay/node_modules/@anthropic-ai/claude-code/bin/claude.exe "$tree/home/me/.local/bin/claude"
node=$(node_modules/.bin/node -p process.execPath)
cp "$node" "$tree/usr/local/bin/node"
printf '#!/bin/sh\necho "npm is not asked: the packages are there" >&2\nexit 1\n' >"$tree/usr/local/bin/npm"
chmod 755 "$tree/usr/local/bin/npm"
echo secret >"$tree/home/me/.ssh/id_test"
printf 'PORT=18799\nANTHROPIC_API_KEY=sk-ant-stub\nLOG_LEVEL=info\n' >"$checkout/config.env"
echo 'PATH="$HOME/.local/bin:$PATH"' >>"$tree/home/me/.profile"
printf '[Service]\nEnvironment=ANTHROPIC_BASE_URL=http://127.0.0.1:9911\n' >"$tree/home/me/.config/systemd/user/claude-relay.service.d/model.conf"
chroot "$tree" chown -R me:me /home/me
mkdir -p "$tree/opt/e2e"
cp test/systemd/guest/{run,checks}.sh "$tree/opt/e2e/"
cat >"$tree/etc/systemd/system/model.service" <<'UNIT'
[Service]
User=me
ExecStart=/usr/local/bin/node /home/me/claude-relay/test/systemd/guest/model.ts
[Install]
WantedBy=multi-user.target
UNIT
chroot "$tree" systemctl enable --quiet model.service
exec test/systemd/boot.sh "$suite" "$dir" "$tree"
