#!/bin/sh
# Runs `make test` in clean Debian systems without Rust, with the Kamailio of each release, and
# all of it built with the release's own compiler; the integration tests once for each mode in
# which that Kamailio can receive: tools/matrix.sh RELEASE...
# With KAMAILIO_SRC and KAMAILIO_MODULES: here, with that Kamailio, and in no Debian.
# TESTS="SUBJECT:: ..." runs some of them. MODES="0 1 2": only with these udp_receiver_modes
# (Kamailio 6; 5 has none).
set -eu
cd "$(dirname "$0")/.."

die() {
	echo "matrix: $*" >&2
	exit 1
}

# modes VERSION: the modes that this Kamailio has.
modes() {
	case $1 in
	5.*) echo 0 ;;
	*) echo "${MODES:-0 1 2}" ;;
	esac
}

# run COMMAND...: all modes, in a network of its own, as in all tests; what passed in $passed.
# Tests that fail are tried once more, and the row says so: a machine may be busy.
run() {
	passed=
	target=${first_target:-integration}
	for mode in $(modes "$version"); do
		again=
		once "${TESTS:-}" "$@"
		target=integration
		count=$(count)
		failing=$(failing)
		if [ "$status" != 0 ] && [ -n "$failing" ]; then
			once "$failing" "$@"
			again=$(count)
			count=$((count + again))
		fi
		[ "$status" = 0 ] || {
			echo "matrix: $release: tests fail with udp_receiver_mode $mode, see $log" >&2
			failed="$failed $release:$mode"
			continue
		}
		count="$count passed${again:+ ($again at the second try)}"
		case $version in
		5.*) passed=$count ;;
		*) passed="${passed:+$passed, }mode $mode: $count" ;;
		esac
	done
}

# once TESTS COMMAND...: one run with the mode $mode; how it ended in $status.
once() {
	tests=$1
	shift
	status=0
	: >"$said"
	unshare --net sh -c 'ip link set lo up && exec "$@"' sh env SIPWARDEN_UDP_RECEIVER="$mode" TESTS="$tests" TARGET="$target" \
		INTEGRATION_LOG="$integration_log" "$@" >>"$log" 2>&1 || status=$?
	cat "$said" >>"$log"
	grep -e '^tests: ' -e '^test .*FAILED' "$said" || true
}

# The integration tests that passed.
count() {
	sed -n 's/^test result: [^ ]* \([0-9]*\) passed;.*/\1/p' "$said"
}

# Those that failed.
failing() {
	sed -n 's/^test \([a-z0-9_:]*\) \.\.\. FAILED$/\1/p' "$said" | tr '\n' ' '
}

begin() {
	release=$1
	mkdir -p target/debian
	log=$PWD/target/debian/$release.matrix.log
	: >"$log"
	echo "matrix: $release"
}

failed=
# What the integration tests say, in the project's folder; other tests run beside them.
integration_log=target/integration.log
said=$integration_log
. tools/debian.sh
in_namespace "$0" "$@"
what=${TESTS:+, $TESTS}

if [ -n "${KAMAILIO_MODULES:-}" ]; then
	[ -n "${KAMAILIO_SRC:-}" ] || die "KAMAILIO_SRC is missing: the folder src of that Kamailio"
	begin given
	quietly make build
	version=$(strings -n 20 target/release/sipwarden.so | sed -n 's/^kamailio \([0-9][^ ]*\) ([^ ]*)$/\1/p' | head -n 1)
	compiler=$(cargo --version)
	run sh -c 'exec make "$TARGET"'
	[ -z "$failed" ] || exit 1
	printf '| from source | %s | %s | %s |\n' "$version" "$(echo "$compiler" | cut -d' ' -f2)" "$passed$what, $(date +%F)"
	exit 0
fi

trap 'debian_forget 2>/dev/null || true' EXIT
for release in "$@"; do
	begin "$release"
	debian_copy "$release"
	share_builds
	quietly inside sh -c 'apt-get update -q && apt-get install -q -y make && make test-setup && cargo fetch --locked'
	compiler=$(inside cargo --version)
	quietly inside make build
	first_target=test
	said=$root/sipwarden/$integration_log
	version=$(inside kamailio -v | sed -n 's/^version: kamailio \([^ ]*\).*/\1/p')
	run chroot "$root" sh -c 'cd /sipwarden && exec env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		SIPWARDEN_UDP_RECEIVER="$SIPWARDEN_UDP_RECEIVER" INTEGRATION_LOG="$INTEGRATION_LOG" make "$TARGET" TESTS="$TESTS"'
	case $failed in *" $release:"*) ;; *) debian_row "$passed$what" ;; esac
	debian_forget
done
[ -z "$failed" ] || die "tests fail (release:mode):$failed"
