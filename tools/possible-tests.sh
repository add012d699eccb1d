#!/bin/sh
# Prints the arguments by which cargo runs the integration tests that can run on
# this machine; says which cannot, and why.
set -eu
cd "$(dirname "$0")/.."
left_out=
for file in tests/*.rs; do
	test=$(basename "$file" .rs)
	# Namespaces need root, and a container that allows them.
	if grep -q 'support::\(netns\|machine\)' "$file" && ! unshare --net --mount true 2>/dev/null; then
		left_out="$left_out $test"
	else
		printf -- '--test %s ' "$test"
	fi
done
[ -z "$left_out" ] ||
	echo "tests: no network namespaces here (they need root): left out:$left_out" >&2
