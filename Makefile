# Lifeboat. Each target installs the Debian packages it misses (scripts/needs.sh) and nothing else.

CARGO ?= cargo

.PHONY: help rehearse test lint bench pictures prove prove-systemd install-needs

help:
	@echo 'make rehearse       build Lifeboat and a practice cluster, break it, and be led through the recovery'
	@echo 'make test           all tests, those on real PostgreSQL and pgBackRest as well'
	@echo 'make lint           format, clippy and rustdoc, warnings denied'
	@echo 'make bench          the figures (benches/)'
	@echo 'make pictures       the pictures in assets/, from the real program on a real rehearsal'
	@echo 'make prove          the long proofs: what the tests sample, tried at every point'
	@echo 'make prove-systemd  what a real systemd and real cluster managers show, in a Debian of its own (root, debootstrap, systemd-nspawn)'
	@echo 'make install-needs  install missing packages: postgresql, pgbackrest'

install-needs:
	sh scripts/needs.sh

# Leaving the rehearsal is no failure: 3 says that the incident still waits for somebody.
rehearse:
	sh scripts/needs.sh
	$(CARGO) build --release --locked
	target/release/lifeboat rehearse || [ $$? -eq 3 ]

# Tests on real programs wait more than they work: with two at once on two cores, both cores stood still half of the time.
test:
	sh scripts/needs.sh sudo
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} $(CARGO) test --locked --no-fail-fast

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

bench:
	sh scripts/needs.sh jq htop less
	$(CARGO) bench --locked --no-fail-fast

# Two to three minutes: a rehearsal is led to its pause, and recorded.
pictures:
	sh scripts/needs.sh
	$(CARGO) build --locked
	$(CARGO) run --locked --example pictures -- target/debug/lifeboat assets

# Two things make it more than `make test`:
# - LIFEBOAT_PROVE=1: a test that samples goes through everything instead (tests/real: the runner is killed after every
#   entry of the journal, not at five). The same tests run in both, so that none can be skipped unnoticed.
# - PROPTEST_CASES and a seed of its own: property tests try that many inputs. The seed is printed: to see a failure
#   again, `make prove SEED=…`. What fails is written to a .proptest-regressions file as well.
CASES ?= 4096
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')

prove:
	sh scripts/needs.sh sudo
	@echo 'make prove: CASES=$(CASES) SEED=$(SEED)'
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} LIFEBOAT_PROVE=1 PROPTEST_CASES=$(CASES) PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --locked --profile prove --no-fail-fast

# A Debian 12 is made with debootstrap, booted with systemd-nspawn, and thrown away: about eight minutes.
prove-systemd:
	sh scripts/needs.sh debootstrap systemd-nspawn
	$(CARGO) build --locked
	sh scripts/systemd.sh target/debug/lifeboat
