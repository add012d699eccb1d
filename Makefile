# sipwarden: `make demo` and `make test` do everything, from set-up on.
CARGO ?= cargo
# The server that the module is for: HOST=opensips, else Kamailio. Each has a folder of its own.
ifeq ($(origin HOST),command line)
ifeq ($(filter kamailio opensips,$(HOST)),)
$(error HOST=$(HOST): neither kamailio nor opensips)
endif
endif
ifeq ($(HOST),opensips)
export SIPWARDEN_HOST = opensips
export CARGO_TARGET_DIR = target/opensips
TARGET = target/opensips
MODULES_DIR = tools/modules.sh opensips
else
TARGET = target
MODULES_DIR = tools/modules.sh kamailio
endif
MODULE = $(TARGET)/release/sipwarden.so
INTEGRATION = target/checks/integration
# Of the packages that are linked into it.
LICENCES = $(TARGET)/release/licences
# Debian packages beyond those that the build needs.
DEMO_PACKAGES = kamailio-sqlite-modules sip-tester sqlite3 redis-server
TEST_PACKAGES = kamailio-python3-modules kamailio-websocket-modules kamailio-tls-modules openssl valgrind $(DEMO_PACKAGES) kamailio-mysql-modules kamailio-postgres-modules kamailio-lua-modules \
	mariadb-server postgresql debhelper lintian sipvicious chromium chromium-driver prometheus nftables iptables ipset iproute2 iputils-ping dnsmasq-base curl stunnel4

.PHONY: setup build demo test test-opensips test-setup beside lint deny unit shuttle faulty fuzz noise integration integration-build run-integration campaign faults scale bench cluster cluster-check sanitize sanitize-short valgrind soak screenshot matrix first-hour deb package-test install clean

# SET_UP=1: it is done, or goes on beside; two at a time would be in each other's way.
setup:
ifndef SET_UP
	@mkdir -p target
	@tools/setup.sh
endif

# The library under its own name beside cargo's, checked against the host's strings.
build: setup
	$(CARGO) build --release --locked
	@cp $(TARGET)/release/libsipwarden.so $(MODULE).new
	@modules=$$($(MODULES_DIR)) && tools/check-abi.sh $(MODULE).new $$modules/sl.so
	@mv $(MODULE).new $(MODULE)

$(LICENCES): Cargo.lock tools/licences.sh | build
	@CARGO="$(CARGO)" tools/licences.sh >$@.new
	@mv $@.new $@

demo: export SETUP_EXTRA = $(DEMO_PACKAGES)
demo: build
	@tools/demo.sh

integration faults scale bench cluster sanitize sanitize-short soak: export SETUP_EXTRA = $(TEST_PACKAGES)
unit cluster-check: export SETUP_EXTRA = redis-server
# Packages of the tests come while they are compiled. Then calls first: their tests wait most of
# the time. What needs no call has what they leave. By the shell: make may wait for one of two jobs
# before it begins the next part of the other.
test: setup
	@$(MAKE) --no-print-directory -j3 SET_UP=1 test-setup build integration-build $(LICENCES)
	@$(MAKE) --no-print-directory SET_UP=1 beside & beside=$$!; \
	$(MAKE) --no-print-directory SET_UP=1 run-integration; result=$$?; \
	wait $$beside || exit; exit $$result
	@$(MAKE) --no-print-directory SET_UP=1 sanitize-short
	@tools/second-host.sh

# Fewer schedules than `make shuttle` draws.
beside: export SCHEDULES ?= 4000
beside:
	@nice -n 19 $(MAKE) --no-print-directory lint unit shuttle
	@CARGO="$(CARGO)" nice -n 19 tools/sanitize.sh --short --build

# The second host, also beside the first one; fails without it. TESTS="SUBJECT:: ..." some of them.
test-opensips:
	@tools/second-host.sh needed
	$(MAKE) build
	$(MAKE) HOST=opensips build faulty
	SIPWARDEN_HOST=opensips $(CARGO) test --locked --profile checks --target-dir target/opensips --test opensips -- $(TESTS)

test-setup: export SETUP_EXTRA = $(TEST_PACKAGES)
test-setup:
	@mkdir -p target
	@tools/setup.sh

