//! What every pool is made with.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::connector::Connector;

/// Threads, or tasks on as many threads, that work at a time.
pub(crate) const WORKERS: usize = 8;

/// The runtime, the one place that connects, and how many connections or destinations there are.
pub(crate) struct Setup {
    pub(crate) runtime: Runtime,
    pub(crate) connector: Arc<Connector>,
    pub(crate) amount: usize,
}

impl Setup {
    pub(crate) fn new(address: &str, amount: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
            connector: Arc::new(Connector::to(address)),
            amount: amount.parse().expect("AMOUNT"),
        }
    }
}
