#!/bin/sh
# The main job, seen working: real calls through a real Kamailio with
# kamailio-cfg/kamailio.cfg, from granted and other addresses, before and after
# a change in the database. Exits non-zero if any case differs.
set -eu
cd "$(dirname "$0")/.."

modules=$(tools/modules.sh kamailio)
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
# Companies, each with a limit of one call, that get 6 INVITEs each, all at once.
storm_companies=100
storm_invites=$((storm_companies * 6))
workers=32

stop() {
	for pid in "$dir"/*.pid; do
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

# asks the Kamailio behind $ctl
rpc() {
	kamcmd -s "$ctl" "$@"
}

# await_line METHOD TEXT COMPLAINT: until the RPC's answer has the text.
await_line() {
	tries=300
	until rpc "$1" 2>/dev/null | grep -q "$2"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "$3"
		sleep 0.05
	done
}

# told EXPECTED GOT: ends the line that a description has begun.
told() {
	if [ "$1" = "$2" ]; then
		printf ' ok: %s\n' "$2"
	else
		printf ' DIFFERS: %s, expected: %s\n' "$2" "$1"
		failures=$((failures + 1))
	fi
}

# kamailio_of NAME ADDRESS DEFINITION...: starts one with the example configuration.
kamailio_of() {
	name=$1 address=$2
	shift 2
	mkdir -p "$dir/$name"
	kamailio -f kamailio-cfg/kamailio.cfg -L "$modules/:$PWD/target/release/" -w "$dir/$name" -Y "$dir/$name" \
		-P "$dir/$name.pid" -DD -E \
		-A "SIP_LISTEN=udp:$address" -A "GATEWAY=\"sip:$gateway\"" -A "DB_URL=\"sqlite:///$db\"" \
		-A "TABLES_FILE=\"$dir/$name.tables\"" -A 'FLOOD_UNPROVEN="block"' -A WORKERS=$workers "$@" \
		>"$dir/$name.log" 2>&1 &
}

# case_of SOURCE DOMAIN EXPECTED DESCRIPTION: a call, and how it ends.
case_of() {
	printf '  %-62s' "$4"
	rm -f "$dir/uac.log"
	# SIPp's own -timeout waits for retransmissions, half a minute.
	timeout $call_timeout sipp "$proxy" -sf tests/sipp/uac.xml -s 600 -key domain "$2" -i "$1" -bind_local \
		-p $((port + 1)) -m 1 -d 50 -nostdin -trace_logs -log_file "$dir/uac.log" >"$dir/sipp.out" 2>&1 || true
	got=$(sed -n 's/^result=//p' "$dir/uac.log" 2>/dev/null | head -n 1)
	told "$3" "${got:-no answer}"
}

# asked_of COMPANY IP EXPECTED: the same question through the RPC.
asked_of() {
	printf '  %-62s' "kamcmd sipwarden.check $1 $2"
	told "$3" "$(rpc sipwarden.check "$1" "$2" | sed -n 's/^[[:space:]]*reason: //p' | head -n 1)"
}

# Of an answer to sipwarden.check: the verdict and its steps.
short() {
	sed -n -e 's/^[[:space:]]*\(verdict: \)/    \1/p' -e '/^[[:space:]]*steps: {/,/}/{//!s/^[[:space:]]*/    /p}'
}

say() {
	printf '\n%s\n' "$*"
}

forbidden='403 Forbidden (invalid IP)'

echo "demo: Kamailio with kamailio-cfg/kamailio.cfg and a SIPp gateway, on addresses 127.0.0.0/8"
storm_rows=
for n in $(seq $storm_companies); do
	storm_rows="$storm_rows, ('s$n.storm', 'storm', 0, 1)"
done
sqlite3 -bail "$db" <kamailio-cfg/sql/sqlite/sipwarden.sql
sql "
INSERT INTO sipwarden_brand VALUES ('red', 0), ('blue', 0), ('storm', 0);
INSERT INTO sipwarden_company VALUES
	('open.red', 'red', 0, 0), ('office.red', 'red', 1, 0),
	('six.blue', 'blue', 1, 0), ('closed.blue', 'blue', 1, 0) $storm_rows;
INSERT INTO sipwarden_user VALUES ('alice@six.blue', 'six.blue', 1);
INSERT INTO sipwarden_trusted VALUES ('127.0.0.11', NULL, 'exempt'), ('127.0.0.12', NULL, 'exempt');
INSERT INTO sipwarden_company_address VALUES
	('office.red', '127.0.1.0', 24), ('office.red', '127.0.2.7/32', NULL),
	('six.blue', '2001:db8::/32', NULL), ('six.blue', '::1', NULL), ('six.blue', '::ffff:127.0.3.0', 120);"

