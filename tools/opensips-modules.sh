#!/bin/sh
# Prints the folder of the installed OpenSIPS's modules; OPENSIPS_MODULES overrides.
set -eu
for dir in ${OPENSIPS_MODULES:-"/usr/lib/$(uname -m)-linux-gnu/opensips/modules" \
	/usr/lib64/opensips/modules /usr/lib/opensips/modules \
	/usr/local/lib64/opensips/modules /usr/local/lib/opensips/modules}; do
	if [ -e "$dir/sl.so" ]; then
		echo "$dir"
		exit 0
	fi
done
echo "no module of OpenSIPS here: set OPENSIPS_MODULES to the folder with sl.so, and OPENSIPS_SRC to the sources of that very version" >&2
exit 1
