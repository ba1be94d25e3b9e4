//! The handle of a running mock: listening, accepting, stopping.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::record::{Recorded, Stats};
use crate::state::State;

/// Pending connections the kernel holds while the accept loop is busy.
const LISTEN_QUEUE: i32 = 4096;
/// A pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How a mock runs. The defaults suit benchmarks: nothing is recorded, answers come at once.
#[derive(Clone, Debug)]
pub struct Options {
    /// Accept loops. The first runs on the caller's runtime; each further one gets a thread with a
    /// runtime of its own and a socket of its own on the same port (SO_REUSEPORT).
    pub workers: usize,
    /// Recent requests kept for [`Mock::requests`].
    pub record: usize,
    /// The delay before the first byte of a stream that does not ask for another.
    pub ttft: Duration,
    /// The pause between the chunks of a stream that does not ask for another.
    pub gap: Duration,
    /// Content chunks of a stream that does not ask for another number; `None`: one per word of the
    /// echoed message.
    pub chunks: Option<usize>,
    /// The credential every request must present; `None`: any or none.
    pub credential: Option<String>,
    /// Answers at once; further requests wait in line, as at a model server whose batch is full. `None`: any number.
    pub capacity: Option<usize>,
    /// How long a connection may stay silent between requests.
    pub idle_timeout: Duration,
    /// How long `fault=hang` holds on before it closes.
    pub hang_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            record: 0,
            ttft: Duration::ZERO,
            gap: Duration::ZERO,
            chunks: None,
            credential: None,
            capacity: None,
            idle_timeout: Duration::from_secs(300),
            hang_limit: Duration::from_secs(600),
        }
    }
}

/// A running mock. Clones share it; it stops, and its connections close, with the last one.
#[derive(Clone)]
pub struct Mock {
    running: Arc<Running>,
}

struct Running {
    address: SocketAddr,
    state: Arc<State>,
    /// Dropping the sender is the signal to stop.
    _stop: watch::Sender<()>,
}

impl Mock {
    /// Listens on `listen` (port 0: any free one) and serves from the current tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound, or a worker thread cannot be started.
    pub async fn start(listen: SocketAddr, options: Options) -> io::Result<Mock> {
        let shared = options.workers > 1;
        let listener = bind(listen, shared)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        let workers = options.workers;
        let state = Arc::new(State::new(options));
        for worker in 1..workers {
            let listener = bind(address, true)?;
            spawn_worker(worker, listener, Arc::clone(&state), stopped.clone())?;
        }
        tokio::spawn(accept(TcpListener::from_std(listener)?, Arc::clone(&state), stopped));
        Ok(Mock { running: Arc::new(Running { address, state, _stop: stop }) })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The recent requests, oldest first, at most [`Options::record`].
    pub fn requests(&self) -> Vec<Recorded> {
        self.running.state.ring.all()
    }

    /// Forgets the recorded requests, the counters and how often `first=` was used.
    pub fn clear(&self) {
        self.running.state.clear();
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        self.running.state.counters.stats()
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit this on Linux, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_QUEUE)?;
    Ok(socket.into())
}

fn spawn_worker(
    worker: usize,
    listener: std::net::TcpListener,
    state: Arc<State>,
    stopped: watch::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, state, stopped).await,
                Err(error) => eprintln!("mock-upstream: worker {worker} cannot listen: {error}"),
            }
        });
    };
    std::thread::Builder::new().name(format!("mock-{worker}")).spawn(serve).map(drop)
}

/// Owns its connections: when it ends, they end.
async fn accept(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    state.counters.accepted_connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(Connection::new(stream, Arc::clone(&state)).run());
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => return,
        }
    }
}
