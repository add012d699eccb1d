#!/bin/sh
# Packs the module that `make build` has built, for the Kamailio it was built for:
# target/deb/kamailio-sipwarden-module_*.deb. With debhelper, as all of Debian is.
# DEB_VERSION: another version than that of Cargo.toml. KAMAILIO_MODULES: as for the build.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/target/deb
tree=$out/tree
module=$PWD/target/release/sipwarden.so
licences=$PWD/target/release/licences

die() {
	echo "deb: $*" >&2
	exit 1
}

for file in "$module" "$licences"; do
	[ -e "$file" ] || die "$file is missing: run make deb"
done
MODULES=$(tools/modules.sh kamailio)
tools/check-abi.sh "$module" "$MODULES/sl.so"
command -v dh >/dev/null || die "no debhelper: run make setup SETUP_EXTRA=debhelper"

# The version that the module compares at its start; Debian's corrections of it have the same.
kamailio=$(strings -n 20 "$module" | sed -n 's/^kamailio \([0-9][^ ]*\) ([^ ]*)$/\1/p' | head -n 1)
KAMAILIO_DEPENDS=
if dpkg-query -S "$MODULES/sl.so" >/dev/null 2>&1; then
	KAMAILIO_DEPENDS="kamailio (>= $kamailio~), kamailio (<< $kamailio.0~)"
fi
export MODULES KAMAILIO_DEPENDS
version=${DEB_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
version=$version+kamailio$(echo "$kamailio" | tr - '~')
# The same sources give the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH

rm -rf "$out"
mkdir -p "$tree"
cp -a debian kamailio-cfg monitoring docs README.md CHANGELOG.md SECURITY.md "$tree/"
cp "$module" "$licences" target/release/sipwarden-countries "$tree/"
cat >"$tree/debian/changelog" <<-CHANGELOG
	kamailio-sipwarden-module ($version) unstable; urgency=medium

	  * For Kamailio $kamailio. CHANGELOG.md says what is new.

	 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(LC_ALL=C date -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
# What dpkg-buildpackage would call; that asks for a C++ compiler too.
export DEB_RULES_REQUIRES_ROOT=no
(cd "$tree" && debian/rules binary) >"$out/log" 2>&1 || die "it cannot be packed: see $out/log"
rm -rf "$tree"
echo "deb: $out/kamailio-sipwarden-module_${version}_$(dpkg --print-architecture).deb"
