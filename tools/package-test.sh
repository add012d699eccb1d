#!/bin/sh
# Builds the package in a clean Debian with that release's compiler, and tries it in
# another one: tools/package-test.sh RELEASE...
# The packages are in target/debian/RELEASE.debs afterwards.
set -eu
cd "$(dirname "$0")/.."

die() {
	echo "package-test: $*" >&2
	exit 1
}

. tools/debian.sh
in_namespace "$0" "$@"
trap 'debian_forget 2>/dev/null || true' EXIT

build() {
	debian_copy "$release"
	share_builds
	quietly inside sh -c 'apt-get update -q && apt-get install -q -y make'
	quietly inside make deb SIPWARDEN_REVISION="$(git rev-parse --short=12 HEAD 2>/dev/null)"
	compiler=$(inside cargo --version)
	quietly inside apt-get install -q -y lintian
	quietly inside sh -c 'lintian --fail-on error target/deb/kamailio-sipwarden-module_*.deb'
	rm -rf "$debs"
	mkdir -p "$debs"
	cp "$root"/sipwarden/target/deb/*.deb "$debs/"
	# The version before: of the same build, since it is the package that is tried.
	quietly inside env DEB_VERSION=0.1.0 tools/deb.sh
	mkdir "$debs/before"
	mv "$root"/sipwarden/target/deb/*_0.1.0+*.deb "$debs/before/"
	debian_forget
}

try() {
	debian_copy "$release"
	mkdir "$root/sipwarden/debs"
	cp -a "$debs"/. "$root/sipwarden/debs/"
	# Nothing starts but what the test starts.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	old=$(cd "$debs" && ls before/kamailio-sipwarden-module_*.deb)
	new=$(cd "$debs" && ls kamailio-sipwarden-module_*.deb)
	quietly inside sh -c "apt-get update -q && apt-get install -q -y ./debs/$old sip-tester sqlite3"
	unshare --net sh -c "ip link set lo up && ip address add 192.0.2.1/32 dev lo &&
		for net in 192.0.2.0/24 198.51.100.0/24; do ip route add local \$net dev lo; done &&
		exec chroot '$root' env -C /sipwarden PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
			tests/package/check.sh './debs/$old' './debs/$new'" || die "$release: the package does not do what it should"
	debian_row "package"
	debian_forget
}

for release in "$@"; do
	mkdir -p target/debian
	log=$PWD/target/debian/$release.package-test.log
	debs=$PWD/target/debian/$release.debs
	: >"$log"
	echo "package-test: $release"
	build
	try
done
