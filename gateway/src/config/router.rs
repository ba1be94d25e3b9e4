//! The `router` section: what evaluates the classifiers of all routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// What evaluates classifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        Self { runtime, library: None, threads: 1, queue: 256, deadline: Span::from_millis(5) }
    }
}
