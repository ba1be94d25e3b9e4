# The recipes that README and CI call. Each is one line of work; the rest is in scripts/.

.PHONY: demo test lint unit recordings release smoke load schema deny

# The main job, with no account and no key.
demo:
	scripts/install-build-deps
	cargo run --release --locked --bin signalbox -- demo

# Everything that CI runs.
test:
	scripts/install-build-deps
	scripts/install-test-deps
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) recordings
	$(MAKE) release
	$(MAKE) smoke
	$(MAKE) load

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask check-layers
	cargo xtask check-files

unit:
	cargo test --workspace --locked

# Replays recorded provider traffic, which is kept beside the repository in ../shared/fixtures.
recordings:
	cargo test --locked -p providers --features recordings --test recordings

release:
	cargo build --release --locked --bin signalbox --bin mock-upstream

# The OpenAI and Anthropic SDKs against a running gateway.
smoke:
	scripts/smoke

# 20 seconds of k6.
load:
	scripts/load

# The configuration's JSON Schema, kept in the repository for editors.
schema:
	cargo run --locked --bin signalbox -- schema > conf/signalbox.schema.json

# Licences, advisories, bans, sources. Needs cargo-deny and the network.
deny:
	cargo deny check
