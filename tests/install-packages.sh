#!/bin/sh
# Installs the Debian packages whose programs the tests run.
set -e
packages='bash binutils bc busybox-static bzip2 coreutils findutils gawk gcc grep gzip libc6-dev libstdc++6 lua5.4 make openssl perl python3 sqlite3 tar util-linux xz-utils zstd'
missing=''
for p in $packages; do
    dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
sudo=''
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -q
# shellcheck disable=SC2086 # a list of names
$sudo apt-get install -y -q --no-install-recommends $missing