lint: setup
	@CARGO="$(CARGO)" tools/lint.sh

# Advisories too, with a network: `cargo install --locked cargo-deny` first. `make unit` checks the
# rest of deny.toml without both; of what is fuzzed the licences are only here read in the packages.
deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "deny: cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny --locked check
	$(CARGO) deny --locked --manifest-path fuzz/Cargo.toml check --config deny.toml

unit: setup
	$(CARGO) test --locked --profile checks --lib --test core

# The protocol of shared limits: all interleavings of small worlds, each rule left out.
# CLUSTER_ONLY: only worlds whose names begin so. CLUSTER_TRACES=1: how each fault comes about.
cluster-check: setup
	$(CARGO) test --locked --profile checks --test core -- cluster:: --include-ignored --nocapture --test-threads=1

# Several proxies with one limit: storms, each fault, faults drawn at random. An observer of
# all calls judges them; its histories are kept in target/cluster. CLUSTER_SECONDS: how long
# faults are drawn, 600 by default. CLUSTER_SEED: as once before.
cluster: build
	$(CARGO) test --locked --profile checks --test integration -- --ignored --nocapture --test-threads=1 \
		$(or $(TESTS),cluster::storms cluster::nemesis cluster::replicas cluster::loss)

# Hostile input for each parser and for the module as a whole, made up by libFuzzer.
# FUZZ_SECONDS=300 for each target (30), FUZZ_RUNS=100000000 instead, FUZZ_TARGETS="rows feeds".
fuzz: setup
	@CARGO="$(CARGO)" tools/fuzz.sh

# SIP messages of all shapes at a running Kamailio with each of the example configurations.
# NOISE: how many for each; NOISE_SEED: others.
noise: export SETUP_EXTRA = $(TEST_PACKAGES)
noise: build
	NOISE=$(or $(NOISE),300000) $(CARGO) test --locked --profile checks --test integration noise:: -- \
		--nocapture --test-threads=1

# Interleavings of atomic operations, drawn by a scheduler.
shuttle: setup
	$(CARGO) test --locked --profile checks --features shuttle --test core

# The module in the build of the tests, into which panics can be injected. A folder of its own: it
# is never taken for the module, and builds for other tests do not replace it. With the examples,
# as all tests are built: else it would be built twice.
faulty: setup
	$(CARGO) build --locked --profile checks --lib --examples
	@mkdir -p $(TARGET)/faulty
	@cp $(TARGET)/checks/libsipwarden.so $(TARGET)/faulty/sipwarden.so.new
	@mv $(TARGET)/faulty/sipwarden.so.new $(TARGET)/faulty/sipwarden.so

integration-build: faulty
	$(CARGO) test --locked --profile checks --test integration --no-run \
		--message-format=json-render-diagnostics >$(INTEGRATION).json
	@ln -sf "$$(sed -n 's/.*"executable":"\([^"]*\/integration-[^"]*\)".*/\1/p' $(INTEGRATION).json)" $(INTEGRATION)

integration: build integration-build $(LICENCES)
	@$(MAKE) --no-print-directory SET_UP=1 run-integration

# So many at a time: those of other targets compute. Not by cargo, which would wait for what
# compiles beside. INTEGRATION_LOG: a file for what they say, apart from what goes on beside.
run-integration sanitize-short: export RUST_TEST_THREADS ?= $(shell echo $$((4 * $$(nproc))))
run-integration: $(LICENCES)
	$(if $(INTEGRATION_LOG),exec >$(INTEGRATION_LOG) 2>&1; )$(INTEGRATION) $$(tools/skipped-tests.sh) $(TESTS)

# Processes killed at many more places, and ten million calls of eight processes.
campaign: setup
	CAMPAIGN=1 $(CARGO) test --locked --profile checks --test core -- --include-ignored --skip cluster::check

# Faults in a Kamailio under traffic, in their long form: more steps, rounds and rows.
faults: build faulty
	FAULTS_LONG=1 $(CARGO) test --locked --profile checks --test integration -- $$(tools/skipped-tests.sh) \
		$(or $(TESTS),faults:: panics:: unwritable:: startup:: reload:: tables_file::)

