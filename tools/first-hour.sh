#!/bin/sh
# Follows the README on a clean Debian, as a new user does, and
# says how long each step takes: tools/first-hour.sh [RELEASE]
# Debian itself stays under target/debian for the next time; all else is made anew.
# No Rust but the release's own.
set -eu
cd "$(dirname "$0")/.."
release=${1:-bookworm}
mkdir -p target/debian
log=$PWD/target/debian/$release.first-hour.log

die() {
	echo "first-hour: $*; see $log" >&2
	exit 1
}

. tools/debian.sh
in_namespace "$0" "$@"
: >"$log"
debian_copy "$release"
trap debian_forget EXIT

# step NAME COMMAND...: its time, and that of its first word.
step() {
	name=$1
	shift
	began=$(date +%s%N)
	echo "== $name" >>"$log"
	mkfifo "$work/said"
	first=
	{ "$@" 2>&1 && echo ended=0 || echo ended=$?; } >"$work/said" &
	while IFS= read -r line; do
		[ -n "$first" ] || first=$((($(date +%s%N) - began) / 1000000))
		case $line in ended=*) status=${line#ended=} ;; *) echo "$line" >>"$log" ;; esac
	done <"$work/said"
	rm "$work/said"
	printf '%-44s %7d ms, first word after %d ms\n' "$name" $((($(date +%s%N) - began) / 1000000)) "$first"
	return "$status"
}

step "apt-get update; make, git" inside sh -c 'apt-get update -qq && apt-get install -y -qq make git' || die "apt"
step "make setup build" inside make setup build || die "build"
step "packages of the demo" inside make setup SETUP_EXTRA="kamailio-sqlite-modules sip-tester sqlite3 redis-server" || die "setup"
# In a network of its own: it opens ports.
step "make demo, once it is built" unshare --net sh -c "ip link set lo up && chroot '$root' env -C /sipwarden \
	PATH='/usr/sbin:/usr/bin:/sbin:/bin' HOME=/root make demo" || die "demo"
step "make deb" inside make deb || die "deb"
step "apt-get install" inside sh -c "apt-get install -y -q sqlite3 ./target/deb/kamailio-sipwarden-module_*.deb" || die "install"
for left in usr/sbin/policy-rc.d etc/systemd/system/multi-user.target.wants/kamailio.service; do
	[ ! -e "$root/$left" ] && [ ! -L "$root/$left" ] || die "$left is left behind"
done
echo "first-hour: nothing is left behind"

# What the README says behind that, but for the editor and systemd.
tables=$(awk '/^cd .usr.share/ { on = 1 } /^```/ { on = 0 } on && !/^(editor|systemctl) /' README.md)
step "the tables of the README" inside sh -euc "$tables" || die "the tables"
config=$root/etc/kamailio/kamailio.cfg
sed -i -e '/^loadmodule "counters.so"/a include_file "sipwarden.cfg"' \
	-e '/^request_route {/a route(SIPWARDEN_FLOOD);' -e '/^\troute(AUTH);/a route(SIPWARDEN);' "$config"
[ "$(grep -c -e '^include_file "sipwarden' -e '^route(SIPWARDEN' "$config")" = 3 ] || die "Debian's file is another one"
step "kamailio -c" inside kamailio -c || die "kamailio -c"
chroot "$root" chown kamailio:kamailio /run/kamailio
cat >"$root/srv/start" <<-START
	kamailio -DD -E -u kamailio -g kamailio >/srv/kamailio.log 2>&1 &
	tries=100
	until kamcmd sipwarden.check acme.example 198.51.100.7 2>/dev/null; do
		tries=\$((tries - 1))
		[ \$tries -gt 0 ] || { cat /srv/kamailio.log; exit 1; }
		sleep 0.1
	done
	kill \$!
START
step "start, and the first sipwarden.check" unshare --net sh -c "ip link set lo up &&
	ip address add 192.0.2.1/32 dev lo && chroot '$root' env PATH=/usr/sbin:/usr/bin:/sbin:/bin sh /srv/start" ||
	die "start"
grep 'check_company_ip: ' "$log" | tail -n 1
