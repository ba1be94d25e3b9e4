//! Host names to addresses. Pingora's own look-up blocks a worker and panics when it fails, so names
//! are resolved here, and the last good answer is kept while DNS is away.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::upstreams::peer::HttpPeer;

use super::Origin;

/// Connections idle for longer are closed by us, before the provider does it under a request.
pub(super) const IDLE_CONNECTION: Duration = Duration::from_secs(55);

/// The current peer of one provider.
#[derive(Debug)]
pub struct Resolver {
    origin: Origin,
    peer: ArcSwapOption<HttpPeer>,
}

impl Resolver {
    /// An address literal is resolved at once, a name at its first use.
    pub fn new(origin: &Origin) -> Self {
        let peer = origin
            .host
            .parse::<IpAddr>()
            .ok()
            .map(|ip| Arc::new(peer(origin, SocketAddr::new(ip, origin.port))));
        Self { origin: origin.clone(), peer: ArcSwapOption::new(peer) }
    }

    /// The peer to connect to, if its name has ever resolved.
    pub fn known(&self) -> Option<Arc<HttpPeer>> {
        self.peer.load_full()
    }

    /// The peer to connect to.
    ///
    /// # Errors
    /// When the name has never resolved.
    pub async fn peer(&self) -> Result<Arc<HttpPeer>, String> {
        match self.known() {
            Some(peer) => Ok(peer),
            None => self.refresh().await,
        }
    }

    /// The address alone.
    ///
    /// # Errors
    /// When the name has never resolved.
    pub async fn address(&self) -> Result<SocketAddr, String> {
        self.peer().await.map(|peer| current_address(&peer))
    }

    /// Looks the name up again; a failure keeps the last good answer.
    ///
    /// # Errors
    /// When the look-up fails or finds nothing.
    pub async fn refresh(&self) -> Result<Arc<HttpPeer>, String> {
        let Origin { host, port, .. } = &self.origin;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let addresses: Vec<SocketAddr> =
            found.map_err(|error| format!("{host} cannot be resolved: {error}"))?.collect();
        if let Some(current) = self.peer.load_full()
            && addresses.contains(&current_address(&current))
        {
            return Ok(current);
        }
        let address = addresses.first().ok_or_else(|| format!("{host} has no address"))?;
        let peer = Arc::new(peer(&self.origin, *address));
        self.peer.store(Some(peer.clone()));
        Ok(peer)
    }

    /// True for a name; false for an address literal, which never changes.
    pub fn is_name(&self) -> bool {
        self.origin.host.parse::<IpAddr>().is_err()
    }
}

fn current_address(peer: &HttpPeer) -> SocketAddr {
    peer._address.as_inet().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}

fn peer(origin: &Origin, address: SocketAddr) -> HttpPeer {
    let mut peer = HttpPeer::new(address, origin.tls, origin.host.clone());
    peer.options.idle_timeout = Some(IDLE_CONNECTION);
    peer
}
