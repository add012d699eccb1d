#!/bin/sh
# Feeds each target in fuzz/ with what libFuzzer makes up, and prints a line of figures for it.
# FUZZ_SECONDS: for each (30). FUZZ_RUNS: until so many executions. FUZZ_TARGETS: only these.
# What has reached something new is kept in target/fuzz, the seeds are in fuzz/corpus.
set -eu
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
limit=-max_total_time=${FUZZ_SECONDS:-30}
[ -z "${FUZZ_RUNS:-}" ] || limit="-runs=$FUZZ_RUNS"
targets=${FUZZ_TARGETS:-$(basename -s .rs fuzz/fuzz_targets/*.rs)}
host=$("$CARGO" -vV | sed -n 's/^host: //p')

# build TARGET PACKAGE...: a target whose way through these packages is counted, edge by edge.
# Each edge that is counted costs as much as the code itself, so neither the models and the host
# of the tests are, nor what reads nothing hostile; and libFuzzer is not told what is compared:
# twice as many executions reach more in the same time. Safe code nearly all of it, so no
# sanitizer: `make sanitize` has them. Debug assertions and checks of overflow are on.
build() {
	target=$1
	shift
	for package in "$@"; do
		set -- "$@" --config \
			"profile.release.package.$package.rustflags=['-Cllvm-args=-sanitizer-coverage-level=3']"
		shift
	done
	flags="--cfg fuzzing -Ctarget-cpu=native -Cpasses=sancov-module"
	for option in sanitizer-coverage-inline-8bit-counters sanitizer-coverage-pc-table \
		simplifycfg-branch-fold-threshold=0; do
		flags="$flags -Cllvm-args=-$option"
	done
	# The flags are not stable; the compiler is.
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags "$CARGO" build -Zprofile-rustflags "$@" --release \
		--manifest-path fuzz/Cargo.toml --target "$host" --bin "$target"
}

failed=
for target in $targets; do
	case $target in
	# Generic code of ours is made where it is used.
	redis | texts) own=sipwarden-fuzz ;;
	*) own= ;;
	esac
	build "$target" sipwarden ipnet maxminddb redis $own
	case $target in
	maxmind) longest=2048 ;;
	tables_file | redis | texts) longest=1024 ;;
	# More bytes are read by nobody, or say the same once more.
	*) longest=512 ;;
	esac
	mkdir -p "target/fuzz/$target" "fuzz/artifacts/$target"
	log=target/fuzz/$target.log
	dictionary=fuzz/dictionaries/$target
	[ -e "$dictionary" ] && dictionary=-dict=$dictionary || dictionary=-verbosity=1
	# 10 s for one input: a hang.
	if "fuzz/target/$host/release/$target" "target/fuzz/$target" "fuzz/corpus/$target" \
		"$limit" "$dictionary" -timeout=10 -rss_limit_mb=4096 -max_len=$longest \
		-print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" >"$log" 2>&1; then
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
