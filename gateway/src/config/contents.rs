//! The `log.contents` section: prompts and answers of keys with `store_prompts`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, Span};

/// What the store keeps of prompts and answers, encrypted, of keys with `store_prompts` alone. A change takes a restart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContentsConfig {
    /// How long they are kept, also of an earlier process and when no more are stored.
    pub keep: Span,
    /// How much is kept of one prompt, and of one answer; the rest is cut off.
    pub largest: Size,
    /// How much memory those of running requests, and those that wait for the store, may take; those beyond it are not
    /// stored, and counted in a metric.
    pub memory: Size,
}

impl Default for ContentsConfig {
    fn default() -> Self {
        Self { keep: Span::from_millis(30 * 86_400_000), largest: Size(256 << 10), memory: Size(64 << 20) }
    }
}
