#!/bin/sh
# Says how many tests of the second host did not run, as no package has its headers and
# no test here can build it. With "needed": fails unless it is there.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" = needed ]; then
	tools/modules.sh opensips >/dev/null
	[ -e "${OPENSIPS_SRC:-/nonexistent}/sr_module.h" ] && exit 0
	echo "test-opensips: set OPENSIPS_SRC to the sources of the very OpenSIPS that is installed" >&2
	exit 1
fi
count=$(grep -hr '^#\[test\]' tests/opensips tests/hosts | wc -l)
echo "opensips: NOT RUN: $count tests in a real OpenSIPS; make test-opensips runs them, with OPENSIPS_SRC and OPENSIPS_MODULES"
