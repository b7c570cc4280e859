#!/bin/sh
# Builds target/debian/rxbox_VERSION_ARCHITECTURE.deb of the release binary, or of the binary that is named.
set -eu
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
binary=${1:-$target/release/rxbox}
[ $# -gt 0 ] || cargo build --release --locked -p rxbox
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
work=$target/debian
tree=$work/tree
rm -rf "$tree"
umask 022

put() { # MODE SOURCE DESTINATION
    install -D -m "$1" "$2" "$tree/$3"
}
pack() { # SOURCE DESTINATION: compressed, with nothing of the time
    mkdir -p "$tree/$(dirname "$2")"
    gzip -9n <"$1" >"$tree/$2"
}

put 755 "$binary" usr/bin/rxbox
strip --remove-section=.comment --remove-section=.note "$tree/usr/bin/rxbox"
for profile in profiles/*.toml; do
    put 644 "$profile" "usr/share/rxbox/$profile"
done
mkdir -p "$tree/etc/rxbox"
put 644 packaging/completions/rxbox.bash usr/share/bash-completion/completions/rxbox
put 644 packaging/completions/_rxbox usr/share/zsh/vendor-completions/_rxbox
put 644 packaging/completions/rxbox.fish usr/share/fish/vendor_completions.d/rxbox.fish
pack packaging/man/rxbox.1 usr/share/man/man1/rxbox.1.gz
put 644 packaging/systemd/rxbox@.service usr/lib/systemd/system/rxbox@.service
put 755 packaging/ci-step.sh usr/share/rxbox/ci-step.sh
put 644 packaging/apparmor/rxbox usr/share/doc/rxbox/examples/apparmor-rxbox
put 644 packaging/debian/copyright usr/share/doc/rxbox/copyright
pack CHANGELOG.md usr/share/doc/rxbox/changelog.gz
for page in README.md SECURITY.md docs/*.md; do
    [ "$page" = docs/SUMMARY.md ] || put 644 "$page" "usr/share/doc/rxbox/$(basename "$page")"
done
put 644 /dev/null usr/share/doc/rxbox/sbom.cdx.json
sh packaging/sbom.sh >"$tree/usr/share/doc/rxbox/sbom.cdx.json"

# dpkg-shlibdeps wants the source package's control file in the working directory.
mkdir -p "$work/source/debian" "$tree/DEBIAN"
printf 'Source: rxbox\n\nPackage: rxbox\nArchitecture: any\n' >"$work/source/debian/control"
installed=$(cd "$tree" && pwd)
libraries=$(cd "$work/source" && dpkg-shlibdeps -O "$installed/usr/bin/rxbox" | sed -n 's/^shlibs:Depends=//p')
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@LIBRARIES@/$libraries/" \
    -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$tree" | cut -f1)/" packaging/debian/control >"$tree/DEBIAN/control"
(cd "$tree" && find usr -type f -printf '%P\0' | sort -z | sed -z 's|^|usr/|' | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
package=$work/rxbox_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
echo "$package"
