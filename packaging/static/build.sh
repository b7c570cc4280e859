#!/bin/sh
# Builds target/static/rxbox, a program that needs nothing of the image or root directory that it lies in, and prints its path.
# PROFILE is one of cargo's: release, or dev.
set -eu
cd "$(dirname "$0")/../.."
profile=${1:-release}
target=${CARGO_TARGET_DIR:-$PWD/target}
# The C library is glibc: musl's allocator is slower where many threads work. Only the program itself is linked again; the
# crates are those of a build for this host.
CARGO_TARGET_DIR=$target/static CARGO_BUILD_BUILD_DIR=$target \
    cargo rustc --quiet --locked --profile "$profile" -p rxbox --bin rxbox -- -C target-feature=+crt-static
case $profile in
dev) folder=debug ;;
*) folder=$profile ;;
esac
cp "$target/static/$folder/rxbox" "$target/static/rxbox"
[ "$profile" = dev ] || strip "$target/static/rxbox"
echo "$target/static/rxbox"
