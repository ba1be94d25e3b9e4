# The recipes that README and CI call. Each is one line of work; the rest is in scripts/.

.PHONY: demo test deps lint unit onnx minilm stage1 recordings release smoke schemathesis hostile endurance clients peers load bench micro fuzz schema deny

# The main job, with no account and no key.
demo:
	scripts/install-build-deps
	cargo run --release --locked --bin signalbox -- demo

# Everything that CI runs: the recipes below, with the time each took.
test:
	scripts/test

# What a bare machine lacks for building and for the tests.
deps:
	scripts/install-build-deps
	scripts/install-test-deps

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask check-layers
	cargo xtask check-files
	scripts/check-systemd

unit:
	cargo test --workspace --locked

# The router's model through ONNX Runtime, whose library is fetched.
onnx:
	scripts/onnx

# MiniLM and the library that runs it, for `cache.semantic.embedder: minilm`, into target/.
minilm:
	scripts/fetch-onnxruntime
	scripts/fetch-minilm

# The transformer of `router.stage1`, trained here on ../shared/router-data, and the library that runs it, into target/. Not part of
# `test`: it installs 5 GB of PyTorch and takes some ten minutes of one core.
stage1:
	scripts/build-stage1

# Replays recorded provider traffic, which is kept beside the repository in ../shared/fixtures.
recordings:
	cargo test --locked -p providers --features recordings --test recordings

release:
	cargo build --release --locked --bin signalbox --bin mock-upstream

# The OpenAI and Anthropic SDKs against a running gateway.
smoke:
	scripts/smoke

# The admin API as its OpenAPI document describes it, and as it does not, on a gateway with a store.
schemathesis:
	scripts/schemathesis

# 100,000 malformed and hostile requests over raw sockets; `make hostile REQUESTS=5000` is what `test` runs.
hostile:
	REQUESTS=$(REQUESTS) scripts/hostile

# Minutes under faults, overload, upgrades and floods: load-tests/endurance; `make endurance RUN=upgrades` for one.
endurance: release
	cargo build --release --locked --bin probe
	scripts/endurance $(RUN)

# Many more SDKs and four coding agents: not in `test`, since they are 1.5 GB to install and take minutes.
clients:
	scripts/clients $(CLIENTS)

# 20 seconds of k6.
load:
	scripts/load

# Real LiteLLM, Portkey and OptiLLM behind Signalbox and in front of it. Not part of `test`: it installs 1.1 GB.
peers:
	scripts/peers $(PEERS)

# What a request costs, as a ratio to nginx and a bare Pingora pass-through: some 10 minutes, better on a quiet machine.
bench:
	scripts/install-bench-deps
	bench/macro/run.py $(BENCH)

# Parse, splice, translate, event codec; a key's limits among many keys.
micro:
	cargo bench --locked -p lookups
	cargo bench --locked -p bench

# Every decoder for ten minutes: `make fuzz`, or one for a minute: `make fuzz FUZZ=streams/bedrock FUZZ_SECONDS=60`.
fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz $(FUZZ)

# The configuration's JSON Schema, kept in the repository for editors.
schema:
	cargo run --locked --bin signalbox -- schema > conf/signalbox.schema.json

# Licences, advisories, bans, sources. Needs the network and `cargo install cargo-deny --locked`.
deny:
	cargo deny --locked check
