//! The mapping of a file whose blocks are set aside. The one place of unsafe code.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::{MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// The first bytes of a file, shared with whoever reads it.
#[derive(Debug)]
pub(crate) struct Mapping(MmapMut);

/// Sets `room` bytes of the file aside and maps them; None where its file system cannot set room aside, since to touch
/// a page for which the disk has no room would end the process.
///
/// # Errors
/// When the disk has no such room, or the file cannot be mapped.
pub(crate) fn of(file: &File, room: usize) -> io::Result<Option<Mapping>> {
    match fallocate(file, FallocateFlags::empty(), 0, room as u64) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // SAFETY: the file was made by this process for itself and is never made shorter while it is mapped; its bytes are
    // only ever copied into, never lent out, so that nothing here relies on their staying the same.
    let mapped = unsafe { MmapOptions::new().len(room).map_mut(file) }?;
    Ok(Some(Mapping(mapped)))
}

impl Mapping {
    pub(crate) fn room(&self) -> usize {
        self.0.len()
    }

    /// Copies to a place that has room for it.
    pub(crate) fn copy(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}
