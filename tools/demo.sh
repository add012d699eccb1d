#!/bin/sh
# The main job, seen working: real calls through a real Kamailio with
# kamailio-cfg/kamailio.cfg, from granted and other addresses, before and after
# a change in the database. Exits non-zero if any case differs.
set -eu
cd "$(dirname "$0")/.."

modules=$(tools/kamailio-modules.sh)
dir=$(mktemp -d)
db=$dir/sipwarden.sqlite
ctl=unix:$dir/ctl
# Loopback addresses of our own, the port drawn from the process id.
port=$((20000 + $$ % 20000))
proxy=127.0.0.10:$port
gateway=127.0.0.11:$port
failures=0
# Seconds in which a call must end.
call_timeout=10

stop() {
	for pid in "$dir/kamailio.pid" "$dir/stock.pid"; do
		[ ! -f "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
	done
	[ -z "${gateway_pid:-}" ] || kill "$gateway_pid" 2>/dev/null || true
	wait 2>/dev/null || true
	if [ "$failures" = 0 ]; then rm -rf "$dir"; else echo "logs are in $dir"; fi
}
trap stop EXIT
trap 'failures=1; exit 1' INT TERM

die() {
	failures=1
	echo "demo: $*" >&2
	exit 1
}

sql() {
	sqlite3 -bail "$db" "PRAGMA busy_timeout=5000; $1" >/dev/null
}

rpc() {
	kamcmd -s "$ctl" "$@"
}

# await_line METHOD TEXT COMPLAINT: until the RPC's answer has the text.
await_line() {
	tries=100
	until rpc "$1" | grep -q "$2"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "$3"
		sleep 0.05
	done
}

# case_of SOURCE DOMAIN EXPECTED DESCRIPTION [MILLISECONDS THE CALL STAYS UP]
case_of() {
	rm -f "$dir/uac.log"
	sipp "$proxy" -sf tests/sipp/uac.xml -s 600 -key domain "$2" -i "$1" -bind_local -p $((port + 1)) \
		-m 1 -d "${5:-50}" -timeout $call_timeout -nostdin -trace_logs -log_file "$dir/uac.log" >"$dir/sipp.out" 2>&1 || true
	got=$(sed -n 's/^result=//p' "$dir/uac.log" 2>/dev/null | head -n 1)
	mark=ok
	got=${got:-nothing}
	if [ "$got" != "$3" ]; then
		mark=DIFFERS
		failures=$((failures + 1))
	fi
	printf '%-8s %-58s expected: %-28s got: %s\n' "$mark" "$4" "$3" "$got"
}

# asked_of COMPANY IP EXPECTED: the same question through the RPC.
asked_of() {
	got=$(rpc sipwarden.check "$1" "$2" | sed -n 's/^[[:space:]]*reason: //p' | head -n 1)
	mark=ok
	if [ "$got" != "$3" ]; then
		mark=DIFFERS
		failures=$((failures + 1))
	fi
	printf '%-8s %-58s expected: %-28s got: %s\n' "$mark" "sipwarden.check $1 $2" "$3" "$got"
}

forbidden='403 Forbidden (invalid IP)'

sqlite3 -bail "$db" <kamailio-cfg/sql/sqlite/sipwarden.sql
sql "
INSERT INTO sipwarden_brand VALUES ('red', 0), ('blue', 0), ('storm', 0);
INSERT INTO sipwarden_company VALUES
	('open.red', 'red', 0, 0), ('office.red', 'red', 1, 0),
	('six.blue', 'blue', 1, 0), ('closed.blue', 'blue', 1, 0), ('ten.storm', 'storm', 0, 10);
INSERT INTO sipwarden_user VALUES ('alice@six.blue', 'six.blue', 1);
INSERT INTO sipwarden_trusted VALUES ('127.0.0.11', NULL, 'exempt'), ('127.0.0.12', NULL, 'exempt');
INSERT INTO sipwarden_company_address VALUES
	('office.red', '127.0.1.0', 24), ('office.red', '127.0.2.7/32', NULL),
	('six.blue', '2001:db8::/32', NULL), ('six.blue', '::1', NULL), ('six.blue', '::ffff:127.0.3.0', 120);"

kamailio -f kamailio-cfg/kamailio.cfg -L "$modules/:$PWD/target/release/" -w "$dir" -Y "$dir" \
	-P "$dir/kamailio.pid" -DD -E \
	-A "SIP_LISTEN=udp:$proxy" -A "GATEWAY=\"sip:$gateway\"" -A "CTL_SOCKET=\"$ctl\"" \
	-A "DB_URL=\"sqlite:///$db\"" -A "TABLES_FILE=\"$dir/sipwarden.tables\"" -A WORKERS=8 >"$dir/kamailio.log" 2>&1 &
kamailio_pid=$!
sipp -sf tests/sipp/uas.xml -i "${gateway%:*}" -p "$port" -nostdin -bind_local >"$dir/uas.out" 2>&1 &
gateway_pid=$!

tries=100
until rpc sipwarden.version >/dev/null 2>&1; do
	kill -0 "$kamailio_pid" 2>/dev/null || { cat "$dir/kamailio.log" >&2; die "Kamailio did not start"; }
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || die "Kamailio does not answer"
	sleep 0.1
done
grep -o 'sipwarden \[.*' "$dir/kamailio.log" | sed 's/^[^)]*): //'

echo
case_of 127.0.9.9 open.red answered "filter off, any address"
case_of 127.0.1.5 office.red answered "filter on, address in 127.0.1.0/24"
case_of 127.0.2.7 office.red answered "filter on, listed host"
case_of 127.0.2.8 office.red "$forbidden" "filter on, address beside the listed host"
case_of 127.0.9.9 office.red "$forbidden" "filter on, address of nobody"
case_of 127.0.3.9 six.blue answered "filter on, IPv4 range listed as ::ffff:127.0.3.0/120"
case_of 127.0.4.9 six.blue answered "filter on, other address, but alice is a roadwarrior"
case_of 127.0.1.5 closed.blue "$forbidden" "filter on, nothing listed"
case_of 127.0.1.5 nobody.example "$forbidden" "company that does not exist"
asked_of six.blue 2001:db8:7::1 granted_range
asked_of six.blue 2001:db9::1 denied_source

echo
echo "why is 127.0.9.9 refused? kamcmd sipwarden.check office.red 127.0.9.9"
rpc sipwarden.check office.red 127.0.9.9
echo "the customer moves: 127.0.9.0/24 is added, 127.0.1.0/24 goes; kamcmd sipwarden.reload"
sql "DELETE FROM sipwarden_company_address WHERE ip_addr = '127.0.1.0';
INSERT INTO sipwarden_company_address VALUES ('office.red', '127.0.9.0', 24);"
case_of 127.0.9.9 office.red "$forbidden" "before the reload: as before"
rpc sipwarden.reload
case_of 127.0.9.9 office.red answered "after the reload: the new address is granted"
case_of 127.0.1.5 office.red "$forbidden" "after the reload: the old address is not"

echo
echo "a typing error in the database: 127.0.9.300"
sql "UPDATE sipwarden_company_address SET ip_addr = '127.0.9.300' WHERE ip_addr = '127.0.9.0';"
if rpc sipwarden.reload 2>&1 | grep -q '127.0.9.300'; then
	echo "ok       the reload is refused and names the value"
else
	echo "DIFFERS  the reload did not name the value"
	failures=$((failures + 1))
fi
case_of 127.0.9.9 office.red answered "the running tables stay as they were"

echo
echo "roadwarrior: alice@six.blue may place one call at a time from elsewhere"
sipp "$proxy" -sf tests/sipp/uac.xml -s 600 -key domain six.blue -i 127.0.4.9 -bind_local \
	-p $((port + 2)) -m 1 -d 2000 -timeout 10 -nostdin >"$dir/sipp-first.out" 2>&1 &
first=$!
await_line sipwarden.calls 'user: alice@six.blue' "the first call is not counted"
case_of 127.0.5.9 six.blue "$forbidden" "a second call beside it, from a third address"
case_of 127.0.3.9 six.blue answered "a call from a granted address does not count"
wait $first || die "the first call failed"
case_of 127.0.5.9 six.blue answered "after the first call has ended"

echo
echo "an attack: 127.0.6.66 sends 2,000 requests as fast as it can; an honest caller beside it"
printf 'SEQUENTIAL\n127.0.6.66;\n' >"$dir/attacker.csv"
sipp "$proxy" -sf tests/sipp/flood.xml -t ui -ip_field 0 -inf "$dir/attacker.csv" -p $((port + 4)) \
	-m 2000 -r 2000 -max_socket 1000 -nostdin -timeout 20 >"$dir/attack.out" 2>&1 &
attack=$!
await_line sipwarden.blocks 'source: 127.0.6.66' "the attacker is not blocked"
case_of 127.0.9.9 office.red answered "the honest caller, while the attack goes on"
wait $attack || true
rpc sipwarden.blocks
refused=$(rpc sipwarden.source 127.0.6.66 | sed -n 's/^[[:space:]]*reason: //p' | head -n 1)
call_timeout=3
case_of 127.0.6.66 open.red nothing "the attacker calls: no answer at all ($refused)"
call_timeout=10
rpc sipwarden.unblock 127.0.6.66
case_of 127.0.6.66 open.red answered "lifted by hand, it is served again"

# storm NAME ADDRESS DOMAIN: 200 INVITEs at once; prints how many were admitted.
storm() {
	printf 'SEQUENTIAL\n%s;-\n' "$3" >"$dir/storm.csv"
	sipp "$2" -sf tests/sipp/storm.xml -inf "$dir/storm.csv" -i 127.0.0.12 -bind_local -p $((port + 3)) \
		-m 200 -r 20000 -l 200 -timeout 30 -nostdin -trace_logs -log_file "$dir/storm-$1.log" \
		>"$dir/storm.out" 2>&1 || true
	grep -c '^admitted=' "$dir/storm-$1.log" || true
}

echo
echo "a storm: limit 10, 200 INVITEs at once, 8 workers"
admitted=$(storm sipwarden "$proxy" ten.storm)
if [ "$admitted" = 10 ]; then
	echo "ok       sipwarden, limit 10: $admitted admitted of 200"
else
	echo "DIFFERS  sipwarden, limit 10: $admitted admitted of 200"
	failures=$((failures + 1))
fi
left=$(rpc sipwarden.company ten.storm | sed -n 's/^[[:space:]]*calls: //p')
if [ "$left" != 0 ]; then
	echo "DIFFERS  $left calls are still counted"
	failures=$((failures + 1))
fi
stock=127.0.0.13:$port
kamailio -f tools/stock-profiles.cfg -L "$modules/" -w "$dir" -Y "$dir" -P "$dir/stock.pid" -DD -E \
	-A "SIP_LISTEN=udp:$stock" -A "GATEWAY=\"sip:$gateway\"" -A "CTL_SOCKET=\"$ctl.stock\"" \
	-A WORKERS=8 >"$dir/stock.log" 2>&1 &
tries=100
until kamcmd -s "$ctl.stock" core.version >/dev/null 2>&1; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || die "the stock Kamailio does not answer"
	sleep 0.1
done
echo "         stock dialog profiles, limit 10: $(storm stock "$stock" ten.storm) admitted of 200"

echo
if [ "$failures" = 0 ]; then echo "demo: every case as expected"; else die "$failures cases differ"; fi
