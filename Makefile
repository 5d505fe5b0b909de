# What people run. `make ci` is what CI runs.

CARGO ?= cargo

.PHONY: test ci fmt clippy docs unit demo sim deny deny-tool crash soak bench

# The tests.
test: unit

unit:
	$(CARGO) test --workspace --quiet

# Everything that has to hold before a change lands.
ci: fmt clippy docs test sim demo deny

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

# The whole job on one machine, checked: exits 0 when every delivery has reached its expected end.
demo:
	$(CARGO) run --release --quiet -- demo --once

# The simulator on the seeds that once broke a law, and for about two minutes on fresh ones that are drawn from the commit.
sim:
	commit=$$(git rev-parse HEAD) && \
	$(CARGO) run --release --quiet -p postrider-sim -- --regressions --seeds $$(( 0x$$(printf %.7s "$$commit") )).. --for 110

# Licences, duplicates and sources of all dependencies, always; known vulnerabilities where their list can be fetched. Without a network the
# list cannot be had, and that is said and is no failure; a vulnerability that is found is one.
DENY = cargo-deny --all-features
deny: deny-tool
	$(DENY) check --hide-inclusion-graph licenses bans sources
	@if why=$$(GIT_TERMINAL_PROMPT=0 timeout 120 cargo-deny fetch db 2>&1); then \
		echo "$(DENY) --offline check advisories" && $(DENY) --offline check advisories; \
	else \
		echo "deny: ADVISORIES WERE NOT CHECKED: their database cannot be fetched:" >&2; \
		echo "$$why" | sed 's/^/deny:   /' >&2; \
	fi

DENY_VERSION ?= 0.20.2
deny-tool:
	@cargo-deny --version >/dev/null 2>&1 || $(CARGO) install --locked --quiet --version $(DENY_VERSION) cargo-deny

# Kills the server at random moments under load.
ROUNDS ?= 100
crash:
	POSTRIDER_CRASH_ROUNDS=$(ROUNDS) $(CARGO) test --release -p postrider-tests --test crash -- --nocapture

# A server under steady load: memory and disk have to stay flat.
SECONDS ?= 600
soak:
	POSTRIDER_SOAK=$(SECONDS) $(CARGO) test --release -p postrider-tests --test soak -- --nocapture

# The benchmarks behind docs/benchmarks.md.
bench:
	$(CARGO) bench -p postrider-benches
