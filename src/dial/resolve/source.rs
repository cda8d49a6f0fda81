//! Where a name's addresses come from: the pool's cache, the program's resolve callback, or the system's resolver.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use super::cache::Answer;
use super::lookup::Lookup;
use super::resolver::{Asked, Key, Work};
use crate::dial::drive::run::{shortage, timeout_left, Caller};
use crate::dial::Dialer;
use crate::sync::{Arc, Weak};
use crate::sys::wake::Wake;
use crate::sys::{self, clock, getaddrinfo};
use crate::values::clock::{Deadline, Time};
use crate::values::error::{Error, Result, Status};
use crate::values::network::Network;

/// A callback is told whole milliseconds, so it may end a little before the deadline.
const EARLY: Duration = Duration::from_millis(10);
/// The owner of the system's lookups.
const THE_SYSTEM: u64 = 0;

/// What is known so far.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) ipv6_came_late: bool,
    pub(crate) is_complete: bool,
}

#[derive(Debug)]
enum From {
    Cache(Answer),
    /// Resolved in this thread.
    Here(Arc<Lookup>),
    Asked(Asked),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    from: From,
}

impl Source {
    /// Begins to find the addresses of `host`. Blocks only in a resolve callback, and only where the caller lets it.
    pub(crate) fn ask(
        network: Network,
        host: &str,
        dialer: &Arc<Dialer>,
        deadline: Deadline,
        caller: &dyn Caller,
    ) -> Result<Self> {
        let callbacks = dialer
            .callbacks
            .as_ref()
            .filter(|callbacks| callbacks.resolves());
        let name = match callbacks {
            Some(_) => format!("{network} {host}"),
            None => host.to_owned(),
        };
        if let Some(answer) = dialer.cache.answer(&name, clock::now()) {
            return Ok(Self {
                name,
                from: From::Cache(answer),
            });
        }
        let host = host.to_owned();
        // What comes too late for the dial serves later ones. Weak: a lookup that hangs does not keep a closed pool's callbacks.
        let keeper = (Arc::downgrade(dialer), name.clone());
        let work: Work = match callbacks {
            None => Box::new(move |lookup| keep(keeper, lookup, system(&host))),
            Some(callbacks) => {
                let callbacks = callbacks.clone();
                let timeout_ms = timeout_left(deadline);
                let work = move |lookup: &Arc<Lookup>| {
                    let result = callbacks.resolve(&network.to_string(), &host, timeout_ms, lookup);
                    keep(keeper, lookup, result.map(|()| Vec::new()))
                };
                if caller.may_resolve_here() {
                    let lookup = Arc::new(Lookup::new(deadline));
                    lookup.end(work(&lookup));
                    return Ok(Self {
                        name,
                        from: From::Here(lookup),
                    });
                }
                Box::new(work)
            }
        };
        let owner = if callbacks.is_some() {
            dialer.owner
        } else {
            THE_SYSTEM
        };
        let key = Key {
            owner,
            name: name.clone(),
        };
        let asked = dialer
            .resolver
            .ask(key, caller.shared_waker(), deadline, work);
        Ok(Self {
            name,
            from: From::Asked(asked),
        })
    }

    /// What is known by now, or why nothing will be.
    pub(crate) fn told(&self) -> Result<Told> {
        let lookup = match &self.from {
            From::Cache(answer) => {
                return answer.clone().map(|addresses| Told {
                    addresses,
                    ipv6_came_late: false,
                    is_complete: true,
                });
            }
            From::Here(lookup) => lookup,
            From::Asked(asked) => &asked.lookup,
        };
        let progress = lookup.progress();
        match progress.end {
            Some(Err(error)) => Err(error),
            end => Ok(Told {
                addresses: progress.addresses,
                ipv6_came_late: progress.ipv6_came_late,
                is_complete: end.is_some(),
            }),
        }
    }

    /// Lets a complete answer serve later dials too.
    pub(crate) fn remember(&self, addresses: &[SocketAddr], dialer: &Dialer) {
        if !matches!(self.from, From::Cache(_)) {
            dialer
                .cache
                .remember(&self.name, &Ok(addresses.to_vec()), clock::now());
        }
    }

    /// The same for a failure, if it says that there is no such name.
    pub(crate) fn remember_failure(&self, error: &Error, dialer: &Dialer) {
        let is_new = !matches!(self.from, From::Cache(_));
        if is_new && error.status == Status::Resolve && getaddrinfo::says_no_such_name(error.number)
        {
            dialer
                .cache
                .remember(&self.name, &Err(error.clone()), clock::now());
        }
    }

    /// While the name waits for a thread to be looked up on: when to look again, if nothing happens before.
    pub(crate) fn again_at(&self, now: Time) -> Option<Time> {
        match &self.from {
            From::Asked(asked) => asked.nudge_at(now),
            _ => None,
        }
    }

    /// Such a time has come, perhaps.
    pub(crate) fn nudge(&self, now: Time) {
        if let From::Asked(asked) = &self.from {
            asked.nudge(now);
        }
    }

    /// From now on that one is told of news.
    pub(crate) fn tell_instead(&mut self, waker: Arc<dyn Wake>) {
        if let From::Asked(asked) = &mut self.from {
            asked.tell_instead(waker);
        }
    }

    /// A failure that may be somebody else's: the lookup was another dial's, and that one's time was over.
    pub(crate) fn failed_for_another(&self, now: Time) -> bool {
        match &self.from {
            From::Asked(asked) => {
                !asked.is_own && asked.lookup.deadline().has_passed(now.after(EARLY))
            }
            _ => false,
        }
    }

    /// The dial's deadline passed before everything was known.
    pub(crate) fn timed_out(&self, now: Time) {
        if let From::Asked(asked) = &self.from {
            asked.timed_out(now);
        }
    }
}

/// Lets what a lookup has found serve later dials: what was added, and what comes last.
fn keep(
    (dialer, name): (Weak<Dialer>, String),
    lookup: &Arc<Lookup>,
    result: Result<Vec<SocketAddr>>,
) -> Result<Vec<SocketAddr>> {
    if let (Some(dialer), Ok(last)) = (dialer.upgrade(), &result) {
        let mut addresses = lookup.progress().addresses;
        addresses.extend(last);
        dialer.cache.remember(&name, &Ok(addresses), clock::now());
    }
    result
}

fn system(host: &str) -> Result<Vec<SocketAddr>> {
    getaddrinfo::resolve(host).map_err(|failure| {
        // Without a descriptor the resolver says that there is no such name.
        if sys::is_out_of_descriptors() {
            return shortage(&std::io::Error::from_raw_os_error(libc::EMFILE));
        }
        let message = format!("resolving {host}: {}", failure.text);
        Error::new(Status::Resolve, message).numbered(failure.code)
    })
}