# The integration tests with the module under sanitizers of memory and of undefined behaviour;
# TESTS="SUBJECT:: ..." some of them. target/sanitize has that build.
sanitize: build $(LICENCES)
	@CARGO="$(CARGO)" tools/sanitize.sh $(TESTS)

# A part of it: messages of all shapes, arguments of all RPCs, functions, panics.
sanitize-short: build
	@CARGO="$(CARGO)" tools/sanitize.sh --short noise::both arguments:: kemi functions panics::

# Start, reload, all functions, all RPCs and stop under valgrind; `make test` does it too.
valgrind: export SETUP_EXTRA = valgrind $(DEMO_PACKAGES)
valgrind: build
	$(CARGO) test --locked --profile checks --test integration -- valgrind::

# Ten million requests with calls, blocks, grants, reloads and RPCs: memory stays as it is.
# SOAK_REQUESTS: another number.
soak: build
	$(CARGO) test --locked --profile checks --test integration -- soak::ten_million --ignored --nocapture

# 100,000 companies with 1,000,000 ranges.
scale: build
	$(CARGO) build --locked --profile checks --examples
	$(CARGO) test --locked --release --test integration scale:: -- --ignored --nocapture

# Beside the stock modules; writes target/bench/summary.json and docs/benchmarks.md.
# HOST=opensips: beside that one's, into docs/opensips.md.
# BENCH="cluster --page": one section, put into that page. BENCH="cluster": for a look.
bench: build
ifeq ($(HOST),opensips)
	$(CARGO) test --locked --profile checks --test opensips -- measured:: --ignored --nocapture
else
	$(CARGO) bench --locked --bench kamailio -- $(BENCH)
endif

# docs/page.png, anew. Needs root: in a network of its own any address is local.
screenshot: export SETUP_EXTRA = $(DEMO_PACKAGES) chromium chromium-driver iproute2 pngquant
screenshot: build
	$(CARGO) test --locked --release --test integration --no-run
	unshare --net sh -c 'ip link set lo up && for net in 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24; \
		do ip route add local $$net dev lo; done && \
		$(CARGO) test --locked --release --test integration screenshot:: -- --ignored'
	pngquant --force --speed 1 --output docs/page.png 96 docs/page.png

# The integration tests in clean Debian systems, TESTS="SUBJECT:: ..." some of them.
RELEASES ?= bookworm trixie
matrix:
	tools/matrix.sh $(RELEASES)

# A Debian package for the Kamailio that is installed or given.
deb: export SETUP_EXTRA = debhelper
deb: build $(LICENCES)
	@tools/deb.sh

# Builds it with the compiler of each release and tries it there, each in a clean Debian.
PACKAGE_RELEASES ?= bookworm trixie
package-test:
	tools/package-test.sh $(PACKAGE_RELEASES)

# The README followed on a clean Debian, each step timed.
first-hour:
	tools/first-hour.sh

# Copies what `make build` has built, and makes the folder for tables and blocks.
KAMAILIO_USER ?= kamailio
STATE = $(DESTDIR)/var/lib/kamailio
install:
	@test -e $(MODULE) || { echo "install: $(MODULE) is missing: run make build first" >&2; exit 1; }
	@modules=$$(tools/modules.sh kamailio) && tools/check-abi.sh $(MODULE) $$modules/sl.so && \
		install -D -m 644 $(MODULE) $(DESTDIR)$$modules/sipwarden.so && \
		echo "install: $(DESTDIR)$$modules/sipwarden.so"
	@install -D -m 755 target/release/sipwarden-countries $(DESTDIR)/usr/local/bin/sipwarden-countries
	@install -D -m 755 kamailio-cfg/feeds/sipwarden-feed $(DESTDIR)/usr/local/bin/sipwarden-feed
	@if [ -d $(STATE) ]; then :; elif [ "$$(id -u)" = 0 ] && id $(KAMAILIO_USER) >/dev/null 2>&1; then \
		install -d -m 750 -o $(KAMAILIO_USER) -g $$(id -gn $(KAMAILIO_USER)) $(STATE) && \
		echo "install: $(STATE), of user $(KAMAILIO_USER)"; \
	else \
		install -d $(STATE) && echo "install: $(STATE); user $(KAMAILIO_USER) must be able to write there"; \
	fi

clean:
	$(CARGO) clean
