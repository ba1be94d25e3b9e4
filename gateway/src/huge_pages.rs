//! Large pages of memory, where there are many keys.
//!
//! Of ten thousand keys each request touches one by chance, and the processor has to look up where its pages lie before it
//! can wait for them: over sockets that was more than half of the 3.5 microseconds that such a request costs more than
//! one of a gateway with a single key. The allocator asks for pages of 2 MiB (`.cargo/config.toml`), which also cost
//! memory that is never used, so the process says that it takes none (`PR_SET_THP_DISABLE`, prctl(2)) until it has many keys.

use rustix::thread::disable_transparent_huge_pages;

/// With fewer keys the processor remembers where most of them lie.
const MANY: usize = 1_000;

/// Takes none from here on. Where the kernel cannot be told, they are taken.
pub fn refuse() {
    let _ = disable_transparent_huge_pages(true);
}

/// Takes them from here on, if there are many keys. What is in small pages by then the kernel gathers in the background.
pub fn allow_for(keys: usize) {
    if keys >= MANY {
        let _ = disable_transparent_huge_pages(false);
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::transparent_huge_pages_are_disabled;

    use super::*;

    #[test]
    fn many_keys_get_them_and_few_do_not() {
        refuse();
        allow_for(MANY - 1);
        assert!(transparent_huge_pages_are_disabled().unwrap());
        allow_for(MANY);
        assert!(!transparent_huge_pages_are_disabled().unwrap());
    }
}
