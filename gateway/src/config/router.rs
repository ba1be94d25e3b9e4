//! The `router` section: what evaluates the classifiers of all routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// What evaluates classifiers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouterConfig {
    /// `builtin`: in the request's own thread, in microseconds. `onnx`: through ONNX Runtime, where its library is there.
    pub runtime: ModelRuntime,
    /// The library of ONNX Runtime, which is looked for at `ORT_DYLIB_PATH`, here, and beside the program. A change takes a
    /// restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Threads that evaluate one classifier.
    #[schemars(range(min = 1, max = 64))]
    pub threads: u32,
    /// Prompts that may wait for them; with more the route's default answers.
    #[schemars(range(min = 1, max = 65536))]
    pub queue: u32,
    /// How long a request waits for its score; after that the route's default answers.
    pub deadline: Span,
    /// A transformer that is asked when a classifier is not sure. None without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage1: Option<Stage1Config>,
}

/// The transformer behind the classifiers of all routes: through ONNX Runtime, on threads of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage1Config {
    /// Its folder: `model.onnx`, `tokenizer.json` and `card.json`.
    pub model: String,
    /// The share of requests it may be asked about, those on which the classifier is the least sure.
    #[serde(default = "Stage1Config::usual_share")]
    #[schemars(range(min = 0, max = 1))]
    pub unsure: f64,
    /// How long a request waits for it, 1ms to 1s; after that the classifier's own score stands.
    #[serde(default = "Stage1Config::usual_deadline")]
    pub deadline: Span,
    /// About a longer prompt it is not asked, in tokens, estimated. How much of a prompt it reads says its card.
    #[serde(default = "Stage1Config::usual_tokens")]
    #[schemars(range(min = 1))]
    pub max_tokens: u32,
    /// Threads that evaluate it.
    #[serde(default = "Stage1Config::usual_threads")]
    #[schemars(range(min = 1, max = 64))]
    pub threads: u32,
    /// Prompts that may wait for them; with more the classifier's own score stands.
    #[serde(default = "Stage1Config::usual_queue")]
    #[schemars(range(min = 1, max = 65536))]
    pub queue: u32,
}

impl Stage1Config {
    fn usual_share() -> f64 {
        0.3
    }

    fn usual_deadline() -> Span {
        Span::from_millis(15)
    }

    fn usual_tokens() -> u32 {
        512
    }

    fn usual_threads() -> u32 {
        1
    }

    fn usual_queue() -> u32 {
        16
    }
}

/// What evaluates a classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelRuntime {
    /// The gateway itself.
    #[default]
    Builtin,
    /// ONNX Runtime.
    Onnx,
}

impl RouterConfig {
    /// Nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for RouterConfig {
    fn default() -> Self {
        let runtime = ModelRuntime::default();
        Self { runtime, library: None, threads: 1, queue: 256, deadline: Span::from_millis(5), stage1: None }
    }
}
