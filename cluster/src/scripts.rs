//! What runs in Redis: each script is one step that nothing comes between.

use redis::Script;

use crate::LEASE_MS;

const NOW: &str = include_str!("scripts/now.lua");
const ALIVE: &str = include_str!("scripts/alive.lua");
const WINDOW: &str = include_str!("scripts/window.lua");

/// All of them, with what they share put in front.
pub(crate) struct Scripts {
    pub(crate) admit: Script,
    pub(crate) reserve: Script,
    pub(crate) correct: Script,
    pub(crate) merge: Script,
    pub(crate) hold: Script,
    pub(crate) spent: Script,
    pub(crate) beat: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let lease = format!("local LEASE_MS = {LEASE_MS}\n");
        let script = |parts: &[&str]| Script::new(&parts.concat());
        Self {
            admit: script(&[&lease, NOW, ALIVE, WINDOW, include_str!("scripts/admit.lua")]),
            reserve: script(&[NOW, WINDOW, include_str!("scripts/reserve.lua")]),
            correct: script(&[NOW, WINDOW, include_str!("scripts/correct.lua")]),
            merge: script(&[NOW, WINDOW, include_str!("scripts/merge.lua")]),
            hold: script(&[&lease, NOW, ALIVE, include_str!("scripts/hold.lua")]),
            spent: script(&[include_str!("scripts/spent.lua")]),
            beat: script(&[&lease, NOW, include_str!("scripts/beat.lua")]),
        }
    }

    /// Those that are written many at a time, where nobody asks again when Redis does not know one.
    pub(crate) fn written(&self) -> [&Script; 3] {
        [&self.correct, &self.merge, &self.spent]
    }
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts").finish_non_exhaustive()
    }
}
