//! Writes the semantic cache's state every so often, on a thread of its own.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cache::exact::Cipher;

use super::semantic::SemanticAnswers;

/// What was learnt and indexed since is lost when the process is killed; the answers themselves are not.
const EVERY: Duration = Duration::from_secs(60);

/// The thread.
#[derive(Debug)]
pub(super) struct Saver(Mutex<Option<(Sender<()>, JoinHandle<()>)>>);

impl Saver {
    /// Begins.
    pub(super) fn start(
        semantic: Arc<SemanticAnswers>,
        path: PathBuf,
        cipher: Option<Arc<Cipher>>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            let mut saved = None;
            loop {
                let ends = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                let changes = semantic.cache.changes();
                if saved != Some(changes) {
                    saved = Some(changes);
                    if let Err(error) = semantic.cache.save(&path, cipher.as_deref()) {
                        tracing::warn!(%error, "the state of the semantic cache could not be written");
                    }
                }
                if ends {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("semantic".to_owned()).spawn(run)?;
        Ok(Self(Mutex::new(Some((stop, thread)))))
    }

    /// Writes a last time what has changed, and ends.
    pub(super) fn finish(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            let _ = thread.join();
        }
    }
}
