//! The write-ahead log of one process: a folder with a lock and numbered segments, each a [`Journal`]. An appended line
//! has been given to the operating system, so it outlives the process (not the machine's power).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use journal::Journal;

use super::subjects::Subjects;

/// Lines that could not be written wait for the disk up to this size; then they are lost, and counted.
const BACKLOG: usize = 16 << 20;
/// A longer segment is followed by another one, so that what is applied can be deleted.
const SEGMENT: u64 = 4 << 20;
/// Set aside for a segment: its last lines end beyond the length at which another one follows.
const ROOM: usize = SEGMENT as usize + (64 << 10);
const LOCK: &str = "lock";

/// The log that this process writes.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    segment: Mutex<Segment>,
    written: AtomicU64,
    lost: AtomicU64,
    /// Held as long as the process lives.
    _lock: File,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: Journal,
    /// What is about to be written; kept for its room.
    lines: Vec<u8>,
    /// What the segment has said of who pays for what.
    subjects: Subjects,
    /// What the disk did not take.
    backlog: Vec<u8>,
}

impl Log {
    /// Begins a log of its own below `root`.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub(super) fn create(root: &Path, name: &str) -> io::Result<Self> {
        let folder = root.join(name);
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        let file = open(&folder, 0)?;
        let segment = Segment {
            number: 0,
            file,
            lines: Vec::with_capacity(1 << 10),
            subjects: Subjects::default(),
            backlog: Vec::new(),
        };
        Ok(Self {
            folder,
            segment: Mutex::new(segment),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// Appends lines that may be refused: a reservation, and its subject where the segment does not know it.
    ///
    /// # Errors
    /// When the disk is full or gone. Half a line may have been written; it fails its check.
    pub(super) fn append(&self, encode: impl FnOnce(&mut Vec<u8>, &mut Subjects)) -> io::Result<()> {
        let mut segment = self.segment();
        let flushed = segment.flush()?;
        self.count(&mut segment, flushed);
        let Segment { lines, subjects, .. } = &mut *segment;
        lines.clear();
        encode(lines, subjects);
        let written = segment.write()?;
        self.count(&mut segment, written);
        Ok(())
    }

    /// Appends a line that must not be lost: a settlement. What the disk does not take waits in memory.
    pub(super) fn append_or_keep(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut segment = self.segment();
        segment.lines.clear();
        encode(&mut segment.lines);
        match segment.flush().and_then(|flushed| Ok(flushed + segment.write()?)) {
            Ok(written) => self.count(&mut segment, written),
            Err(_) if !segment.keep() => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {}
        }
    }

    /// Lines that are gone for good.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn segment(&self) -> MutexGuard<'_, Segment> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, segment: &mut Segment, length: u64) {
        self.written.fetch_add(length, Ordering::Relaxed);
        if segment.file.length() >= SEGMENT {
            // Without a new one the old one just grows on.
            if let Ok(file) = open(&self.folder, segment.number + 1) {
                (segment.number, segment.file) = (segment.number + 1, file);
                segment.subjects.forget();
            }
        }
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Where its segments are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Segment {
    /// Writes the encoded lines; answers their length.
    fn write(&mut self) -> io::Result<u64> {
        self.file.append(&self.lines).inspect_err(|_| {
            // The next line must not hang on to a half one, nor refer to a subject that was not written.
            let _ = self.file.append(b"\n");
            self.subjects.forget();
        })?;
        Ok(self.lines.len() as u64)
    }

    /// Writes what the disk did not take before; answers its length.
    fn flush(&mut self) -> io::Result<u64> {
        if self.backlog.is_empty() {
            return Ok(0);
        }
        self.file.append(b"\n")?;
        self.file.append(&self.backlog)?;
        let flushed = 1 + self.backlog.len() as u64;
        self.backlog = Vec::new();
        Ok(flushed)
    }

    /// Keeps the encoded lines for later; false when there is no room.
    fn keep(&mut self) -> bool {
        let fits = self.backlog.len() + self.lines.len() <= BACKLOG;
        if fits {
            self.backlog.extend_from_slice(&self.lines);
        }
        fits
    }
}

fn open(folder: &Path, number: u64) -> io::Result<Journal> {
    Journal::create(&segment_path(folder, number), ROOM)
}

/// A segment's file.
pub(super) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.log"))
}

/// The logs below `root` whose process has ended, each locked for as long as the file is kept.
pub(super) fn orphans(root: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let mut orphans = Vec::new();
    for entry in fs::read_dir(root)? {
        let folder = entry?.path();
        let Ok(lock) = OpenOptions::new().write(true).open(folder.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            orphans.push((folder, lock));
        }
    }
    orphans.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(orphans)
}
