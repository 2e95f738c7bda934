# `make run` and `make test` are the README's two commands. The others are for those who change the code.

CARGO ?= cargo
FUZZ_SECONDS ?= 60

.PHONY: run test check bench fuzz mutants show-foundation show-everyday show-edge show-cache show-variants show-upstreams show-plugins

# Starts the demo site on 127.0.0.1:8080 and 127.0.0.1:8443.
run:
	@integration/setup.sh build
	$(CARGO) build --profile demo -p switchback
	@exec $(CARGO) run --quiet --profile demo -p switchback -- demo

# All tests: unit, documentation and end to end; each bench once, with tiny input. The binary that the end-to-end tests
# start is built with them, because its own package tests it too.
test:
	@integration/setup.sh test
	$(CARGO) test --workspace
	SWITCHBACK_BENCH_TINY=1 $(CARGO) test --workspace --bench '*'

# What is looked at before any test runs.
check:
	@integration/setup.sh build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

bench:
	@integration/setup.sh build
	$(CARGO) bench --workspace --bench '*'

# Each fuzz target for FUZZ_SECONDS.
fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs cargo-fuzz and a nightly toolchain: cargo install cargo-fuzz" >&2; exit 1; }
	cd integration/fuzz && for target in $$($(CARGO) fuzz list); do \
		$(CARGO) +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# Whether the tests of the pure packages notice a change of the code.
mutants:
	@integration/setup.sh build
	@integration/mutants.sh

# Holds the foundation to what was promised of it, and prints the figures.
show-foundation:
	@integration/setup.sh test
	@integration/show/foundation.sh

# Ten everyday sites beside nginx, and what files and logs cost.
show-everyday:
	@integration/setup.sh test
	@integration/show/everyday.sh

# The edge: changes under load, slow clients, idle connections.
show-edge:
	@integration/setup.sh test
	@integration/show/edge.sh

# The cache: conformance, case by case, beside nginx and Varnish.
show-cache:
	@integration/setup.sh test
	@integration/show/cache.sh

# Forms of a response: decoded by programs of other hands, what they save and cost, a browser, bombs.
show-variants:
	@integration/setup.sh show
	@integration/show/variants.sh

# Upstreams: which shard has a key, and what becomes of requests when endpoints fail. PART=mapping plays that part alone.
show-upstreams:
	@integration/setup.sh test
	@integration/show/upstreams.sh $(PART)

# Plugins: one source as each kind, what a call costs. PART=bench plays that part alone.
show-plugins:
	@integration/setup.sh test
	@integration/show/plugins.sh $(PART)
