#!/usr/bin/env bash
# Fetches setpriv of util-linux 2.41 from Debian 13 for the tests of the seal, where the system's own is older. It runs with its own C
# library, next to the system's. Prints its path.
set -euo pipefail

if setpriv --help 2>/dev/null | grep -q landlock; then
  command -v setpriv
  exit
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/claude-relay-setpriv
if [[ ! -x $cache/setpriv ]]; then
  mkdir -p "$cache"/{lists/partial,archives/partial,root}
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" >"$cache/sources.list"
  apt=(apt-get -qq -o "Dir::Etc::sourcelist=$cache/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::Parts=-
    -o "Dir::State::lists=$cache/lists" -o "Dir::Cache=$cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update >&2
  cd "$cache"
  "${apt[@]}" download util-linux libc6 libcap-ng0 >&2
  for package in *.deb; do dpkg-deb -x "$package" root; done
  libraries=$cache/root/usr/lib/$(uname -m)-linux-gnu
  loader=$(find "$libraries" -name 'ld-linux-*.so.*' | head -1)
  printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$libraries" "$cache/root/usr/bin/setpriv" >new
  chmod +x new
  rm -rf lists archives ./*.deb ./*.bin
  mv new setpriv
fi
echo "$cache/setpriv"
