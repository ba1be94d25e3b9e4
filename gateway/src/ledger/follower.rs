//! Brings one log to the store, piece by piece: each once, whatever fails in between.

use std::io;
use std::path::{Path, PathBuf};

use store::{Applied, LedgerEntry, LogBatch, Position, Store, StoreError};

use super::open_attempts::OpenAttempts;
use super::tail::{CHUNK, Piece, Tail};

/// One log on its way to the store.
#[derive(Debug)]
pub(super) struct Follower {
    folder: PathBuf,
    tail: Tail,
    open: OpenAttempts,
    /// As far as the store knows it.
    applied: Position,
    /// What was read and is not in the store yet. Kept as it is until it is: the store may have taken it without being
    /// able to say so, and knows it again by its positions only.
    step: Option<Step>,
}

/// What comes of one piece.
#[derive(Debug, Default)]
pub(super) struct Step {
    batch: LogBatch,
    /// The segment that is not needed any more.
    finished: Option<u64>,
    /// Bytes of the log that it is; 0 at the end of the log and of a segment.
    pub bytes: u64,
    /// Lines that failed their check.
    pub damaged: u64,
    /// What the store made of it.
    pub applied: Applied,
    /// There is nothing more for now.
    pub is_end: bool,
}

impl Step {
    /// Attempts that ended.
    pub(super) fn ended(&self) -> &[LedgerEntry] {
        &self.batch.ended
    }

    /// Is it likely that much lies behind it?
    pub(super) fn has_more(&self) -> bool {
        self.finished.is_some() || self.bytes >= CHUNK / 2
    }
}

/// Why the log is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store refused, or is away.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("the ledger's log: {0}")]
    Log(#[from] io::Error),
}

impl Follower {
    /// Of the log that this process has just begun.
    pub(super) fn of_new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            tail: Tail::of_new(folder.to_owned()),
            open: OpenAttempts::new(&name(folder), vec![]),
            applied: Position::default(),
            step: None,
        }
    }

    /// Of a log that another process has begun.
    ///
    /// # Errors
    /// When the store is away or the folder cannot be read.
    pub(super) async fn resume(folder: &Path, store: &Store) -> Result<Self, ApplyError> {
        let name = name(folder);
        let applied = store.ledger().progress(&name).await?.unwrap_or_default();
        let open = OpenAttempts::new(&name, store.ledger().open_of(&name).await?);
        Ok(Self { folder: folder.to_owned(), tail: Tail::new(folder)?, open, applied, step: None })
    }

    /// Brings the next piece to the store.
    ///
    /// # Errors
    /// When the store is away or the log cannot be read; the next call tries the same piece.
    pub(super) async fn step(&mut self, store: &Store) -> Result<Step, ApplyError> {
        if self.step.is_none() {
            let piece = self.tail.read(self.applied)?;
            self.step = Some(self.digest(piece));
        }
        let Some(mut step) = self.step.take() else { return Ok(Step::default()) };
        if let Err(error) = self.apply(&mut step, store).await {
            self.step = Some(step);
            return Err(error);
        }
        Ok(step)
    }

    /// The log will not grow any more and is read: its open attempts are the store's from here on, and it goes.
    ///
    /// # Errors
    /// When the store is away or the folder cannot be deleted.
    pub(super) async fn finish(mut self, store: &Store) -> Result<(), ApplyError> {
        let last = self.tail.position().segment;
        let opened = self.open.store_up_to(last);
        let mut step = Step {
            batch: self.batch(Position { segment: last + 1, offset: 0 }, vec![], opened, vec![]),
            ..Step::default()
        };
        self.apply(&mut step, store).await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(store.ledger().forget(&name(&self.folder)).await?)
    }

    fn digest(&mut self, piece: Piece) -> Step {
        let to = self.tail.position();
        match piece {
            Piece::EndOfLog => Step { is_end: true, ..Step::default() },
            Piece::EndOfSegment(segment) => {
                let opened = self.open.store_up_to(segment);
                let batch = self.batch(to, vec![], opened, vec![]);
                Step { batch, finished: Some(segment), ..Step::default() }
            }
            Piece::Events { events, damaged, bytes } => {
                let ended: Vec<_> =
                    events.into_iter().filter_map(|event| self.open.read(event, to.segment)).collect();
                if to <= self.applied {
                    // Read again after a restart, for what is still open.
                    return Step { bytes, ..Step::default() };
                }
                let stored = ended.iter().filter(|ended| ended.is_stored);
                let closed = stored.map(|ended| ended.entry.attempt_id.clone()).collect();
                let ended = ended.into_iter().map(|ended| ended.entry).collect();
                Step { batch: self.batch(to, ended, vec![], closed), bytes, damaged, ..Step::default() }
            }
        }
    }

    fn batch(
        &self,
        to: Position,
        ended: Vec<LedgerEntry>,
        opened: Vec<LedgerEntry>,
        closed: Vec<String>,
    ) -> LogBatch {
        LogBatch { log: name(&self.folder), from: self.applied, to, ended, opened, closed }
    }

    async fn apply(&mut self, step: &mut Step, store: &Store) -> Result<(), ApplyError> {
        let batch = &step.batch;
        // The store need not know of lines that say nothing to it.
        if !(batch.ended.is_empty() && batch.opened.is_empty() && batch.closed.is_empty()) {
            step.applied = store.ledger().apply(batch).await?;
            self.applied = batch.to;
        }
        if let Some(segment) = step.finished {
            self.tail.delete(segment)?;
        }
        Ok(())
    }
}

/// A log is named by its folder.
fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
