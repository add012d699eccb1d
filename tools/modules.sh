#!/bin/sh
# modules.sh kamailio|opensips: prints the folder of the installed modules of that host;
# KAMAILIO_MODULES or OPENSIPS_MODULES overrides.
set -eu
case $1 in
	kamailio)
		given=${KAMAILIO_MODULES:-}
		help="run 'make setup', or set KAMAILIO_MODULES to their folder" ;;
	opensips)
		given=${OPENSIPS_MODULES:-}
		help="set OPENSIPS_MODULES to the folder with sl.so, and OPENSIPS_SRC to the sources of that very version" ;;
	*)
		echo "modules.sh: $1: neither kamailio nor opensips" >&2
		exit 2 ;;
esac
for dir in ${given:-"/usr/lib/$(uname -m)-linux-gnu/$1/modules" "/usr/lib64/$1/modules" "/usr/lib/$1/modules" \
	"/usr/local/lib64/$1/modules" "/usr/local/lib/$1/modules"}; do
	if [ -e "$dir/sl.so" ]; then
		echo "$dir"
		exit 0
	fi
done
echo "no installed modules of $1: $help" >&2
exit 1
