#!/bin/sh
# Makes a Debian machine ready: packages, then the headers of the very Kamailio
# version that is installed. Does nothing that is already done.
# KAMAILIO_SRC, KAMAILIO_MODULES: use these instead of installing.
set -eu
cd "$(dirname "$0")/.."

die() {
	echo "setup: $*" >&2
	exit 1
}

command -v cargo >/dev/null || die "no cargo: install Rust first (rustup, or Debian's cargo of 1.91 or later)"

packages="gcc libc6-dev binutils make libclang-dev sip-tester sqlite3 curl"
if [ -z "${KAMAILIO_MODULES:-}" ]; then
	packages="$packages kamailio kamailio-sqlite-modules kamailio-mysql-modules"
	packages="$packages kamailio-postgres-modules kamailio-lua-modules"
fi
packages="$packages ${SETUP_EXTRA:-}"
[ -n "${KAMAILIO_SRC:-}" ] || packages="$packages dpkg-dev patch xz-utils"

missing=
for package in $packages; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
		missing="$missing $package"
done
if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || die "no apt-get; install by hand:$missing"
	[ "$(id -u)" = 0 ] || die "not root; run: apt-get install --no-install-recommends$missing"
	echo "setup: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	# Nothing that comes with it shall be started on this machine.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	apt-get update -q || die "apt-get update failed"
	# shellcheck disable=SC2086
	apt-get install -y -q --no-install-recommends $missing ||
		die "apt-get cannot install:$missing"
fi

[ -n "${KAMAILIO_SRC:-}" ] || exec tools/kamailio-headers.sh
