//! Who may depend on whom: the arrows of ARCHITECTURE.md as data. Owns no logic beyond matching a
//! name; a new crate is a new line here, and a check fails until it has one.

/// What one crate of the workspace may depend on.
#[derive(Clone, Copy, Debug)]
pub struct CrateRule {
    /// The package's name.
    pub name: &'static str,
    /// Which crates of ours.
    pub ours: Ours,
    /// Which crates of others, beyond what [`OWNED`] keeps for one owner.
    pub others: Others,
    /// Why.
    pub reason: &'static str,
}

/// Crates of this workspace.
#[derive(Clone, Copy, Debug)]
pub enum Ours {
    /// Every one.
    Any,
    /// These.
    Only(&'static [&'static str]),
}

/// Crates from a registry. A name that ends in `*` stands for all names that begin so.
#[derive(Clone, Copy, Debug)]
pub enum Others {
    /// Every one without another owner.
    Any,
    /// These.
    Only(&'static [&'static str]),
    /// Every one but these.
    Except(&'static [&'static str]),
}

/// A library that only its owners may name, so that replacing it touches one crate.
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    /// The library, or with a `*` at the end a family of them.
    pub library: &'static str,
    /// The crates that may depend on it.
    pub owners: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// HTTP and sockets, which the crates below the gateway must not know.
const NETWORK: &[&str] =
    &["http", "http-body*", "hyper*", "h2", "reqwest", "axum*", "tower*", "tungstenite", "tokio-tungstenite"];

/// The same, and everything that would make a translation wait.
const NETWORK_AND_ASYNC: &[&str] = &[
    "http",
    "http-body*",
    "hyper*",
    "h2",
    "reqwest",
    "axum*",
    "tower*",
    "tungstenite",
    "tokio*",
    "async-*",
    "futures*",
    "smol*",
];

/// Every crate of the workspace.
pub const CRATES: &[CrateRule] = &[
    CrateRule {
        name: "domain",
        ours: Ours::Only(&[]),
        others: Others::Only(&["serde", "thiserror"]),
        reason: "every crate shares these nouns, so whatever they depend on, all depend on",
    },
    CrateRule {
        name: "providers",
        ours: Ours::Only(&["domain"]),
        others: Others::Except(NETWORK_AND_ASYNC),
        reason: "wire formats are bytes in, bytes out: no I/O, no async, no sibling",
    },
    CrateRule {
        name: "cache",
        ours: Ours::Only(&["domain"]),
        others: Others::Except(NETWORK),
        reason: "siblings know neither each other nor HTTP; the gateway joins them",
    },
    CrateRule {
        name: "router-model",
        ours: Ours::Only(&["domain"]),
        others: Others::Except(NETWORK),
        reason: "siblings know neither each other nor HTTP; the gateway joins them",
    },
    CrateRule {
        name: "journal",
        ours: Ours::Only(&[]),
        others: Others::Only(&["memmap2", "rustix", "tempfile"]),
        reason: "the one crate with unsafe code stays small enough to be read at a sitting",
    },
    CrateRule {
        name: "store",
        ours: Ours::Only(&["domain"]),
        others: Others::Except(NETWORK),
        reason: "siblings know neither each other nor HTTP; the gateway joins them",
    },
    CrateRule {
        name: "cluster",
        ours: Ours::Only(&["domain"]),
        others: Others::Except(NETWORK),
        reason: "siblings know neither each other nor HTTP; the gateway joins them",
    },
    CrateRule {
        name: "gateway",
        // mock-upstream: `signalbox demo` runs it in the same process.
        ours: Ours::Only(&[
            "domain",
            "providers",
            "cache",
            "router-model",
            "journal",
            "store",
            "cluster",
            "mock-upstream",
        ]),
        others: Others::Any,
        reason: "the gateway joins the crates below it and is known by none of them",
    },
    CrateRule {
        name: "mock-upstream",
        ours: Ours::Only(&[]),
        others: Others::Any,
        reason: "a provider's stand-in that shared our code would share our mistakes",
    },
    CrateRule { name: "bench", ours: Ours::Any, others: Others::Any, reason: "it measures every crate" },
    CrateRule {
        name: "xtask",
        ours: Ours::Only(&[]),
        others: Others::Any,
        reason: "it reads manifests and sources, so that it runs while nothing else compiles",
    },
];

/// Libraries with owners.
pub const OWNED: &[Owned] = &[
    Owned { library: "memmap2", owners: &["journal"], reason: "a mapping is unsafe, and is so in one place" },
    Owned { library: "foyer*", owners: &["cache"], reason: "how answers are kept is the cache's secret" },
    Owned { library: "xxhash-rust", owners: &["cache"], reason: "one crate computes cache keys, in one way" },
    Owned {
        library: "ort",
        owners: &["router-model"],
        reason: "ONNX Runtime is native code: one crate binds it",
    },
    Owned { library: "tokenizers", owners: &["router-model"], reason: "tokens are counted in one place" },
    Owned {
        library: "sqlx*",
        owners: &["store"],
        reason: "no database on the request path, no SQL elsewhere",
    },
    Owned {
        library: "redis*",
        owners: &["cluster"],
        reason: "a request waits for Redis in one place, with one deadline and one breaker",
    },
    Owned {
        library: "pingora*",
        owners: &["gateway", "bench"],
        reason: "Pingora's interfaces change with every minor version; bench holds the bare pass-through to compare with",
    },
    Owned {
        library: "prometheus*",
        owners: &["gateway"],
        reason: "metric names are public API, declared in one place",
    },
    Owned {
        library: "opentelemetry*",
        owners: &["gateway"],
        reason: "traces are one request's, and only the gateway sees one",
    },
    Owned {
        library: "tracing-opentelemetry",
        owners: &["gateway"],
        reason: "traces are one request's, and only the gateway sees one",
    },
];

/// What tests may use beyond their crate's rule: the provider's stand-in, which knows nothing of ours.
///
/// Dev-dependencies on other siblings stay forbidden, because a test that reaches into a sibling ties the
/// two together as firmly as code does. Dev-dependencies on libraries are free, because they neither reach
/// the binary nor show in an interface: a test of wire formats may well open a socket.
pub const FOR_TESTS: &[&str] = &["mock-upstream"];

/// The crate whose edge alone may name Pingora's `Session`.
pub const SESSION_CRATE: &str = "gateway";

/// Where it may: this file, or anything below the folder of that name.
pub const SESSION_HOME: &str = "edge";

/// True when `pattern` (a name, or its beginning and `*`) covers `library`.
pub fn covers(pattern: &str, library: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => library.starts_with(beginning),
        None => library == pattern,
    }
}
