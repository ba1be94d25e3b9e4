//! One file that grows at its end. What is appended belongs to the operating system at once, as after a `write`, and so
//! outlives the process (not the machine's power); but it is only copied into a mapping of the file, which takes no
//! system call. Where a file cannot be mapped with its room set aside, it is written as usual.
//!
//! Behind what was appended the file of a process that lives, or was killed, has zeros: whoever reads it must take a
//! zero for the end. Appended bytes have none, so a part of them that is being copied just now shows by its zeros.

mod mapping;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use mapping::Mapping;

/// A file that this process alone appends to.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// Bytes so far.
    length: usize,
    /// None where the file is written.
    mapping: Option<Mapping>,
}

impl Journal {
    /// Makes a new file, readable by its owner alone, and sets room for so many bytes aside.
    ///
    /// # Errors
    /// When the file is there already or cannot be made, or when the disk has no such room.
    pub fn create(path: &Path, room: usize) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create_new(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match mapping::of(&file, room) {
            Ok(mapping) => Ok(Self { file, length: 0, mapping }),
            Err(error) => {
                // An empty file would be in the way of the next attempt.
                let _ = std::fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length as u64
    }

    /// Appends bytes, none of which is zero: all of them, or after an error none, or a part where the file is written.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len();
        if let Some(mapping) = &mut self.mapping {
            if end > mapping.room() {
                // Twice the room, so that growing is rare.
                let room = end.max(mapping.room().saturating_mul(2));
                let Some(larger) = mapping::of(&self.file, room)? else {
                    return Err(io::ErrorKind::Unsupported.into());
                };
                *mapping = larger;
            }
            mapping.copy(self.length, bytes);
        } else {
            self.file.write_all(bytes)?;
        }
        self.length = end;
        Ok(())
    }
}

impl Drop for Journal {
    /// The room that was not needed is given back.
    fn drop(&mut self) {
        if self.mapping.take().is_some() {
            // A reader takes the zeros for the end as well.
            let _ = self.file.set_len(self.length());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Vec<u8> {
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_is_appended_is_in_the_file_at_once_with_zeros_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(&path, 8192).unwrap();
        journal.append(b"one\n").unwrap();
        journal.append(b"two\n").unwrap();
        let seen = read(&path);
        assert!(seen.starts_with(b"one\ntwo\n"));
        assert!(seen[8..].iter().all(|byte| *byte == 0));
        drop(journal);
        assert_eq!(read(&path), b"one\ntwo\n");
    }

    #[test]
    fn it_grows_beyond_the_room_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(&path, 4096).unwrap();
        let line = [b'x'; 1000];
        for _ in 0..100 {
            journal.append(&line).unwrap();
        }
        journal.append(&[b'y'; 100_000]).unwrap();
        drop(journal);
        let seen = read(&path);
        assert_eq!(seen.len(), 200_000);
        assert!(seen[..100_000].iter().all(|byte| *byte == b'x'));
        assert!(seen[100_000..].iter().all(|byte| *byte == b'y'));
    }

    #[test]
    fn a_file_that_cannot_be_mapped_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(&path, 4096).unwrap();
        journal.mapping = None;
        journal.file.set_len(0).unwrap();
        journal.append(b"one\n").unwrap();
        assert_eq!(read(&path), b"one\n");
    }

    #[test]
    fn room_that_the_disk_has_not_is_an_error_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        // More than any file system holds in one file, though not more than a length can say.
        assert!(Journal::create(&path, usize::try_from(i64::MAX).unwrap() - 4096).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_there_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, b"there").unwrap();
        assert!(Journal::create(&path, 4096).is_err());
        assert_eq!(read(&path), b"there");
    }
}
