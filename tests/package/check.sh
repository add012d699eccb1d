#!/bin/sh
# The life of the package on a Debian: check.sh OLD.deb NEW.deb, in the folder of the
# sources. Needs root, Kamailio, sip-tester, sqlite3, and a network of its own in which
# 192.0.2.1 is the machine's address, and 192.0.2.0/24 and 198.51.100.0/24 are local.
set -eu
old=$(realpath "$1")
new=$(realpath "$2")
state=/var/lib/kamailio
db=$state/sipwarden.sqlite
share=/usr/share/sipwarden/kamailio-cfg
unit=$(ls /usr/lib/systemd/system/kamailio.service)
log=/tmp/kamailio.log
proxy=192.0.2.1:5060

die() {
	echo "package: $*" >&2
	exit 1
}

say() {
	echo "package: $*"
}

setting() {
	sed -n "s/^$1=//p" "$unit"
}

# As the unit starts it: its user, its environment, its folder, its command.
start() {
	install -d -m "$(setting RuntimeDirectoryMode)" -o "$(setting User)" -g "$(setting Group)" \
		"/run/$(setting RuntimeDirectory)"
	(
		eval "export $(setting Environment | tr '\n' ' ')"
		for file in $(setting EnvironmentFile | sed 's/^-//'); do
			[ ! -f "$file" ] || { set -a && . "$file"; }
		done
		exec setpriv --reuid "$(setting User)" --regid "$(setting Group)" --init-groups \
			sh -c "exec $(setting ExecStart) -E" </dev/null >"$log" 2>&1
	) || { cat "$log" >&2 && die "Kamailio does not start"; }
	tries=100
	until kamcmd sipwarden.version >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || { cat "$log" >&2 && die "Kamailio does not answer"; }
		sleep 0.1
	done
}

stop() {
	pid=$(cat "$(setting PIDFile)")
	kill "$pid"
	tries=600
	while kill -0 "$pid" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || die "Kamailio does not stop"
		sleep 0.1
	done
}

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log >&2 && die "apt-get $*"; }
	cat /tmp/apt.log
}

# expect TEXT COMMAND...: what it prints has the text.
expect() {
	text=$1
	shift
	said=$("$@" 2>&1) || true
	case $said in *"$text"*) ;; *) die "$*: no \"$text\" in: $said" ;; esac
}

# call SOURCE EXPECTED: a call to 600, and how it ends.
call() {
	rm -f /tmp/uac.log
	timeout 20 sipp "$proxy" -sf tests/sipp/uac.xml -s 600 -key domain acme.example -i "$1" -bind_local \
		-p 5070 -m 1 -d 50 -nostdin -trace_logs -log_file /tmp/uac.log >/tmp/sipp.out 2>&1 || true
	expect "result=$2" cat /tmp/uac.log
}

# A phone that answers, a call from where the company may call, one from elsewhere.
calls() {
	sipp "$proxy" -sf tests/sipp/register.xml -s 600 -key domain acme.example -key contact 5080 -i 192.0.2.8 \
		-bind_local -p 5071 -m 1 -timeout 10 -nostdin >/tmp/register.out 2>&1 || die "the phone cannot register"
	sipp -sf tests/sipp/uas.xml -i 192.0.2.8 -p 5080 -m 1 -nostdin -bind_local >/tmp/uas.out 2>&1 &
	phone=$!
	call 198.51.100.7 "403 Forbidden"
	call 192.0.2.7 answered
	wait $phone || die "the phone was not called"
	expect "denied_source" kamcmd sipwarden.denied
	expect "total: 0" kamcmd sipwarden.calls
}

# The README's lines, in Debian's own file.
configure() {
	config=/etc/kamailio/kamailio.cfg
	grep -q sipwarden "$config" || sed -i -e '/^loadmodule "counters.so"/a include_file "sipwarden.cfg"' \
		-e '/^request_route {/a route(SIPWARDEN_FLOOD);' -e '/^\troute(AUTH);/a route(SIPWARDEN);' "$config"
	[ "$(grep -c -e '^include_file "sipwarden' -e '^route(SIPWARDEN' "$config")" = 3 ] || die "Debian's file is another one"
}

rows() {
	sqlite3 "$db" "
		INSERT INTO sipwarden_brand VALUES ('main', 0);
		INSERT INTO sipwarden_company VALUES ('acme.example', 'main', 1, 2);
		INSERT INTO sipwarden_company_address VALUES ('acme.example', '192.0.2.0/24', NULL);"
}

apt install "$old" >/dev/null
configure
sqlite3 "$db" <tests/package/0.1.0/sqlite.sql
rows
start
say "started as $(setting User), $(kamailio -v | head -n 1)"
calls
say "installed: one call refused, one answered"
kamcmd sipwarden.block 203.0.113.9 3600 >/dev/null
kamcmd sipwarden.ban alice@acme.example 203.0.113.8 3600 >/dev/null
tries=100
until [ "$(grep -c -e '203.0.113.[89]' $state/sipwarden.blocks 2>/dev/null)" = 2 ]; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] || die "the block and the ban are not kept"
	sleep 0.1
done
echo "# changed by the operator" >>/etc/kamailio/sipwarden.cfg

apt install "$new" >/tmp/upgrade.log
expect "restart Kamailio" cat /tmp/upgrade.log
expect "203.0.113.9" kamcmd sipwarden.blocks
expect "# changed by the operator" tail -n 1 /etc/kamailio/sipwarden.cfg
sqlite3 "$db" <"$share/sql/sqlite/upgrade-0.9.0.sql"
stop
start
expect "203.0.113.9" kamcmd sipwarden.blocks
expect "alice@acme.example" kamcmd sipwarden.bans
expect "192.0.2.0/24" kamcmd sipwarden.company acme.example
calls
say "upgraded: the block, the ban and the tables are kept"
stop

apt remove kamailio-sipwarden-module >/tmp/remove.log
expect "kamailio.cfg still loads it" cat /tmp/remove.log
[ -e /etc/kamailio/sipwarden.cfg ] && [ -e $state/sipwarden.blocks ] && [ -e "$db" ] || die "removal took too much"
apt purge kamailio-sipwarden-module >/dev/null
left=$(find /usr /etc /var/lib/kamailio -name '*sipwarden*' ! -path '*/sipwarden/tests/*' | grep -v '^/usr/src/' || true)
[ "$left" = "$db" ] || die "purging left: $left"
say "removed and purged: the database is left"

# The README once more, with the tables of this version.
rm "$db"
apt install "$new" >/dev/null
sqlite3 "$db" <"$share/sql/sqlite/sipwarden.sql"
rows
start
calls
stop
say "installed anew: every step as expected"
