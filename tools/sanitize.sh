#!/bin/sh
# Builds the module with AddressSanitizer and all checks of Rust, and its shim with
# AddressSanitizer and UndefinedBehaviorSanitizer; runs the integration tests with it.
# Arguments: `--short`: only the module's own code is built so, beside what the tests have built;
# `--build`: no tests; words in the names of tests, all if none. The runtimes are gcc's: Kamailio
# itself is not built with them, so they are loaded before it.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
dir=$PWD/target/sanitize
host=$(rustc -vV | sed -n 's/^host: //p')

# runtime NAME: where that library is.
runtime() {
	path=$(gcc -print-file-name="$1")
	[ "$path" != "$1" ] || {
		echo "sanitize: gcc has no $1: apt-get install libgcc-$(gcc -dumpversion)-dev" >&2
		exit 1
	}
	readlink -f "$path"
}
asan=$(runtime libasan.so)
ubsan=$(runtime libubsan.so)

# The compiler of a release has the sanitizers as what is not stable yet. Panics can be injected
# into this build.
flags="-Zsanitizer=address -Cforce-frame-pointers=yes"
export CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
if [ "${1:-}" = --short ]; then
	shift
	dir=$dir/short
	mkdir -p "$dir"
	# For this package alone: others would be built anew, and then once more without it.
	printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec "$@"\n' >"$dir/rustc"
	chmod +x "$dir/rustc"
	# shellcheck disable=SC2086
	RUSTC_WORKSPACE_WRAPPER="$dir/rustc" "$cargo" rustc --locked --lib --features planted \
		--profile checks -- $flags -Coverflow-checks=on
	cp target/checks/libsipwarden.so "$dir/sipwarden.so"
else
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags "$cargo" build --locked --lib --features planted \
		--profile sanitize --target "$host" --target-dir "$dir"
	cp "$dir/$host/sanitize/libsipwarden.so" "$dir/sipwarden.so"
fi
unset CFLAGS
for wanted in __asan_report_load8 __ubsan_handle_type_mismatch_v1; do
	nm -D "$dir/sipwarden.so" | grep -q "$wanted" || {
		echo "sanitize: the module has no $wanted: it was not built with that sanitizer" >&2
		exit 1
	}
done

[ "${1:-}" != --build ] || exit 0

export SIPWARDEN_SO="$dir/sipwarden.so" SIPWARDEN_FAULTY_SO="$dir/sipwarden.so"
export SIPWARDEN_SANITIZER="$asan $ubsan"
# Where the kernel scatters addresses widely, they may be where the runtime has its own memory.
fixed=
! setarch -R true 2>/dev/null || fixed="setarch -R"
"$cargo" build --locked --profile checks --examples
# What is planted is found: without that, that nothing is found says nothing.
$fixed "$cargo" test --locked --profile checks --test integration -- planted:: --ignored
# Left out: what limits or measures address space and memory, of which the sanitizer takes its own,
# that no panic can be injected into the module (into this one it can), valgrind, and Kamailios that
# are started by a line of a guide or by the package, without the runtimes.
# shellcheck disable=SC2046
$fixed "$cargo" test --locked --profile checks --test integration -- $(tools/skipped-tests.sh) \
	--skip a_size_for_which_there_is_no_room --skip sizing:: --skip soak:: \
	--skip faults::memory:: --skip pools::without_shared --skip pools::with_hardly --skip package:: \
	--skip no_test_double_is_in_it --skip guide::from_the_views --skip valgrind::nothing "$@"
