//! Room for file descriptors, made before the process has threads.
//!
//! The kernel doubles the table of descriptors when it is full. Of a process with threads it waits until every processor
//! has seen the old one go (`synchronize_rcu` in `expand_fdtable`, Linux fs/file.c), and whoever accepts the connection
//! that did not fit waits with it, and so do all connections of its thread. Under load a worker was seen there, and most
//! connections are opened in a rush.

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Room for more is made when it is needed: this takes half a megabyte of the kernel's memory.
const MOST: u64 = 65_536;

/// Raises the limit to what the system allows, for its default of 1,024 is for programs that know no more, and makes
/// room. Where that fails everything works, only slower.
pub fn make_room() {
    let known = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: known.maximum, ..known });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
    let last = i32::try_from(limit.saturating_sub(1)).unwrap_or_default();
    // The table stays as large as it had to be for this one, which is closed at once.
    let _ = File::open("/dev/null").map(|any| rustix::io::fcntl_dupfd_cloexec(&any, last));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_has_room_for_all_that_may_be_opened() {
        make_room();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(size.trim().parse::<u64>().unwrap() >= limit.current.unwrap_or(MOST).min(MOST));
    }
}
