//! Reads a log from where it was last read to its end, segment by segment.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use store::LedgerEntry;

use super::line::decode;
use super::log::segment_path;

/// Read at once, at most.
const CHUNK: usize = 1 << 20;

/// A position in a log.
#[derive(Debug)]
pub(super) struct Tail {
    folder: PathBuf,
    number: u64,
    offset: u64,
}

/// What was read, and where to go on once it is applied.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub entries: Vec<LedgerEntry>,
    /// Lines that failed their check.
    pub damaged: u64,
    /// Bytes of the log that this is.
    pub bytes: u64,
}

impl Tail {
    /// The beginning of a log that is being written from its first segment on.
    pub(super) fn of_new(folder: PathBuf) -> Self {
        Self { folder, number: 0, offset: 0 }
    }

    /// From the oldest segment on.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let mut number = None;
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let found = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
            number = [number, found].into_iter().flatten().min();
        }
        Ok(Self { folder: folder.to_owned(), number: number.unwrap_or(0), offset: 0 })
    }

    /// The next whole lines, empty at the end of the log. The same again until [`advance`](Self::advance).
    ///
    /// # Errors
    /// When the segment cannot be read.
    pub(super) fn read(&mut self) -> io::Result<Batch> {
        loop {
            // Before the segment is read: what is written to it after a look at its end, and before the look at the next
            // one, would be deleted with it.
            let has_next = segment_path(&self.folder, self.number + 1).exists();
            let mut bytes = Vec::new();
            match File::open(segment_path(&self.folder, self.number)) {
                Ok(mut file) => {
                    file.seek(SeekFrom::Start(self.offset))?;
                    file.take(CHUNK as u64).read_to_end(&mut bytes)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            // A line without an end is still being written, or was when its process died. Nothing is written to a
            // segment behind which there is another, so one without an end there is lost.
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            if whole == 0 {
                if !has_next || bytes.len() == CHUNK {
                    return Ok(Batch::default());
                }
                self.next_segment()?;
                continue;
            }
            bytes.truncate(whole);
            let mut batch = Batch { bytes: whole as u64, ..Batch::default() };
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                match decode(line) {
                    Some(entry) => batch.entries.push(entry),
                    None => batch.damaged += 1,
                }
            }
            return Ok(batch);
        }
    }

    /// What was read need not be read again.
    pub(super) fn advance(&mut self, batch: &Batch) {
        self.offset += batch.bytes;
    }

    /// What lies before is applied, whole.
    fn next_segment(&mut self) -> io::Result<()> {
        fs::remove_file(segment_path(&self.folder, self.number))?;
        self.number += 1;
        self.offset = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A folder with these segments, gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn with(segments: &[&[u8]]) -> Self {
            let folder = std::env::temp_dir().join(format!("signalbox-tail-{}", store::new_id()));
            fs::create_dir_all(&folder).unwrap();
            for (number, bytes) in segments.iter().enumerate() {
                fs::write(segment_path(&folder, number as u64), bytes).unwrap();
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn line(attempt_id: &str) -> Vec<u8> {
        let entry = LedgerEntry { attempt_id: attempt_id.to_owned(), ..LedgerEntry::default() };
        let json = serde_json::to_vec(&entry).unwrap();
        [format!("{:08x} ", crc32fast::hash(&json)).as_bytes(), json.as_slice(), b"\n"].concat()
    }

    /// The attempts in the order of the log, and how many lines were damaged.
    fn all(tail: &mut Tail) -> (Vec<String>, u64) {
        let (mut attempts, mut damaged) = (Vec::new(), 0);
        loop {
            let batch = tail.read().unwrap();
            if batch.bytes == 0 {
                return (attempts, damaged);
            }
            tail.advance(&batch);
            damaged += batch.damaged;
            attempts.extend(batch.entries.into_iter().map(|entry| entry.attempt_id));
        }
    }

    #[test]
    fn damaged_lines_hide_nothing_behind_them() {
        let folder = Folder::with(&[b"damaged\ndamaged too\n", &[line("a"), line("b")].concat(), &line("c")]);
        let mut tail = Tail::new(&folder.0).unwrap();
        assert_eq!(all(&mut tail), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 2));
        // What lies behind is deleted, the segment that is being written is not.
        assert!(!segment_path(&folder.0, 1).exists() && segment_path(&folder.0, 2).exists());
    }

    #[test]
    fn a_line_that_is_being_written_is_read_when_it_is_whole() {
        let whole = line("a");
        let (head, rest) = whole.split_at(30);
        let folder = Folder::with(&[head]);
        let mut tail = Tail::new(&folder.0).unwrap();
        assert_eq!(all(&mut tail).0.len(), 0);
        fs::write(segment_path(&folder.0, 0), [head, rest].concat()).unwrap();
        assert_eq!(all(&mut tail).0, ["a"]);
    }

    #[test]
    fn what_is_not_advanced_over_is_read_again() {
        let folder = Folder::with(&[&line("a")]);
        let mut tail = Tail::new(&folder.0).unwrap();
        assert_eq!(tail.read().unwrap().entries, tail.read().unwrap().entries);
        assert_eq!(all(&mut tail).0, ["a"]);
    }
}
