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

#[cfg(test)]
mod tests {
    use pingora::protocols::l4::stream::Stream as PlainStream;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A connection and its other end.
    async fn connected() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Box::new(PlainStream::from(ours)), listener.accept().await.unwrap().0)
    }

    fn kept(idle: &Idle) -> usize {
        idle.parts.iter().map(|part| part.lock().kept).sum()
    }

    /// Sweeps until so many are left.
    async fn swept_to(idle: &Idle, left: usize) {
        for _ in 0..200 {
            idle.sweep();
            if kept(idle) == left {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} are left instead of {left}", kept(idle));
    }

    #[tokio::test]
    async fn the_one_used_last_is_taken_first_and_only_by_who_asks_for_its_peer() {
        let idle = Idle::new(8, HOUR);
        let ((first, _one), (second, _two)) = (connected().await, connected().await);
        let id = second.id();
        idle.keep(1, first);
        idle.keep(1, second);
        assert!(idle.take(2).is_none());
        assert_eq!(idle.take(1).unwrap().id(), id);
        assert!(idle.take(1).is_some() && idle.take(1).is_none());
    }

    #[tokio::test]
    async fn one_that_its_peer_has_closed_or_spoken_on_is_not_given() {
        let idle = Idle::new(8, HOUR);
        let ((closed, other), (speaks, mut speaker), (open, _keeps)) =
            (connected().await, connected().await, connected().await);
        let id = open.id();
        idle.keep(1, open);
        idle.keep(1, closed);
        idle.keep(1, speaks);
        drop(other);
        speaker.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        // The sweep sees what the reactor has heard of.
        swept_to(&idle, 1).await;
        assert_eq!(idle.take(1).unwrap().id(), id);
    }

    #[tokio::test]
    async fn old_ones_are_neither_given_nor_kept() {
        let idle = Idle::new(8, Duration::ZERO);
        let (stream, _other) = connected().await;
        idle.keep(1, stream);
        assert!(idle.take(1).is_none());
        let (stream, _other) = connected().await;
        idle.keep(1, stream);
        swept_to(&idle, 0).await;
    }

    #[tokio::test]
    async fn where_there_is_no_room_the_oldest_of_whoever_has_most_is_closed() {
        let idle = Idle::new(3, HOUR);
        let mut others = Vec::new();
        for peer in [1, 1, 1, 2] {
            let (stream, other) = connected().await;
            others.push(other);
            idle.keep(peer, stream);
        }
        assert_eq!(kept(&idle), 3);
        let left = |peer| std::iter::from_fn(|| idle.take(peer)).count();
        assert_eq!((left(1), left(2), kept(&idle)), (2, 1, 0));
    }

    #[tokio::test]
    async fn one_thread_takes_what_another_one_has_left() {
        let idle = Idle::new(8, HOUR);
        let (stream, _other) = connected().await;
        idle.keep(1, stream);
        std::thread::scope(|threads| {
            let taken = threads.spawn(|| {
                // It has a part of its own by now.
                idle.own();
                idle.take(1).is_some()
            });
            assert!(taken.join().unwrap());
        });
        assert_eq!(kept(&idle), 0);
    }
}
