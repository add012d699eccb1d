#!/bin/sh
# Compares the two strings by which Kamailio recognises a module: check-abi.sh OURS REFERENCE
set -eu
command -v strings >/dev/null || { echo "check-abi: no strings: install binutils" >&2; exit 1; }
strings_of() {
	strings -n 20 "$1" | grep -E '^[a-z]+ [0-9][^ ]* \([^ /]+/[^ /]+\)$' | head -n 1
	strings -n 20 "$1" | grep 'SHM_MMAP, ' | head -n 1
}
ours=$(strings_of "$1")
theirs=$(strings_of "$2")
if [ -z "$theirs" ] || [ "$ours" != "$theirs" ]; then
	printf 'sipwarden.so would not load.\nbuilt:\n%s\nKamailio (%s):\n%s\n' "$ours" "$2" "$theirs" >&2
	exit 1
fi
