//! The addresses of one dial's host, from where they come: the pool's cache, its resolve callback,
//! or the system's resolver.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::cache::CachedAnswer;
use super::lookup::Lookup;
use super::lookup_queue::LookupFn;
use super::name_service::NameService;
use super::resolver::LookupSubscription;
use crate::dial::callbacks::DialCallbacks;
use crate::dial::caller::{shortage, timeout_left, DialCaller};
use crate::sync::Arc;
use crate::sys::wake::Wake;
use crate::sys::{self, clock, getaddrinfo, memory};
use crate::values::address_list::add_address;
use crate::values::clock::{Deadline, Time};
use crate::values::error::{Error, Result, Status};
use crate::values::network::Network;

/// A callback is told whole milliseconds, so it may end a little before the deadline.
const EARLY: Duration = Duration::from_millis(10);

/// What is known so far.
#[derive(Debug)]
pub(crate) struct KnownAddresses {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) ipv6_came_late: bool,
    pub(crate) is_complete: bool,
}

#[derive(Debug)]
enum SourceKind {
    Cache(CachedAnswer),
    /// Resolved in this thread.
    Inline(Arc<Lookup>),
    Resolver(LookupSubscription),
}

/// Where the addresses of a host come from.
#[derive(Debug)]
pub(crate) struct AddressSource {
    names: Arc<NameService>,
    /// What the cache calls the host.
    name: String,
    kind: SourceKind,
}

impl AddressSource {
    /// Begins to find the addresses of `host`. Blocks only in a resolve callback, and only where
    /// the caller lets it.
    pub(crate) fn ask(
        names: &Arc<NameService>,
        network: Network,
        host: &str,
        deadline: Deadline,
        caller: &dyn DialCaller,
    ) -> Self {
        let key = names.key(&network.to_string(), host);
        let name = key.name.clone();
        let kind = match names.cache.answer(&name, clock::now()) {
            Some(answer) => SourceKind::Cache(answer),
            None => {
                let resolve = Self::resolve(names, &name, network, host, deadline);
                if names.callbacks.is_some() && caller.may_resolve_here() {
                    let lookup = Arc::new(Lookup::new(deadline));
                    lookup.end(resolve(&lookup));
                    SourceKind::Inline(lookup)
                } else {
                    let waker = caller.shared_waker();
                    let resolver = names.resolver;
                    let resolve = names.on_library_thread(resolve);
                    SourceKind::Resolver(resolver.subscribe(key, waker, deadline, resolve))
                }
            }
        };
        Self {
            names: names.clone(),
            name,
            kind,
        }
    }

    /// What comes too late for the dial serves later ones. The cache is held weakly: a lookup that
    /// hangs does not keep what belongs to a closed pool.
    fn resolve(
        names: &Arc<NameService>,
        name: &str,
        network: Network,
        host: &str,
        deadline: Deadline,
    ) -> LookupFn {
        let (weak, name, host) = (Arc::downgrade(names), name.to_owned(), host.to_owned());
        let callbacks = names.callbacks.clone();
        let timeout_ms = timeout_left(deadline);
        Box::new(move |lookup| {
            let found = match callbacks {
                Some(callbacks) => ask_callback(&*callbacks, network, &host, timeout_ms, lookup),
                None => ask_system(&host),
            };
            if let (Some(names), Ok(last)) = (weak.upgrade(), &found) {
                let mut addresses = lookup.result().addresses;
                for &address in last {
                    add_address(&mut addresses, address);
                }
                names.cache.remember(&name, &Ok(addresses), clock::now());
            }
            found
        })
    }

    /// What is known by now, or why nothing will be.
    pub(crate) fn poll(&self) -> Result<KnownAddresses> {
        let lookup = match &self.kind {
            SourceKind::Cache(answer) => {
                return answer.clone().map(|addresses| KnownAddresses {
                    addresses,
                    ipv6_came_late: false,
                    is_complete: true,
                });
            }
            SourceKind::Inline(lookup) => lookup,
            SourceKind::Resolver(subscription) => subscription.lookup(),
        };
        let result = lookup.result();
        match result.end {
            Some(Err(error)) => Err(error),
            end => Ok(KnownAddresses {
                addresses: result.addresses,
                ipv6_came_late: result.ipv6_came_late,
                is_complete: end.is_some(),
            }),
        }
    }

    /// Lets a complete answer serve later dials too.
    pub(crate) fn remember(&self, addresses: &[SocketAddr]) {
        self.remember_answer(&Ok(addresses.to_vec()));
    }

    /// Lets a failure serve later dials too, if it says that there is no such name.
    pub(crate) fn remember_failure(&self, error: &Error) {
        if error.status == Status::Resolve && getaddrinfo::says_no_such_name(error.number) {
            self.remember_answer(&Err(error.clone()));
        }
    }

    fn remember_answer(&self, answer: &CachedAnswer) {
        if !matches!(self.kind, SourceKind::Cache(_)) {
            self.names.cache.remember(&self.name, answer, clock::now());
        }
    }

    /// While the name waits for a thread to be looked up on: when to call `retry`, if nothing
    /// happens before.
    pub(crate) fn retry_at(&self, now: Time) -> Option<Time> {
        match &self.kind {
            SourceKind::Resolver(subscription) => subscription.retry_at(now),
            _ => None,
        }
    }

    /// Starts what waits for a thread, if it may start by now.
    pub(crate) fn retry(&self, now: Time) {
        if let SourceKind::Resolver(subscription) = &self.kind {
            subscription.start_what_may(now);
        }
    }

    /// Wakes `waker` at news, instead of the one before.
    pub(crate) fn set_waker(&mut self, waker: Arc<dyn Wake>) {
        if let SourceKind::Resolver(subscription) = &mut self.kind {
            subscription.set_waker(waker);
        }
    }

    /// The failure may not be this dial's: another one asked first, and that one's time was over.
    pub(crate) fn failed_for_another(&self, now: Time) -> bool {
        match &self.kind {
            SourceKind::Resolver(subscription) => {
                let deadline = subscription.lookup().deadline();
                !subscription.is_own() && deadline.has_passed(now.after(EARLY))
            }
            _ => false,
        }
    }

    /// The dial's deadline passed before everything was known.
    pub(crate) fn note_timeout(&self, now: Time) {
        if let SourceKind::Resolver(subscription) = &self.kind {
            subscription.note_timeout(now);
        }
    }
}

fn ask_callback(
    callbacks: &dyn DialCallbacks,
    network: Network,
    host: &str,
    timeout_ms: i64,
    lookup: &Arc<Lookup>,
) -> Result<Vec<SocketAddr>> {
    callbacks.resolve(&network.to_string(), host, timeout_ms, lookup.clone())?;
    Ok(Vec::new())
}

fn ask_system(host: &str) -> Result<Vec<SocketAddr>> {
    getaddrinfo::resolve(host).map_err(|failure| {
        // Without a descriptor the resolver says that there is no such name.
        if sys::is_out_of_descriptors() {
            return shortage(&io::Error::from_raw_os_error(libc::EMFILE));
        }
        // And without memory, at times.
        if failure.code == libc::EAI_MEMORY || memory::is_short() {
            return Error::no_memory();
        }
        let message = format!("resolving {host}: {}", failure.text);
        Error::new(Status::Resolve, message).numbered(failure.code)
    })
}
