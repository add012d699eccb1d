#!/bin/sh
# Makes a Debian machine ready to build: packages, then the headers of the very
# Kamailio version that is installed. Does nothing that is already done, and
# leaves nothing on the machine but the packages that it names.
# SETUP_EXTRA: more packages, for the demo and the tests.
# KAMAILIO_SRC, KAMAILIO_MODULES: use these instead of installing.
set -eu
cd "$(dirname "$0")/.."
mkdir -p target
log=$PWD/target/setup.log
policy=/usr/sbin/policy-rc.d
# By this line a file of a run that was killed is known again.
policy_mark='# by tools/setup.sh of sipwarden, for the time of its run'

die() {
	echo "setup: $*" >&2
	exit 1
}

# is_enough VERSION: whether a cargo of this version can build.
is_enough() {
	[ "$(printf '%s\n' "$wanted" "$1" | sort -V | head -n 1)" = "$wanted" ]
}

# The first of this Debian's packages with a cargo that is new enough.
cargo_package() {
	for package in cargo cargo-web; do
		offered=$(LC_ALL=C apt-cache policy "$package" 2>/dev/null | sed -n 's/^  Candidate: \([0-9.]*[0-9]\).*/\1/p')
		if [ -n "$offered" ] && is_enough "$offered"; then
			echo "$package"
			return
		fi
	done
}

# Cargo, new enough, also if only the user that called sudo has it. Debian's is
# installed where there is none.
check_cargo() {
	wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	with_cargo=yes
	if ! command -v cargo >/dev/null; then
		home=$(getent passwd "${SUDO_USER:-}" 2>/dev/null | cut -d: -f6)
		[ -z "$home" ] || [ ! -x "$home/.cargo/bin/cargo" ] ||
			die "root has no cargo, but $SUDO_USER has: run sudo env \"PATH=\$PATH\" \"HOME=\$HOME\" make ..."
		with_cargo=
		return
	fi
	version=$(cargo --version 2>&1) || die "cargo does not run: $version"
	version=$(echo "$version" | sed -n 's/^cargo \([0-9.]*\).*/\1/p')
	is_enough "$version" || {
		package=$(cargo_package)
		die "cargo is $version ($(command -v cargo)), and $wanted or later is needed:" \
			"${package:+apt-get install $package, or }https://rustup.rs"
	}
}

# Services that the next start of the machine would start.
enabled_services() {
	for link in /etc/systemd/system/*.target.wants/*.service /etc/rc2.d/S*; do
		[ -L "$link" ] || continue
		name=${link##*/}
		name=${name%.service}
		echo "$name" | sed 's/^S[0-9][0-9]//'
	done | sort -u
}

# A package may enable services: none of them shall start with this machine.
disable_new_services() {
	enabled_services >"$log.services"
	for service in $(echo "$enabled_before" | comm -13 - "$log.services"); do
		if command -v systemctl >/dev/null; then
			systemctl disable "$service"
		else
			update-rc.d "$service" disable
		fi >>"$log" 2>&1 || die "service $service cannot be disabled, see $log"
		echo "setup: service $service is disabled; systemctl enable $service starts it with the machine"
	done
	rm -f "$log.services"
}

remove_policy() {
	if grep -qsxF "$policy_mark" "$policy"; then
		rm -f "$policy"
	fi
}

apt_get() {
	apt-get -q -o APT::Update::Error-Mode=any "$@" >>"$log" 2>&1
}

install_packages() {
	command -v apt-get >/dev/null || die "no apt-get; install by hand:$*"
	if [ "$(id -u)" != 0 ]; then
		[ -n "$with_cargo" ] || set -- "$(cargo_package | grep . || echo cargo)" ca-certificates "$@"
		die "not root; run: sudo apt-get install --no-install-recommends $*"
	fi
	export DEBIAN_FRONTEND=noninteractive LC_ALL=C
	: >"$log"
	echo "setup: asking apt for what is missing"
	apt_get update || die "apt-get update failed: $(grep '^[EW]:' "$log" | head -n 1) (see $log)"
	if [ -z "$with_cargo" ]; then
		package=$(cargo_package)
		[ -n "$package" ] || die "no cargo, nor has apt one: install Rust $wanted or later, from https://rustup.rs"
		# Cargo loads over HTTPS.
		set -- "$package" ca-certificates "$@"
	fi
	apt_get install -y --print-uris --no-install-recommends "$@" ||
		die "apt-get cannot install $*: $(grep '^E:' "$log" | head -n 1) (see $log)"
	count=$(sed -n 's/^[0-9]* upgraded, \([0-9]*\) newly.*/\1/p' "$log")
	load=$(sed -n 's/^Need to get \(.*\) of archives.*/\1/p' "$log")
	space=$(sed -n 's/^After this operation, \(.*\) of additional.*/\1/p' "$log")
	echo "setup: installing $count Debian packages (${load:-0 B} to load, ${space:-0 B} on disk), log in $log:"
	echo "setup:   $*"

	enabled_before=$(enabled_services)
	trap remove_policy EXIT
	trap 'exit 130' INT TERM HUP
	# Nothing that comes with it shall be started on this machine.
	[ -e "$policy" ] || printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy"
	chmod +x "$policy"
	apt_get install -y --no-install-recommends "$@" ||
		die "apt-get failed: $(grep '^E:' "$log" | head -n 1) (see $log)"
	remove_policy
	disable_new_services
}

check_cargo
packages="gcc libc6-dev binutils lld make libclang-dev ${SETUP_EXTRA:-}"
[ -n "${KAMAILIO_MODULES:-}" ] || packages="$packages kamailio"
[ -n "${KAMAILIO_SRC:-}" ] || packages="$packages patch xz-utils"
missing=
for package in $packages; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
		missing="$missing $package"
done
remove_policy
# shellcheck disable=SC2086
[ -n "$with_cargo" ] && [ -z "$missing" ] || install_packages $missing

[ -n "${KAMAILIO_SRC:-}" ] || tools/kamailio-headers.sh
