//! How many connections are open, in all and by address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So that connections of different addresses seldom wait for each other.
const SHARDS: usize = 16;

/// The open connections of the public listener.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicU32,
    hasher: RandomState,
    by_address: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
}

/// One open connection, until it is dropped.
#[derive(Debug)]
pub struct Connection {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
}

impl Connections {
    /// Counts a connection; None when there are `most` already, or `most_per_address` (0: any number) from there.
    pub fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        most: u32,
        most_per_address: u32,
    ) -> Option<Connection> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection { connections: self.clone(), address: None };
        if before >= most {
            return None;
        }
        let Some(address) = address.filter(|_| most_per_address > 0) else { return Some(connection) };
        if let Some(mut shard) = self.shard(address) {
            let open = shard.entry(address).or_insert(0);
            if *open >= most_per_address {
                return None;
            }
            *open += 1;
            connection.address = Some(address);
        }
        Some(connection)
    }

    /// How many are open.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    fn shard(&self, address: IpAddr) -> Option<MutexGuard<'_, HashMap<IpAddr, u32>>> {
        let index = usize::try_from(self.hasher.hash_one(address) % SHARDS as u64).ok()?;
        Some(self.by_address.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        if let Some(mut shard) = self.connections.shard(address)
            && let Entry::Occupied(mut open) = shard.entry(address)
        {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)));

    #[test]
    fn one_address_cannot_take_the_connections_of_another() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(ONE, 10, 2).unwrap();
        let _second = connections.enter(ONE, 10, 2).unwrap();
        assert!(connections.enter(ONE, 10, 2).is_none());
        assert!(connections.enter(OTHER, 10, 2).is_some());
        drop(first);
        assert!(connections.enter(ONE, 10, 2).is_some());
    }

    #[test]
    fn a_refused_connection_is_not_counted_and_an_address_is_forgotten() {
        let connections = Arc::new(Connections::default());
        let open = connections.enter(ONE, 1, 1).unwrap();
        for _ in 0..3 {
            assert!(connections.enter(OTHER, 1, 0).is_none());
        }
        drop(open);
        assert!(connections.enter(ONE, 1, 1).is_some());
        assert!(connections.shard(ONE.unwrap()).unwrap().is_empty());
    }
}
