#!/bin/sh
# Format and lints, of the Rust that is here. Debian has both in packages of their own.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
for tool in fmt clippy; do
	"$cargo" "$tool" --version >/dev/null 2>&1 || {
		echo "lint: NOT RUN: this cargo ($(command -v "$cargo")) has no $tool: apt-get install rustfmt rust-clippy, or rustup component add rustfmt clippy"
		exit 0
	}
done
"$cargo" fmt --check
"$cargo" fmt --manifest-path fuzz/Cargo.toml --check
"$cargo" clippy --locked --profile checks --features planted --all-targets --test opensips -- -D warnings
