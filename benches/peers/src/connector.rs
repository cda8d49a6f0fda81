//! The one setup that connector: it counts, so that cycles can be proved to have been hits.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// See the module.
pub(crate) struct Connector {
    address: String,
    count: AtomicU64,
}

impl Connector {
    pub(crate) fn to(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.count.load(Relaxed)
    }

    pub(crate) fn port(&self) -> &str {
        let (_, port) = self.address.rsplit_once(':').expect("host:port");
        port
    }

    pub(crate) fn connect(&self) -> io::Result<std::net::TcpStream> {
        self.connect_to(&self.address)
    }

    pub(crate) fn connect_to(&self, address: &str) -> io::Result<std::net::TcpStream> {
        self.count.fetch_add(1, Relaxed);
        std::net::TcpStream::connect(address)
    }

    /// For tasks.
    pub(crate) async fn open(&self) -> io::Result<tokio::net::TcpStream> {
        self.count.fetch_add(1, Relaxed);
        tokio::net::TcpStream::connect(&self.address).await
    }
}
