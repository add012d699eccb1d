#!/bin/sh
# Prints the arguments by which the integration tests leave out what cannot run on
# this machine; says what that is, and why.
set -eu
cd "$(dirname "$0")/.."

skip() {
	why=$1
	shift
	echo "tests: $why: left out: $*" >&2
	for name in "$@"; do
		printf -- '--skip %s ' "$name"
	done
}

if ! unshare --net --mount true 2>/dev/null; then
	# shellcheck disable=SC2046
	skip "no network namespaces here (they need root)" \
		$(grep -l 'support::\(netns\|machine\)' tests/integration/*.rs tests/hosts/*.rs | sed 's:.*/\(.*\)\.rs:\1:;s/$/::/')
fi
[ -e /proc/net/if_inet6 ] && grep -q '^0*1 ' /proc/net/if_inet6 ||
	skip "no IPv6 on loopback" _over_ipv6
# The server beside the modules that KAMAILIO_MODULES names, else the installed one.
server=kamailio
dir=${KAMAILIO_MODULES:-/}
while [ "$dir" != / ] && [ "$dir" != . ]; do
	dir=$(dirname "$dir")
	[ ! -x "$dir/sbin/kamailio" ] || { server=$dir/sbin/kamailio && break; }
done
! "$server" -v | grep -q 'kamailio 5\.' ||
	skip "this is Kamailio 5" _in_kamailio_6
[ -z "${KAMAILIO_MODULES:-}" ] || skip "this Kamailio is not Debian's" package::
# A Kamailio that was built from source may have few modules.
modules=$(tools/modules.sh kamailio)
needs() {
	[ -e "$modules/$1.so" ] || skip "this Kamailio has no $1.so" "$2"
}
needs app_jsdt engines::javascript
needs app_lua engines::lua
needs app_python3 engines::python
needs async routes::
needs tls transports::
needs websocket transports::
needs db_cluster startup::a_scheme_that_is_not_supported_stops_the_start
