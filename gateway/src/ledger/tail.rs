//! Reads a log from where it was last read to its end, segment by segment.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use store::Position;

use super::line::{Line, decode};
use super::log::segment_path;

/// Read at once, at most.
const CHUNK: u64 = 1 << 20;

/// A position in a log.
#[derive(Debug)]
pub(super) struct Tail {
    folder: PathBuf,
    at: Position,
}

/// What was read.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// Whole lines; how many more failed their check, and how many bytes of the log that was.
    Lines { lines: Vec<Line>, damaged: u64, bytes: u64 },
    /// The segment with this number has nothing more: another one follows it.
    EndOfSegment(u64),
    /// Nothing more for now.
    EndOfLog,
}

impl Tail {
    /// The beginning of a log that is being written from its first segment on.
    pub(super) fn of_new(folder: PathBuf) -> Self {
        Self { folder, at: Position::default() }
    }

    /// From the oldest segment on.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let mut segment = None;
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let found = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
            segment = [segment, found].into_iter().flatten().min();
        }
        Ok(Self { folder: folder.to_owned(), at: Position { segment: segment.unwrap_or(0), offset: 0 } })
    }

    /// Where the next piece begins.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// The next piece, up to `bound` when that lies before its end, and goes on behind it.
    ///
    /// # Errors
    /// When the segment cannot be read.
    pub(super) fn read(&mut self, bound: Position) -> io::Result<Piece> {
        // Before the segment is read: what is written to it after a look at its end, and before the look at the next
        // one, would be overlooked.
        let has_next = segment_path(&self.folder, self.at.segment + 1).exists();
        let before_bound = self.at.segment == bound.segment && self.at.offset < bound.offset;
        let most = if before_bound { CHUNK.min(bound.offset - self.at.offset) } else { CHUNK };
        let mut bytes = Vec::new();
        match File::open(segment_path(&self.folder, self.at.segment)) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(self.at.offset))?;
                file.take(most).read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // A line without an end is still being written, or was when its process died. Nothing is written to a segment
        // behind which there is another, so one without an end there is lost.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if whole == 0 {
            if !has_next || bytes.len() as u64 == CHUNK {
                return Ok(Piece::EndOfLog);
            }
            let ended = self.at.segment;
            self.at = Position { segment: ended + 1, offset: 0 };
            return Ok(Piece::EndOfSegment(ended));
        }
        bytes.truncate(whole);
        self.at.offset += whole as u64;
        let (mut lines, mut damaged) = (Vec::new(), 0);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match decode(line) {
                Some(line) => lines.push(line),
                None => damaged += 1,
            }
        }
        Ok(Piece::Lines { lines, damaged, bytes: whole as u64 })
    }

    /// Deletes a segment.
    ///
    /// # Errors
    /// When that fails, but not when it has gone already.
    pub(super) fn delete(&self, segment: u64) -> io::Result<()> {
        match fs::remove_file(segment_path(&self.folder, segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ledger::line::{Ending, encode_ending};

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

    fn line(attempt: u64) -> Vec<u8> {
        let mut line = Vec::new();
        encode_ending(&mut line, attempt, &Ending::default());
        line
    }

    /// The attempts in the order of the log, how many lines were damaged, and the segments that ended.
    fn all(tail: &mut Tail) -> (Vec<u64>, u64, Vec<u64>) {
        let (mut attempts, mut all_damaged, mut segments) = (Vec::new(), 0, Vec::new());
        loop {
            match tail.read(Position::default()).unwrap() {
                Piece::EndOfLog => return (attempts, all_damaged, segments),
                Piece::EndOfSegment(segment) => segments.push(segment),
                Piece::Lines { lines, damaged, .. } => {
                    all_damaged += damaged;
                    attempts.extend(lines.into_iter().map(|line| match line {
                        Line::Opened(attempt, _) | Line::Ended(attempt, _) => attempt,
                    }));
                }
            }
        }
    }

    #[test]
    fn damaged_lines_hide_nothing_behind_them() {
        let folder = Folder::with(&[b"damaged\ndamaged too\n", &[line(1), line(2)].concat(), &line(3)]);
        assert_eq!(all(&mut Tail::new(&folder.0).unwrap()), (vec![1, 2, 3], 2, vec![0, 1]));
    }

    #[test]
    fn a_line_that_is_being_written_is_read_when_it_is_whole() {
        let whole = line(1);
        let (head, rest) = whole.split_at(30);
        let folder = Folder::with(&[head]);
        let mut tail = Tail::new(&folder.0).unwrap();
        assert_eq!(all(&mut tail).0.len(), 0);
        fs::write(segment_path(&folder.0, 0), [head, rest].concat()).unwrap();
        assert_eq!(all(&mut tail).0, [1]);
    }

    #[test]
    fn a_piece_ends_at_the_bound() {
        let folder = Folder::with(&[&[line(1), line(2)].concat()]);
        let mut tail = Tail::new(&folder.0).unwrap();
        let bound = Position { segment: 0, offset: line(1).len() as u64 };
        let Piece::Lines { lines, .. } = tail.read(bound).unwrap() else { panic!() };
        assert_eq!((lines.len(), tail.position()), (1, bound));
        assert_eq!(all(&mut tail).0, [2]);
    }
}
