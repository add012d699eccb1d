#!/bin/sh
# Puts the sources of the installed Kamailio version under target/kamailio, from
# its Debian source package. No -dev package with the headers exists.
#
# The source entry is derived from this machine's own apt configuration, in a
# private apt state, so nothing of the machine is changed. HEADERS_DIR: where to.
set -eu
cd "$(dirname "$0")/.."
dir=${HEADERS_DIR:-$PWD/target/kamailio}

die() {
	echo "headers: $*; or set KAMAILIO_SRC to the src folder of that Kamailio version" >&2
	exit 1
}

installed=$(dpkg-query -W -f '${source:Package} ${source:Version}' kamailio 2>/dev/null) ||
	die "package kamailio is not installed"
name=${installed% *}
version=${installed#* }

if [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ] && [ -e "$dir/src/core/sr_module.h" ]; then
	exit 0
fi

echo "headers: loading the sources of $name $version"
apt_dir=$dir/apt
mkdir -p "$apt_dir/parts" "$apt_dir/lists/partial" "$dir/files"
rm -f "$apt_dir"/parts/*
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ -f "$list" ] || continue
	sed -n 's/^deb /deb-src /p' "$list" >"$apt_dir/parts/$(basename "$list")"
done
for list in /etc/apt/sources.list.d/*.sources; do
	[ -f "$list" ] || continue
	sed 's/^Types:.*/Types: deb-src/' "$list" >"$apt_dir/parts/$(basename "$list")"
done
private_apt="-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$apt_dir/parts
	-o Dir::State::lists=$apt_dir/lists -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache="

# shellcheck disable=SC2086
LC_ALL=C apt-get $private_apt -o APT::Update::Error-Mode=any update -q >"$dir/update.log" 2>&1 ||
	die "the list of source packages cannot be loaded: $(grep '^[EW]:' "$dir/update.log" | head -n 1) (see $dir/update.log)"
# shellcheck disable=SC2086
apt-get $private_apt source --print-uris "$name=$version" 2>/dev/null |
	sed -n "s/^'\([^']*\)' \([^ ]*\) [0-9]* \([A-Z0-9]*:[0-9a-f]*\)$/\1 \2 \3/p" >"$dir/uris"
[ -s "$dir/uris" ] || die "source package $name $version is not in apt's sources"

# One by one: a file that is not needed (a signature) may be missing on a mirror.
while read -r uri file hash; do
	if [ -e "$dir/files/$file" ]; then
		continue
	fi
	if LC_ALL=C /usr/lib/apt/apt-helper download-file "$uri" "$dir/files/$file.part" "$hash" >"$dir/load.log" 2>&1; then
		mv "$dir/files/$file.part" "$dir/files/$file"
	else
		echo "headers: $file cannot be downloaded: $(grep '^[EW]:' "$dir/load.log" | head -n 1)" >&2
	fi
done <"$dir/uris"

orig=$(ls "$dir"/files/"${name}"_*.orig.tar.* 2>/dev/null | grep -v '\.asc$' | head -n 1)
[ -n "$orig" ] || die "the source archive of $name $version is missing"
rm -rf "$dir/unpacked" "$dir/src"
mkdir "$dir/unpacked"
tar -xf "$orig" -C "$dir/unpacked" --strip-components=1 || die "$orig cannot be unpacked"
debian=$(ls "$dir"/files/"${name}"_*.debian.tar.* 2>/dev/null | head -n 1)
[ -n "$debian" ] || die "the Debian patches of $name $version are missing"
tar -xf "$debian" -C "$dir/unpacked" || die "$debian cannot be unpacked"
grep -v -e '^#' -e '^$' "$dir/unpacked/debian/patches/series" 2>/dev/null | while read -r patch _; do
	patch -d "$dir/unpacked" -p1 -s -f <"$dir/unpacked/debian/patches/$patch" ||
		die "Debian's patch $patch does not apply"
done
[ -e "$dir/unpacked/src/core/sr_module.h" ] || die "no src/core/sr_module.h in $orig"
mv "$dir/unpacked/src" "$dir/src"
rm -rf "$dir/unpacked"
echo "$version" >"$dir/version"
echo "headers: in $dir/src"
