# Lifeboat. Each target installs the Debian packages it misses (scripts/needs.sh) and nothing else.

CARGO ?= cargo

.PHONY: help rehearse test lint bench prove install-needs

help:
	@echo 'make rehearse       build Lifeboat and a practice cluster, and be led through a restore drill on it'
	@echo 'make test           all tests, those on real PostgreSQL and pgBackRest as well'
	@echo 'make lint           format, clippy and rustdoc, warnings denied'
	@echo 'make bench          the figures (benches/)'
	@echo 'make prove          the long proofs: what the tests sample, tried at every point'
	@echo 'make install-needs  install missing packages: postgresql, pgbackrest'

install-needs:
	sh scripts/needs.sh

rehearse:
	sh scripts/needs.sh
	$(CARGO) build --release --locked
	target/release/lifeboat rehearse

test:
	sh scripts/needs.sh
	$(CARGO) test --locked

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

bench:
	sh scripts/needs.sh jq
	$(CARGO) bench --locked

# Tests read LIFEBOAT_PROVE: where it is 1, a test that samples (five kill points, a few seeds) goes through all of them.
# The same tests run in both, so that none can be skipped unnoticed.
prove:
	sh scripts/needs.sh
	LIFEBOAT_PROVE=1 $(CARGO) test --locked --release
