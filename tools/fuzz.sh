#!/bin/sh
# Feeds each target in fuzz/ with what libFuzzer makes up, and prints a line of figures for it.
# FUZZ_SECONDS: for each (30). FUZZ_RUNS: until so many executions. FUZZ_TARGETS: only these.
# What has reached something new is kept in target/fuzz, the seeds are in fuzz/corpus.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
if ! "$CARGO" fuzz --version >/dev/null 2>&1; then
	echo "fuzz: cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2
	exit 1
fi
# The flags that count coverage are not stable; the compiler is.
export RUSTC_BOOTSTRAP=1
limit=-max_total_time=${FUZZ_SECONDS:-30}
[ -z "${FUZZ_RUNS:-}" ] || limit="-runs=$FUZZ_RUNS"
# Safe code nearly all of it, so no sanitizer: `make sanitize` has them. Debug assertions and
# checks of overflow are on.
"$CARGO" fuzz build --sanitizer none
mkdir -p target/fuzz
failed=
for target in ${FUZZ_TARGETS:-$("$CARGO" fuzz list)}; do
	mkdir -p "target/fuzz/$target"
	log=target/fuzz/$target.log
	dictionary=fuzz/dictionaries/$target
	[ -e "$dictionary" ] && dictionary=-dict=$dictionary || dictionary=-verbosity=1
	# 10 s for one input: a hang.
	if "$CARGO" fuzz run --sanitizer none "$target" "target/fuzz/$target" "fuzz/corpus/$target" -- \
		"$limit" "$dictionary" -timeout=10 -rss_limit_mb=4096 -max_len=2048 -print_final_stats=1 \
		>"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		reached=$(sed -n 's/.* \(cov: [0-9]* ft: [0-9]*\) .*/\1/p' "$log" | tail -n 1)
		seconds=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
		echo "fuzz: $target: $runs executions in $seconds s, $reached"
	else
		tail -n 60 "$log" >&2
		echo "fuzz: $target: FAILED: $log" >&2
		failed="$failed $target"
	fi
done
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }
