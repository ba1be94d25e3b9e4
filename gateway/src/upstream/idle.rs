//! Connections to providers that nobody uses just now. Pingora's pool watches each of them with a task of its own, made and
//! ended once a request; here they only lie there: looked at when taken, and all of them once a second by [`Idle::sweep`].

use std::cell::Cell;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;
use tokio::io::AsyncReadExt;

/// Threads beyond so many share their part with another one.
const PARTS: usize = 64;

thread_local! {
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Idle connections by the hash of whom they lead to, in one part for each thread so that threads rarely meet.
#[derive(Debug)]
pub(super) struct Idle {
    parts: Vec<Part>,
    threads: AtomicUsize,
    /// So many connections a part keeps.
    most: usize,
    longest: Duration,
}

#[derive(Debug, Default)]
struct Part(Mutex<Connections>);

#[derive(Debug, Default)]
struct Connections {
    kept: usize,
    /// The one used last is taken first, so that the others grow old together.
    by_peer: HashMap<u64, Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    stream: Stream,
    since: Instant,
}

impl Idle {
    /// Keeps so many for each thread, none of them for longer than `longest`.
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        let parts = (0..PARTS).map(|_| Part::default()).collect();
        Self { parts, threads: AtomicUsize::new(0), most, longest }
    }

    /// One that leads there and is still open, this thread's first.
    pub(super) fn take(&self, peer: u64) -> Option<Stream> {
        let own = self.own();
        let used = self.threads.load(Ordering::Relaxed).min(PARTS);
        let (after, before) = (own..used, 0..own);
        for part in after.chain(before) {
            while let Some(mut kept) = self.parts.get(part)?.take(peer) {
                if kept.since.elapsed() < self.longest && is_quiet(&mut kept.stream) {
                    return Some(kept.stream);
                }
            }
        }
        None
    }

    /// Keeps one whose answer was read to its end. Where there is no room for it, an older one is closed.
    pub(super) fn keep(&self, peer: u64, stream: Stream) {
        if let Some(part) = self.parts.get(self.own()) {
            // What is closed is dropped here, where nothing is locked.
            let _closed = part.keep(peer, Kept { stream, since: Instant::now() }, self.most);
        }
    }

    /// Closes those that are too old and those that the other side has closed.
    pub(super) fn sweep(&self) {
        for part in &self.parts {
            part.sweep(self.longest);
        }
    }

    fn own(&self) -> usize {
        PART.with(|part| match part.get() {
            Some(own) => own,
            None => {
                let own = self.threads.fetch_add(1, Ordering::Relaxed) % PARTS;
                part.set(Some(own));
                own
            }
        })
    }
}

impl Part {
    fn take(&self, peer: u64) -> Option<Kept> {
        let mut connections = self.lock();
        let kept = connections.by_peer.get_mut(&peer)?.pop()?;
        connections.kept -= 1;
        Some(kept)
    }

    /// Answers the one that had to go.
    fn keep(&self, peer: u64, kept: Kept, most: usize) -> Option<Kept> {
        let mut connections = self.lock();
        connections.by_peer.entry(peer).or_default().push(kept);
        if connections.kept < most {
            connections.kept += 1;
            return None;
        }
        let most_idle = connections.by_peer.values_mut().max_by_key(|list| list.len());
        most_idle.map(|list| list.remove(0))
    }

    fn sweep(&self, longest: Duration) {
        let mut connections = self.lock();
        connections.by_peer.retain(|_, list| {
            list.retain_mut(|kept| kept.since.elapsed() < longest && is_quiet(&mut kept.stream));
            !list.is_empty()
        });
        connections.kept = connections.by_peer.values().map(Vec::len).sum();
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the other side said nothing? It says nothing of its own accord before it closes.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    // Without a limit: a task that has used up its turn would take a closed connection for an open one.
    let read = pin!(tokio::task::unconstrained(stream.read(&mut byte)));
    read.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}
