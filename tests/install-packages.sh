#!/bin/sh
# Installs the Debian packages whose programs the tests run.
set -e
packages='apache2-utils bash bc binutils busybox-static bzip2 cmake conmon containerd coreutils curl dash debootstrap default-jdk-headless docker.io
    dpkg-dev expect
    ffmpeg findutils g++ gawk gcc gdb git golang-go grep gzip jq libc6-dev libpcre2-dev libpython3.11-testsuite libstdc++6 lintian lua5.4 luajit
    make musl-tools nginx-light nodejs openssl perl php-cli postgresql podman procps python3 redis-server redis-tools runc sqlite3 strace systemd-container
    tar tmux util-linux wrk xz-utils zstd'
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
