#!/bin/sh
# Prints the folder of the installed Kamailio's modules; KAMAILIO_MODULES overrides.
set -eu
for dir in ${KAMAILIO_MODULES:-"/usr/lib/$(uname -m)-linux-gnu/kamailio/modules" \
	/usr/lib64/kamailio/modules /usr/lib/kamailio/modules \
	/usr/local/lib64/kamailio/modules /usr/local/lib/kamailio/modules}; do
	if [ -e "$dir/sl.so" ]; then
		echo "$dir"
		exit 0
	fi
done
echo "no installed Kamailio modules: run 'make setup', or set KAMAILIO_MODULES to their folder" >&2
exit 1
