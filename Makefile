# What people run. `make ci` is what CI runs.

CARGO ?= cargo

.PHONY: test ci fmt clippy docs unit demo sim deny crash bench

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

# The simulator on fixed seeds, and on one that is drawn from the commit.
sim:
	$(CARGO) run --release --quiet -p postrider-sim -- --seeds 0..200
	$(CARGO) run --release --quiet -p postrider-sim -- --seed $$(( 0x$$(git rev-parse --short=7 HEAD) ))

# Licences, advisories, duplicates.
deny:
	cargo-deny --version >/dev/null 2>&1 || $(CARGO) install --locked --quiet cargo-deny
	cargo-deny --all-features check

# Kills the server at random moments under load.
ROUNDS ?= 100
crash:
	POSTRIDER_CRASH_ROUNDS=$(ROUNDS) $(CARGO) test --release -p postrider-tests --test crash -- --nocapture

# The benchmarks behind docs/benchmarks.md.
bench:
	$(CARGO) bench -p postrider-benches
