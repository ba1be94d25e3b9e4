//! Threads that work for requests: behind a queue of limited length, each question with a deadline. What nobody waits
//! for any longer is not worked on. A thread that serves requests never works here itself, nor waits without a limit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unanswered {
    /// More wait already than may.
    #[error("too many texts wait for the model")]
    Busy,
    /// There was none by its deadline.
    #[error("the model did not answer in time")]
    Late,
    /// The thread broke off.
    #[error("the model broke off")]
    Broken,
}

/// When the last owner is gone its threads end.
#[derive(Debug)]
pub(crate) struct Pool<Q, A> {
    queue: SyncSender<Job<Q, A>>,
}

#[derive(Debug)]
struct Job<Q, A> {
    question: Q,
    until: Instant,
    reply: oneshot::Sender<A>,
}

impl<Q: Send + 'static, A: Send + 'static> Pool<Q, A> {
    /// A thread for each of `workers`, which get a question and its deadline; so many questions wait for them.
    ///
    /// # Errors
    /// The system's, when a thread cannot start.
    pub(crate) fn start<W>(name: &str, workers: Vec<W>, queue: usize) -> std::io::Result<Self>
    where
        W: FnMut(Q, Instant) -> A + Send + 'static,
    {
        let (sender, receiver) = sync_channel(queue.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        for (number, mut worker) in workers.into_iter().enumerate() {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || work(&receiver, &mut worker))?;
        }
        Ok(Self { queue: sender })
    }

    /// Waits for an answer, at most until then.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn ask(&self, question: Q, until: Instant) -> Result<A, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { question, until, reply }).map_err(|_| Unanswered::Busy)?;
        match tokio::time::timeout_at(until.into(), answer).await {
            Ok(Ok(answer)) => Ok(answer),
            // What was too late to begin with is dropped unanswered.
            Ok(Err(_)) if Instant::now() < until => Err(Unanswered::Broken),
            _ => Err(Unanswered::Late),
        }
    }
}

/// Until the last owner of the queue is gone.
fn work<Q, A>(receiver: &Mutex<Receiver<Job<Q, A>>>, worker: &mut impl FnMut(Q, Instant) -> A) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { question, until, reply }) = next else { return };
        if Instant::now() >= until || reply.is_closed() {
            continue;
        }
        // A text that breaks the model must not take the thread from all others.
        if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| worker(question, until))) {
            let _ = reply.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A pool of one thread, which says when it begins with a question and waits until it may go on.
    fn held(queue: usize) -> (Pool<u32, u32>, mpsc::Receiver<u32>, mpsc::Sender<()>) {
        let (begin, begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let worker = move |question: u32, _| {
            begin.send(question).unwrap();
            may_go.recv().unwrap();
            question + 1
        };
        (Pool::start("test", vec![worker], queue).unwrap(), begun, go)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_what_nobody_waits_for_is_not_worked_on() {
        let (pool, begun, go) = held(2);
        let pool = Arc::new(pool);
        let ask = |question| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.ask(question, later()).await })
        };
        let first = ask(1);
        tokio::task::yield_now().await;
        assert_eq!(begun.recv().unwrap(), 1);
        let left = ask(2);
        let last = ask(3);
        tokio::task::yield_now().await;
        assert_eq!(pool.ask(4, later()).await, Err(Unanswered::Busy));
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(2));
        assert_eq!(last.await.unwrap(), Ok(4));
        assert_eq!(begun.recv().unwrap(), 3, "who has left is passed over");
    }

    #[tokio::test]
    async fn who_waits_until_the_deadline_goes_on_without_an_answer() {
        let (pool, begun, go) = held(2);
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(pool.ask(1, soon).await, Err(Unanswered::Late));
        assert!(Instant::now() >= soon);
        assert_eq!(begun.recv().unwrap(), 1);
        assert_eq!(pool.ask(2, Instant::now()).await, Err(Unanswered::Late));
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(pool.ask(3, later()).await, Ok(4));
        assert_eq!(begun.recv().unwrap(), 3, "what was late before its turn is passed over");
    }

    #[tokio::test]
    async fn a_question_that_breaks_the_worker_leaves_the_thread_to_the_others() {
        let worker = |question: u32, _| {
            assert_ne!(question, 13);
            question
        };
        let pool = Pool::start("test", vec![worker], 1).unwrap();
        assert_eq!(pool.ask(13, later()).await, Err(Unanswered::Broken));
        assert_eq!(pool.ask(14, later()).await, Ok(14));
    }
}
