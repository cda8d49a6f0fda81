//! One name being resolved, and everybody who waits for its addresses.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::ptr;
use std::time::Duration;

use crate::sync::{Arc, Mutex};
use crate::sys::clock;
use crate::sys::wake::Wake;
use crate::values::clock::{Deadline, Time};
use crate::values::error::Result;

/// How far a lookup has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// In the order in which they arrived, port 0.
    pub(crate) addresses: Vec<SocketAddr>,
    /// IPv6 came after IPv4, and so much later that IPv4 had to wait for it.
    pub(crate) ipv6_came_late: bool,
    /// `None` while there may come more.
    pub(crate) end: Option<Result<()>>,
}

/// Addresses that a source adds in one go are less far apart.
const APART: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Shared {
    progress: Progress,
    first_ipv4: Option<Time>,
    wakers: Vec<Arc<dyn Wake>>,
}

impl Shared {
    fn add(&mut self, address: SocketAddr, now: Time) {
        if address.is_ipv4() {
            self.first_ipv4.get_or_insert(now);
        } else if !self.progress.addresses.iter().any(SocketAddr::is_ipv6) {
            let waited_since = self.first_ipv4.unwrap_or(now);
            self.progress.ipv6_came_late = now.since(waited_since) >= APART;
        }
        if !self.progress.addresses.contains(&address) {
            self.progress.addresses.push(address);
        }
    }
}

/// See the module. Addresses may arrive one by one, so a dial can begin before the lookup has ended.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Of the dial that asked first.
    deadline: Deadline,
    /// Guards itself alone.
    shared: Mutex<Shared>,
}

impl Lookup {
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            shared: Mutex::default(),
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// One address, of which there may be more.
    pub(crate) fn add(&self, address: SocketAddr) {
        let now = clock::now();
        let mut shared = self.shared.lock();
        shared.add(address, now);
        shared.wakers.iter().for_each(|waker| waker.wake());
    }

    /// These are the last; nothing more comes.
    pub(crate) fn end(&self, last: Result<Vec<SocketAddr>>) {
        let now = clock::now();
        let mut shared = self.shared.lock();
        let end = last.map(|last| {
            last.into_iter()
                .for_each(|address| shared.add(address, now))
        });
        shared.progress.end = Some(end);
        shared.wakers.drain(..).for_each(|waker| waker.wake());
    }

    pub(crate) fn progress(&self) -> Progress {
        self.shared.lock().progress.clone()
    }

    /// Wakes `waker` at every progress.
    pub(crate) fn join(&self, waker: &Arc<dyn Wake>) {
        let mut shared = self.shared.lock();
        if shared.progress.end.is_none() {
            shared.wakers.push(waker.clone());
        }
    }

    /// Somebody waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.shared.lock().wakers.is_empty()
    }

    /// The end of a `join`; `true` if nobody is waiting any more.
    pub(crate) fn leave(&self, waker: &Arc<dyn Wake>) -> bool {
        let mut shared = self.shared.lock();
        let is_it = |one: &Arc<dyn Wake>| ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(waker));
        shared.wakers.retain(|one| !is_it(one));
        shared.wakers.is_empty()
    }
}