kamailio_of kamailio "$proxy" -A "CTL_SOCKET=\"$ctl\""
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

say "Which addresses may a company's users call from?"
case_of 127.0.9.9 open.red answered "open.red, no filter, from 127.0.9.9"
case_of 127.0.1.5 office.red answered "office.red has 127.0.1.0/24, from 127.0.1.5"
case_of 127.0.2.7 office.red answered "office.red has 127.0.2.7, from there"
case_of 127.0.2.8 office.red "$forbidden" "office.red, from the address beside it"
case_of 127.0.9.9 office.red "$forbidden" "office.red, from 127.0.9.9"
case_of 127.0.3.9 six.blue answered "six.blue has ::ffff:127.0.3.0/120, from 127.0.3.9"
case_of 127.0.1.5 closed.blue "$forbidden" "closed.blue, filter on and no range"
case_of 127.0.1.5 nobody.example "$forbidden" "nobody.example, a company that does not exist"
asked_of six.blue 2001:db8:7::1 granted_range
asked_of six.blue 2001:db9::1 denied_source

say "Why is 127.0.9.9 refused? kamcmd sipwarden.check office.red 127.0.9.9"
rpc sipwarden.check office.red 127.0.9.9 | short

say "The customer moves: 127.0.9.0/24 comes, 127.0.1.0/24 goes."
sql "DELETE FROM sipwarden_company_address WHERE ip_addr = '127.0.1.0';
INSERT INTO sipwarden_company_address VALUES ('office.red', '127.0.9.0', 24);"
case_of 127.0.9.9 office.red "$forbidden" "before the reload, from 127.0.9.9"
printf '  kamcmd sipwarden.reload:'
rpc sipwarden.reload | sed -n -e 's/^[[:space:]]*\(generation: .*\)/ \1/p' | head -n 1
case_of 127.0.9.9 office.red answered "after the reload, from 127.0.9.9"
case_of 127.0.1.5 office.red "$forbidden" "after the reload, from 127.0.1.5"

say "A typing error in the database: 127.0.9.300"
sql "UPDATE sipwarden_company_address SET ip_addr = '127.0.9.300' WHERE ip_addr = '127.0.9.0';"
fault=$(rpc sipwarden.reload 2>&1) || true
echo "$fault" | sed 's/^/    /'
printf '  %-62s' "the reload is refused and names the value"
told 127.0.9.300 "$(echo "$fault" | grep -o '127.0.9.300' | head -n 1)"
case_of 127.0.9.9 office.red answered "the running tables stay as they were"

sql "UPDATE sipwarden_company_address SET ip_addr = '127.0.9.0' WHERE ip_addr = '127.0.9.300';"

say "A roadwarrior: alice@six.blue may have one call at a time from elsewhere"
sipp "$proxy" -sf tests/sipp/uac.xml -s 600 -key domain six.blue -i 127.0.4.9 -bind_local \
	-p $((port + 2)) -m 1 -d 2000 -timeout 10 -nostdin >"$dir/sipp-first.out" 2>&1 &
first=$!
await_line sipwarden.calls 'user: alice@six.blue' "the first call is not counted"
case_of 127.0.5.9 six.blue "$forbidden" "a second call beside it, from another address"
case_of 127.0.3.9 six.blue answered "a call from a granted address does not count"
wait $first || die "the first call failed"
case_of 127.0.5.9 six.blue answered "after the first call has ended"

say "An attack: 127.0.6.66 sends 2,000 requests as fast as it can (flood_unproven is block)"
printf 'SEQUENTIAL\n127.0.6.66;\n' >"$dir/attacker.csv"
sipp "$proxy" -sf tests/sipp/flood.xml -t ui -ip_field 0 -inf "$dir/attacker.csv" -p $((port + 4)) \
	-m 2000 -r 2000 -max_socket 1000 -nostdin -timeout 20 >"$dir/attack.out" 2>&1 &
attack=$!
await_line sipwarden.blocks 'source: 127.0.6.66' "the attacker is not blocked"
case_of 127.0.9.9 office.red answered "an honest caller meanwhile"
wait $attack || true
printf '  kamcmd sipwarden.blocks:'
rpc sipwarden.blocks | sed -n -e 's/^[[:space:]]*\(source\|reason\|seconds_left\|requests\): \(.*\)/ \1 \2/p' | tr -d '\n'
echo
call_timeout=2
case_of 127.0.6.66 open.red "no answer" "the attacker calls"
call_timeout=10
rpc sipwarden.unblock 127.0.6.66 >/dev/null
case_of 127.0.6.66 open.red answered "kamcmd sipwarden.unblock 127.0.6.66, and it calls again"

