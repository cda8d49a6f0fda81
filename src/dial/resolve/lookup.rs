//! One name being resolved, and the dials that wait for its addresses.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::ptr;
use std::time::Duration;

use crate::dial::callbacks::AddressSink;
use crate::sync::{Arc, Mutex};
use crate::sys::clock;
use crate::sys::wake::Wake;
use crate::values::address_list::add_address;
use crate::values::clock::{Deadline, Time};
use crate::values::error::Result;

/// What a lookup has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LookupResult {
    /// In the order in which they arrived, port 0.
    pub(crate) addresses: Vec<SocketAddr>,
    /// IPv6 came after IPv4, and so much later that IPv4 had to wait for it.
    pub(crate) ipv6_came_late: bool,
    /// `None` while more may come.
    pub(crate) end: Option<Result<()>>,
}

/// Addresses that a source adds in one go are less far apart.
const APART: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct SharedResult {
    result: LookupResult,
    first_ipv4: Option<Time>,
    waiting: Vec<Arc<dyn Wake>>,
}

impl SharedResult {
    fn add(&mut self, address: SocketAddr, now: Time) {
        if address.is_ipv4() {
            self.first_ipv4.get_or_insert(now);
        } else if !self.result.addresses.iter().any(SocketAddr::is_ipv6) {
            let waited_since = self.first_ipv4.unwrap_or(now);
            self.result.ipv6_came_late = now.since(waited_since) >= APART;
        }
        add_address(&mut self.result.addresses, address);
    }
}

/// A name being resolved. Addresses may arrive one by one, so a dial can begin before the end.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// That of the dial that asked first.
    deadline: Deadline,
    /// Guards itself alone.
    shared: Mutex<SharedResult>,
}

impl AddressSink for Lookup {
    fn add(&self, address: SocketAddr) {
        let now = clock::now();
        let mut shared = self.shared.lock();
        shared.add(address, now);
        shared.waiting.iter().for_each(|waker| waker.wake());
    }
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

    /// Adds the last addresses, or says why there are none. Nothing comes after it.
    pub(crate) fn end(&self, last: Result<Vec<SocketAddr>>) {
        let now = clock::now();
        let mut shared = self.shared.lock();
        let end = last.map(|last| {
            last.into_iter()
                .for_each(|address| shared.add(address, now))
        });
        shared.result.end = Some(end);
        shared.waiting.drain(..).for_each(|waker| waker.wake());
    }

    pub(crate) fn result(&self) -> LookupResult {
        self.shared.lock().result.clone()
    }

    /// Wakes `waker` at each address from here on, and at the end.
    pub(crate) fn subscribe(&self, waker: &Arc<dyn Wake>) {
        let mut shared = self.shared.lock();
        if shared.result.end.is_none() {
            shared.waiting.push(waker.clone());
        }
    }

    /// At least one dial waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.shared.lock().waiting.is_empty()
    }

    /// Undoes a `subscribe`. True if no dial waits for it any more.
    pub(crate) fn unsubscribe(&self, waker: &Arc<dyn Wake>) -> bool {
        let mut shared = self.shared.lock();
        let is_it = |one: &Arc<dyn Wake>| ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(waker));
        shared.waiting.retain(|one| !is_it(one));
        shared.waiting.is_empty()
    }
}
