#!/bin/sh
# Compares what the host compares when it loads a module: check-abi.sh OURS REFERENCE
set -eu
for tool in strings readelf; do
	command -v "$tool" >/dev/null || { echo "check-abi: no $tool: install binutils" >&2; exit 1; }
done

# text_at FILE ADDRESS: the text there, up to its NUL.
text_at() {
	constants=$(readelf -W -S "$1" | sed -n 's/.* \.rodata *PROGBITS *\([0-9a-f]*\) \([0-9a-f]*\) .*/\1 \2/p')
	tail -c +$(($2 - 0x${constants% *} + 0x${constants#* } + 1)) "$1" | tr '\0' '\n' | head -n 1
}

# OpenSIPS has pointers to its four texts in `exports`: of version, flags, and kind and name
# of the revision. Kamailio has two texts, which are long enough to be found.
strings_of() {
	symbols=$(readelf -W --dyn-syms "$1")
	if ! echo "$symbols" | grep -q ' module_version$'; then
		exports=$(echo "$symbols" | sed -n 's/^ *[0-9]*: \([0-9a-f]*\) .* exports$/\1/p')
		for offset in 16 24 32 40; do
			at=$(printf %016x $((0x$exports + offset)))
			text_at "$1" "0x$(readelf -W -r "$1" | sed -n "s/^$at .* \([0-9a-f]*\)\$/\1/p")"
		done
		return
	fi
	strings -n 20 "$1" | grep -E '^[a-z]+ [0-9][^ ]* \([^ /]+/[^ /]+\)$' | head -n 1
	strings -n 20 "$1" | grep 'SHM_MMAP, ' | head -n 1
}
ours=$(strings_of "$1")
theirs=$(strings_of "$2")
if [ -z "$theirs" ] || [ "$ours" != "$theirs" ]; then
	printf 'sipwarden.so would not load.\nbuilt:\n%s\ninstalled (%s):\n%s\n' "$ours" "$2" "$theirs" >&2
	exit 1
fi
