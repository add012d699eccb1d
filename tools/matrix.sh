#!/bin/sh
# Builds the module for the Kamailio of another Debian release and runs the
# integration tests there, in a chroot: tools/matrix.sh RELEASE...
# The chroots stay under target/matrix for the next time.
set -eu
cd "$(dirname "$0")/.."
project=$PWD

die() {
	echo "matrix: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || die "not root: debootstrap and chroot need it"
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap ||
	die "install debootstrap"
archive=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
[ -n "$archive" ] || archive=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list | head -n 1)
[ -n "$archive" ] || die "no archive in apt's configuration"

packages="kamailio kamailio-sqlite-modules kamailio-mysql-modules kamailio-postgres-modules
	kamailio-lua-modules kamailio-python3-modules kamailio-websocket-modules
	mariadb-server sip-tester sqlite3 binutils patch xz-utils"
# TESTS="SUBJECT:: ..." runs others.
tests=${TESTS:-"verdicts:: reload:: startup:: restart:: storms:: mixed:: endings:: keepalive:: calls:: addresses::
	routes:: arguments:: denied:: tables_file::"}

in_root() {
	chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

unmount() {
	umount "$root$project" 2>/dev/null || true
	umount "$root/proc" 2>/dev/null || true
}

for release in "$@"; do
	root=$project/target/matrix/$release/root
	build=$project/target/matrix/$release/build
	trap unmount EXIT
	if [ ! -e "$root/ready" ]; then
		mkdir -p "$root"
		debootstrap --variant=minbase "$release" "$root" "$archive" >"$root.log" 2>&1 ||
			die "debootstrap of $release failed, see $root.log"
		cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
		printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
		chmod +x "$root/usr/sbin/policy-rc.d"
		in_root apt-get -o Acquire::Check-Valid-Until=false update -q >>"$root.log" 2>&1
		# shellcheck disable=SC2086
		in_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
			$packages >>"$root.log" 2>&1 || die "packages cannot be installed, see $root.log"
		touch "$root/ready"
	fi
	mkdir -p "$root$project"
	mount --bind "$project" "$root$project"
	mount --bind /proc "$root/proc"
	in_root env HEADERS_DIR="$project/target/matrix/$release/kamailio" "$project/tools/kamailio-headers.sh"
	KAMAILIO_MODULES=$(echo "$root"/usr/lib/*/kamailio/modules)
	KAMAILIO_SRC=$project/target/matrix/$release/kamailio/src
	export KAMAILIO_MODULES KAMAILIO_SRC
	cargo build --locked --release --target-dir "$build"
	# Configurations look for the module by its own name.
	cp "$build/release/libsipwarden.so" "$build/release/sipwarden.so"
	tools/check-abi.sh "$build/release/sipwarden.so" "$KAMAILIO_MODULES/sl.so"
	unset KAMAILIO_MODULES KAMAILIO_SRC

	cat >"$project/target/matrix/$release/run" <<-RUNNER
		#!/bin/sh
		exec chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
			SIPWARDEN_SO="$build/release/sipwarden.so" \\
			sh -c 'cd "$project" && exec "\$@"' sh "\$@"
	RUNNER
	chmod +x "$project/target/matrix/$release/run"
	host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
	echo "matrix: $release, $(in_root kamailio -v | head -n 1)"
	# shellcheck disable=SC2086
	env "CARGO_TARGET_${host}_RUNNER=$project/target/matrix/$release/run" \
		cargo test --locked --release --test integration -- $tests
	unmount
done
