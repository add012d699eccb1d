#!/bin/sh
# Follows the README on a clean Debian, as a new user does, and
# says how long each step takes: tools/first-hour.sh [RELEASE]
# Debian itself stays under target/first-hour for the next time; all else is made
# anew. Rust is the one that is installed here.
set -eu
cd "$(dirname "$0")/.."
release=${1:-bookworm}
base=$PWD/target/first-hour/$release
log=$PWD/target/first-hour/$release.log

die() {
	echo "first-hour: $*; see $log" >&2
	exit 1
}

# All mounts are in a namespace of this run, and go with it.
if [ "${IN_NAMESPACE:-}" != yes ]; then
	[ "$(id -u)" = 0 ] || { echo "first-hour: not root" >&2; exit 1; }
	IN_NAMESPACE=yes exec unshare --mount "$0" "$@"
fi
mkdir -p "$base"
: >"$log"
if [ ! -e "$base.ready" ]; then
	command -v debootstrap >/dev/null || die "install debootstrap"
	archive=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
	[ -n "$archive" ] || archive=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list | head -n 1)
	[ -n "$archive" ] || die "no archive in apt's configuration"
	echo "first-hour: making a clean Debian $release"
	debootstrap --variant=minbase "$release" "$base" "$archive" >"$log" 2>&1 ||
		die "debootstrap failed"
	touch "$base.ready"
fi

work=$(mktemp -d)
trap 'umount -R -l "$work" && rmdir "$work"' EXIT
mount -t tmpfs -o size=6g tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$work/root"
mount --rbind /proc "$work/root/proc"
mount --rbind /dev "$work/root/dev"
mkdir -p "$work/root/sipwarden" "$work/root/run/kamailio"
git ls-files | tar -cf - -T - | tar -xf - -C "$work/root/sipwarden"
cp /etc/resolv.conf "$work/root/etc/resolv.conf"
# Packages as they were when this machine was made, if it says so.
cp /etc/apt/apt.conf.d/*proxy* "$work/root/etc/apt/apt.conf.d/" 2>/dev/null || true
rust_path=$(dirname "$(command -v cargo)")
rust_home=${RUSTUP_HOME:-$HOME/.rustup}

inside() {
	chroot "$work/root" env -C /sipwarden -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
		PATH="${rust:-}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}

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
! step "make demo without Rust" inside make demo || die "make demo works without Rust"
tail -n 3 "$log"
mkdir -p "$work/root$rust_path" "$work/root$rust_home"
mount --rbind "$(dirname "$rust_path")" "$work/root$(dirname "$rust_path")"
mount --rbind "$rust_home" "$work/root$rust_home"
rust=$rust_path:
step "make setup build" inside make setup build || die "build"
step "packages of the demo" inside make setup SETUP_EXTRA="kamailio-sqlite-modules sip-tester sqlite3" || die "setup"
# In a network of its own: it opens ports.
step "make demo, once it is built" unshare --net sh -c "ip link set lo up && chroot '$work/root' env -C /sipwarden \
	PATH='$rust/usr/sbin:/usr/bin:/sbin:/bin' HOME=/root make demo" || die "demo"
step "make install" inside make install || die "install"
for left in usr/sbin/policy-rc.d etc/systemd/system/multi-user.target.wants/kamailio.service; do
	[ ! -e "$work/root/$left" ] && [ ! -L "$work/root/$left" ] || die "$left is left behind"
done
echo "first-hour: nothing is left behind"

# What the README says behind make install, but for the editor and systemd.
tables=$(awk '/^make install/ { on = 1; next } /^```/ { on = 0 } on && !/^(editor|systemctl) /' README.md)
step "the tables of the README" inside sh -euc "$tables" || die "the tables"
config=$work/root/etc/kamailio/kamailio.cfg
sed -i -e '/^loadmodule "counters.so"/a include_file "sipwarden.cfg"' \
	-e '/^request_route {/a route(SIPWARDEN_FLOOD);' -e '/^\troute(AUTH);/a route(SIPWARDEN);' "$config"
[ "$(grep -c -e '^include_file "sipwarden' -e '^route(SIPWARDEN' "$config")" = 3 ] || die "Debian's file is another one"
step "kamailio -c" inside kamailio -c || die "kamailio -c"
chroot "$work/root" chown kamailio:kamailio /run/kamailio
cat >"$work/root/srv/start" <<-START
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
	ip address add 192.0.2.1/32 dev lo && chroot '$work/root' env PATH=/usr/sbin:/usr/bin:/sbin:/bin sh /srv/start" ||
	die "start"
grep 'check_company_ip: ' "$log" | tail -n 1
