//! Faults of `log.requests`, of `log.contents`, and of keys whose prompts cannot be kept.

use crate::config::{Config, Faults, NO_STORE};
use crate::contents::NO_ENCRYPTION_KEY;

/// Less would cut off nearly everything.
const LEAST: u64 = 1 << 10;
/// Less would drop requests at once.
const LEAST_MEMORY: u64 = 64 << 10;
/// So much of one prompt or answer a database still takes well.
const MOST: u64 = 16 << 20;

pub(super) fn run(config: &Config, faults: &mut Faults) {
    for (index, _) in config.keys.iter().enumerate().filter(|(_, key)| key.store_prompts) {
        let path = format!("keys[{index}].store_prompts");
        if config.store == NO_STORE {
            faults.add(path, "has nowhere to write to: set `store`");
        } else if config.store.starts_with("postgres") && config.encryption.key.is_none() {
            faults.add(path, NO_ENCRYPTION_KEY);
        }
    }
    let requests = &config.log.requests;
    if requests.keep.0.is_zero() {
        faults.add("log.requests.keep", "would keep nothing: write for example 30d, or `enabled: false`");
    }
    if requests.memory.0 < LEAST_MEMORY {
        faults.add(
            "log.requests.memory",
            "has hardly room for a request: write 64KiB or more, for example 16MiB",
        );
    }
    let contents = &config.log.contents;
    if contents.keep.0.is_zero() {
        let text = "would keep nothing: write for example 30d, or take `store_prompts` from the keys";
        faults.add("log.contents.keep", text);
    }
    if !(LEAST..=MOST).contains(&contents.largest.0) {
        faults.add("log.contents.largest", "must lie between 1KiB and 16MiB: write for example 256KiB");
    } else if contents.memory.0 < 4 * contents.largest.0 {
        faults.add("log.contents.memory", "has not even room for two requests: give it four times `largest`");
    }
}
