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
            let mut bytes = Vec::new();
            match File::open(segment_path(&self.folder, self.number)) {
                Ok(mut file) => {
                    file.seek(SeekFrom::Start(self.offset))?;
                    file.take(CHUNK as u64).read_to_end(&mut bytes)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let has_next = segment_path(&self.folder, self.number + 1).exists();
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