# storm NAME ADDRESS: 6 INVITEs at once for each company.
# A call lasts longer than the repeats of an INVITE that was lost: one that came after
# its end would be admitted, and rightly.
sed 's/timeout="300000"/timeout="5000"/' tests/sipp/storm.xml >"$dir/storm.xml"
{
	echo SEQUENTIAL
	for n in $(seq $storm_companies); do
		for _ in 1 2 3 4 5 6; do echo "s$n.storm;-"; done
	done
} >"$dir/storm.csv"
storm() {
	timeout 30 sipp "$2" -sf "$dir/storm.xml" -inf "$dir/storm.csv" -i 127.0.0.12 -bind_local -p $((port + 3)) \
		-m $storm_invites -r 20000 -l $storm_invites -nostdin -trace_logs -log_file "$dir/storm-$1.log" >"$dir/storm.out" 2>&1 || true
}
# admitted NAME: how many were, in all storms whose names begin so.
admitted() {
	sed -n 's/^admitted=//p' "$dir/storm-$1"*.log | sort | uniq -c >"$dir/storm-$1.counts"
	awk '{ all += $1; if ($1 > 1) broken++ } END { print all + 0 " admitted, " broken + 0 " limits broken" }' \
		"$dir/storm-$1.counts"
}

say "A storm: $storm_companies companies with a limit of one call get 6 INVITEs each, at once; $workers workers"
printf '  %-62s' "sipwarden"
storm sipwarden "$proxy"
told "$storm_companies admitted, 0 limits broken" "$(admitted sipwarden)"
printf '  %-62s' "calls that are still counted afterwards"
told "total: 0" "$(rpc sipwarden.calls | sed -n 's/^[[:space:]]*\(total: .*\)/\1/p')"
stock=127.0.0.13:$port
printf '  %-62s' "stock dialog profiles: ask, compare, set"
kamailio -f tools/stock-profiles.cfg -L "$modules/" -w "$dir" -Y "$dir" -P "$dir/stock.pid" -DD -E \
	-A "SIP_LISTEN=udp:$stock" -A "GATEWAY=\"sip:$gateway\"" -A "CTL_SOCKET=\"$ctl.stock\"" \
	-A WORKERS=$workers -A LIMIT=1 >"$dir/stock.log" 2>&1 &
tries=100
until kamcmd -s "$ctl.stock" core.version >/dev/null 2>&1; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || die "the stock Kamailio does not answer"
	sleep 0.1
done
# Whether two workers meet is chance: up to three rounds.
for round in 1 2 3; do
	storm "stock$round" "$stock"
	printf ' round %s: %s\n' $round "$(admitted "stock$round")"
	! grep -q ' [2-9] ' "$dir/storm-stock$round.counts" || break
	printf '  %-62s' ""
done

say "Two proxies and one limit: the same storm over each, at once; they share their limits over Redis"
redis=$dir/redis.sock
redis-server --port 0 --unixsocket "$redis" --save "" --appendonly no --pidfile "$dir/redis.pid" >"$dir/redis.log" 2>&1 &
tries=100
until [ -S "$redis" ]; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || die "redis-server does not start, see $dir/redis.log"
	sleep 0.05
done
one=127.0.0.14:$port
two=127.0.0.15:$port
for name in one two; do
	[ $name = one ] && address=$one || address=$two
	kamailio_of $name "$address" -A "CTL_SOCKET=\"unix:$dir/$name.ctl\"" -A "CLUSTER_URL=\"unix://$redis\"" \
		-A "CLUSTER_SECRET=\"a text of this demo\"" -A "CLUSTER_NODE=\"$name\""
done
for name in one two; do
	ctl=unix:$dir/$name.ctl
	await_line sipwarden.cluster 'members: 2' "the proxies do not find each other"
	await_line sipwarden.cluster 'state: exact' "the proxies do not share their limits"
done
storm both-one "$one" &
first=$!
storm both-two "$two"
wait $first
printf '  %-62s' "sipwarden on both"
told "$storm_companies admitted, 0 limits broken" "$(admitted both)"

echo
if [ "$failures" = 0 ]; then echo "demo: every case as expected"; else die "$failures cases differ"; fi
