#!/bin/sh
# Runs the integration tests in clean Debian systems, with the Kamailio of each release, and
# all of it built with the release's own compiler: tools/matrix.sh RELEASE...
# TESTS="SUBJECT:: ..." runs some of them.
set -eu
cd "$(dirname "$0")/.."

die() {
	echo "matrix: $*" >&2
	exit 1
}

. tools/debian.sh
in_namespace "$0" "$@"
trap 'debian_forget 2>/dev/null || true' EXIT

for release in "$@"; do
	mkdir -p target/debian
	log=$PWD/target/debian/$release.matrix.log
	: >"$log"
	echo "matrix: $release"
	debian_copy "$release"
	share_builds
	quietly inside sh -c 'apt-get update -q && apt-get install -q -y make && make test-setup && cargo fetch --locked'
	compiler=$(inside cargo --version)
	quietly inside make build
	# In a network of its own, as in all tests.
	unshare --net sh -c "ip link set lo up && exec chroot '$root' env -C /sipwarden -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin make integration TESTS='${TESTS:-}'" 2>&1 | tee -a "$log" | grep -v '\.\.\. ok$'
	passed=$(sed -n 's/^test result: ok. \([0-9]* passed\);.*/\1/p' "$log" | tail -n 1)
	[ -n "$passed" ] || die "$release: tests fail, see $log"
	debian_row "$passed"
	debian_forget
done
