//! Reads a log from where it was last read to its end, segment by segment.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::{LedgerEntry, Position, Subject};

use super::line::{Ending, Line, decode};
use super::log::segment_path;

/// No line is shorter, in bytes.
const SHORTEST: usize = 59;
/// Read at once, at most. Ends alone would be as many lines as the store takes at once.
pub(super) const CHUNK: u64 = 512 << 10;
/// Looked at together for the log's end, behind which there may be much of nothing.
const LOOK: u64 = 64 << 10;

/// A position in a log.
#[derive(Debug)]
pub(super) struct Tail {
    folder: PathBuf,
    at: Position,
    /// What the segment has said so far of who pays for what, by number.
    subjects: HashMap<u64, Arc<Subject>>,
    /// Kept for its room.
    bytes: Vec<u8>,
}

/// What the log says of the attempt with this number.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Opened(u64, LedgerEntry),
    Ended(u64, Ending<String>),
}

/// What was read.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// What whole lines say; how many more failed their check, and how many bytes of the log that was.
    Events { events: Vec<Event>, damaged: u64, bytes: u64 },
    /// The segment with this number has nothing more: another one follows it.
    EndOfSegment(u64),
    /// Nothing more for now.
    EndOfLog,
}

impl Tail {
    /// The beginning of a log that is being written from its first segment on.
    pub(super) fn of_new(folder: PathBuf) -> Self {
        Self::at(folder, Position::default())
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
        Ok(Self::at(folder.to_owned(), Position { segment: segment.unwrap_or(0), offset: 0 }))
    }

    fn at(folder: PathBuf, at: Position) -> Self {
        Self { folder, at, subjects: HashMap::new(), bytes: Vec::new() }
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
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        match File::open(segment_path(&self.folder, self.at.segment)) {
            Ok(file) => read_to_zero(file, self.at.offset, most, &mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // A line without an end is still being written, or was when its process died. Nothing is written to a segment
        // behind which there is another, so one without an end there is lost.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let is_cut = bytes.len() as u64 == CHUNK;
        let piece = if whole > 0 {
            self.at.offset += whole as u64;
            self.events(bytes.get(..whole).unwrap_or_default())
        } else if !has_next || is_cut {
            Piece::EndOfLog
        } else {
            let ended = self.at.segment;
            self.at = Position { segment: ended + 1, offset: 0 };
            // Each segment says anew whatever it refers to.
            self.subjects.clear();
            Piece::EndOfSegment(ended)
        };
        self.bytes = bytes;
        Ok(piece)
    }

    fn events(&mut self, bytes: &[u8]) -> Piece {
        let (mut events, mut damaged) = (Vec::with_capacity(bytes.len() / SHORTEST), 0);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match decode(line) {
                Some(Line::Subject(number, subject)) => {
                    self.subjects.insert(number, Arc::new(subject));
                }
                Some(Line::Opened(attempt, opened)) => match self.subjects.get(&opened.subject()) {
                    Some(subject) => events.push(Event::Opened(attempt, opened.entry(subject.clone()))),
                    None => damaged += 1,
                },
                Some(Line::OpenedWhole(attempt, entry)) => events.push(Event::Opened(attempt, *entry)),
                Some(Line::Ended(attempt, ending)) => events.push(Event::Ended(attempt, ending)),
                None => damaged += 1,
            }
        }
        Piece::Events { events, damaged, bytes: bytes.len() as u64 }
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

/// Reads so many bytes at most, and none from the first zero on: behind its last line a segment has zeros as long as it
/// is written, and within a line that is being copied.
fn read_to_zero(mut file: File, from: u64, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    while (bytes.len() as u64) < most {
        let seen = bytes.len();
        let look = LOOK.min(most - seen as u64);
        if file.by_ref().take(look).read_to_end(bytes)? == 0 {
            break;
        }
        if let Some(zero) = memchr::memchr(0, bytes.get(seen..).unwrap_or_default()) {
            bytes.truncate(seen + zero);
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use domain::Micros;

    use super::*;
    use crate::ledger::line::{Named, Opening, encode_ending, encode_opening, encode_subject};

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
                Piece::Events { events, damaged, .. } => {
                    all_damaged += damaged;
                    attempts.extend(events.into_iter().map(|event| match event {
                        Event::Opened(attempt, _) | Event::Ended(attempt, _) => attempt,
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
    fn zeros_are_not_read_neither_behind_the_last_line_nor_within_one_that_is_being_copied() {
        let whole = [line(1), line(2), vec![0; 100]].concat();
        let mut half = whole.clone();
        half[line(1).len() + 20] = 0;
        let folder = Folder::with(&[&half]);
        let mut tail = Tail::new(&folder.0).unwrap();
        assert_eq!(all(&mut tail), (vec![1], 0, vec![]));
        fs::write(segment_path(&folder.0, 0), &whole).unwrap();
        assert_eq!(all(&mut tail), (vec![2], 0, vec![]));
        fs::write(segment_path(&folder.0, 1), line(3)).unwrap();
        assert_eq!(all(&mut tail), (vec![3], 0, vec![0]));
    }

    #[test]
    fn a_piece_ends_at_the_bound() {
        let folder = Folder::with(&[&[line(1), line(2)].concat()]);
        let mut tail = Tail::new(&folder.0).unwrap();
        let bound = Position { segment: 0, offset: line(1).len() as u64 };
        let Piece::Events { events, .. } = tail.read(bound).unwrap() else { panic!() };
        assert_eq!((events.len(), tail.position()), (1, bound));
        assert_eq!(all(&mut tail).0, [2]);
    }

    #[test]
    fn a_reservation_is_of_the_subject_that_its_own_segment_names() {
        let mut first = Vec::new();
        let (key_name, tags): (_, &[String]) = ("", &[]);
        let (team_id, user_id, model, deployment, provider) = ("", "", "small", "", "");
        for (number, key_id) in [(1, "k1"), (2, "k2")] {
            let named = Named { key_id, key_name, team_id, user_id, model, deployment, provider, tags };
            encode_subject(&mut first, number, &named);
        }
        let opening = |subject| Opening { at_ms: 1, reserved: Micros(5), request_id: "r", subject };
        encode_opening(&mut first, 7, &opening(2));
        encode_opening(&mut first, 8, &opening(1));
        let mut second = Vec::new();
        encode_opening(&mut second, 9, &opening(1));
        let folder = Folder::with(&[&first, &second]);
        let mut tail = Tail::new(&folder.0).unwrap();
        let Piece::Events { events, damaged: 0, .. } = tail.read(Position::default()).unwrap() else {
            panic!()
        };
        let keys = events.iter().map(|event| match event {
            Event::Opened(attempt, entry) => (*attempt, entry.subject.key_id.as_str()),
            Event::Ended(..) => panic!(),
        });
        assert_eq!(keys.collect::<Vec<_>>(), [(7, "k2"), (8, "k1")]);
        assert_eq!(all(&mut tail), (vec![], 1, vec![0]));
    }
}
