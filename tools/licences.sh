#!/bin/sh
# Prints the notices of the packages that are linked into the library. Their licences demand that
# they go with it. Where there is a choice it is the MIT licence.
set -eu
cd "$(dirname "$0")/.."
sources=${CARGO_HOME:-$HOME/.cargo}/registry/src

die() {
	echo "licences: $*" >&2
	exit 1
}

packages=$(${CARGO:-cargo} tree --locked --edges normal,no-proc-macro --prefix none --format '{p} {l}') ||
	die "cargo lists no packages"
echo "$packages" | sed -n 's/^\([^ ]*\) v\([^ ]*\) \([^*(]*[^*( ]\).*/\1 \2 \3/p' | grep -v '^sipwarden ' | sort -u |
	while read -r name version licence; do
		folder=$(ls -d "$sources"/*/"$name-$version" 2>/dev/null | head -n 1)
		[ -n "$folder" ] || die "$name $version: no sources in $sources"
		notice=
		for file in LICENSE-MIT LICENSE-MIT.md LICENSE LICENSE-BSD LICENSE-BOOST; do
			[ -n "$notice" ] || [ ! -f "$folder/$file" ] || notice=$folder/$file
		done
		[ -n "$notice" ] || die "$name $version: no file with its licence in $folder"
		printf '%s\n%s %s (%s)\n\n' "$(printf '=%.0s' $(seq 78))" "$name" "$version" "$licence"
		cat "$notice"
		echo
	done
