//! Runs a race in the calling thread, with poll(2): no thread, no timer and no epoll of its own.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::connect::Attempt;
use super::order;
use super::race::{Pace, Race, Step};
use crate::sys::getaddrinfo::{self, ResolveFailure};
use crate::sys::poll::{self, Interest};
use crate::sys::{self, clock, socket};
use crate::values::address::{Address, Target};
use crate::values::clock::{Deadline, Time};
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Phase, Result, Status};
use crate::values::network::Family;
use crate::values::options::DialSettings;

/// glibc's netdb.h: the name has no address of that family.
const EAI_ADDRFAMILY: i32 = -9;

/// Who asked, as far as a dial must know.
pub(crate) trait Caller {
    /// Why the dial must end now, if it must.
    fn ended(&self) -> Option<Error>;
    /// A descriptor that becomes readable when `ended` changes. Only asked for when the dial has to sleep.
    fn bell(&self) -> Result<BorrowedFd<'_>>;
    /// The process has no descriptor left: gives one back to the system, if it can.
    fn make_room(&self) -> bool;
}

/// A connected socket, in non-blocking mode.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) fd: OwnedFd,
    pub(crate) remote: Endpoint,
}

/// Everything between an address and a connected socket.
pub(crate) fn dial(
    address: &Address,
    settings: &DialSettings,
    deadline: Deadline,
    caller: &dyn Caller,
) -> Result<Dialed> {
    let endpoints = endpoints_of(address, caller)?;
    if deadline.has_passed(clock::now()) {
        let phase = match address.target {
            Target::Name { .. } => Phase::Resolving,
            Target::Literal(_) => Phase::Connecting,
        };
        return Err(Error::timeout(phase, ""));
    }
    let usable = usable_from(endpoints, settings)?;
    Drive {
        address,
        settings,
        caller,
        race: Race::new(usable.len(), pace(settings), deadline),
        attempts: usable.iter().map(|_| None).collect(),
        failures: usable.iter().map(|_| None).collect(),
        endpoints: usable,
        made_room: false,
    }
    .run()
}

fn pace(settings: &DialSettings) -> Pace {
    settings
        .fallback_delay
        .map_or(Pace::OneByOne, Pace::Staggered)
}

fn endpoints_of(address: &Address, caller: &dyn Caller) -> Result<Vec<Endpoint>> {
    let family = address.network.family().unwrap_or(Family::Any);
    match &address.target {
        Target::Literal(Endpoint::Inet(literal)) => inet_endpoints(
            vec![*literal],
            family,
            &format!("no {} address", address.network),
        ),
        Target::Literal(unix) => Ok(vec![unix.clone()]),
        Target::Name { host, port } => {
            let mut answer = getaddrinfo::resolve(host);
            // Without a descriptor the resolver says that there is no such name.
            if answer.is_err() && sys::is_out_of_descriptors() && caller.make_room() {
                answer = getaddrinfo::resolve(host);
            }
            if answer.is_err() && sys::is_out_of_descriptors() {
                return Err(shortage(&std::io::Error::from_raw_os_error(libc::EMFILE)));
            }
            let mut found = answer.map_err(|failure| unresolved(host, &failure))?;
            found.iter_mut().for_each(|one| one.set_port(*port));
            inet_endpoints(
                found,
                family,
                &format!("{host} has no {} address", address.network),
            )
        }
    }
}

fn inet_endpoints(found: Vec<SocketAddr>, family: Family, none: &str) -> Result<Vec<Endpoint>> {
    let ordered = order::interleave(found, family);
    if ordered.is_empty() {
        return Err(Error::new(Status::Resolve, none).numbered(EAI_ADDRFAMILY));
    }
    Ok(ordered.into_iter().map(Endpoint::Inet).collect())
}

fn unresolved(host: &str, failure: &ResolveFailure) -> Error {
    Error::new(
        Status::Resolve,
        format!("resolving {host}: {}", failure.text),
    )
    .numbered(failure.code)
}

/// Without the addresses that `local_address` cannot reach.
fn usable_from(endpoints: Vec<Endpoint>, settings: &DialSettings) -> Result<Vec<Endpoint>> {
    let Some(local) = &settings.local_address else {
        return Ok(endpoints);
    };
    let is_unix = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Unix(_));
    let same_family = |to: &Endpoint| {
        is_unix(to) == is_unix(&local.endpoint) && to.is_ipv6() == local.endpoint.is_ipv6()
    };
    let usable: Vec<_> = endpoints.into_iter().filter(same_family).collect();
    if usable.is_empty() {
        return Err(Error::new(
            Status::Connect,
            format!(
                "no address of the family of local_address {}",
                local.endpoint.text(local.has_port)
            ),
        )
        .numbered(libc::EADDRNOTAVAIL));
    }
    Ok(usable)
}

struct Drive<'a> {
    address: &'a Address,
    settings: &'a DialSettings,
    caller: &'a dyn Caller,
    race: Race,
    endpoints: Vec<Endpoint>,
    attempts: Vec<Option<Attempt>>,
    failures: Vec<Option<i32>>,
    made_room: bool,
}

impl Drive<'_> {
    fn run(mut self) -> Result<Dialed> {
        loop {
            let now = clock::now();
            match self.race.next(now) {
                Step::Connect(number) => self.start(number, now)?,
                Step::Abandon(number) => {
                    self.attempts[number] = None;
                    self.failures[number].get_or_insert(libc::ETIMEDOUT);
                }
                Step::Sleep(until) => self.sleep(until)?,
                Step::Won(number) => return Ok(self.take(number)),
                Step::Failed => return Err(self.all_failed()),
                Step::TimedOut => return Err(Error::timeout(Phase::Connecting, &self.tried())),
            }
        }
    }

    fn take(mut self, number: usize) -> Dialed {
        match self.attempts[number].take() {
            Some(attempt) => {
                let (fd, dialed) = attempt.into_parts();
                // 0.0.0.0 and :: are dialed as this machine; the peer's address is another one.
                let peer = if dialed.is_unspecified() {
                    socket::peer(fd.as_fd()).ok().flatten()
                } else {
                    None
                };
                Dialed {
                    fd,
                    remote: peer.unwrap_or(dialed),
                }
            }
            None => unreachable!("the winner was started"),
        }
    }

    fn start(&mut self, number: usize, now: Time) -> Result<()> {
        let start = || {
            Attempt::start(
                self.address.network,
                &self.endpoints[number],
                self.settings,
                now,
            )
        };
        let mut started = start();
        if let Err(error) = &started {
            let no_descriptor = matches!(sys::errno(error), libc::EMFILE | libc::ENFILE);
            if no_descriptor && !self.made_room && self.caller.make_room() {
                self.made_room = true;
                started = start();
            }
        }
        match started {
            Ok(attempt) => {
                if attempt.is_connected() {
                    self.race.connected(number);
                }
                self.attempts[number] = Some(attempt);
                Ok(())
            }
            Err(error) if sys::is_shortage(sys::errno(&error)) => Err(shortage(&error)),
            Err(error) => {
                self.failed(number, sys::errno(&error));
                Ok(())
            }
        }
    }

    fn failed(&mut self, number: usize, errno: i32) {
        self.attempts[number] = None;
        self.failures[number] = Some(errno);
        self.race.failed(number);
    }

    /// Sleeps until something happened to an attempt, the bell rang, or `until`; first looks without the bell, because a
    /// peer on this machine has answered already.
    fn sleep(&mut self, until: Deadline) -> Result<()> {
        if self.poll(None, Deadline::at(Time::default()))? {
            return Ok(());
        }
        let caller = self.caller;
        let bell = caller.bell()?;
        if let Some(error) = caller.ended() {
            return Err(error);
        }
        self.poll(Some(bell), until)?;
        match caller.ended() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn poll(&mut self, bell: Option<BorrowedFd<'_>>, until: Deadline) -> Result<bool> {
        let pending: Vec<usize> = (0..self.attempts.len())
            .filter(|&number| {
                self.attempts[number]
                    .as_ref()
                    .is_some_and(|one| one.pending().is_some())
            })
            .collect();
        let mut interests: Vec<Interest> = self
            .attempts
            .iter()
            .flatten()
            .filter_map(Attempt::pending)
            .map(|fd| Interest::new(fd, poll::WRITABLE))
            .collect();
        interests.extend(bell.map(|bell| Interest::new(bell, poll::READABLE)));
        let again = self
            .attempts
            .iter()
            .flatten()
            .filter_map(Attempt::again_at)
            .map(Deadline::at);
        let until = again.fold(until, Deadline::min);
        poll::wait(&mut interests, until).map_err(|error| shortage(&error))?;
        let mut happened = false;
        for (number, interest) in pending.into_iter().zip(&interests) {
            if interest.reported() != 0 {
                happened = true;
                self.settle(number, Attempt::finish);
            }
        }
        let now = clock::now();
        for number in 0..self.attempts.len() {
            if self.attempts[number]
                .as_ref()
                .is_some_and(|one| one.again_at().is_some_and(|at| at <= now))
            {
                happened = true;
                self.settle(number, |attempt| attempt.try_again(now));
            }
        }
        Ok(happened)
    }

    fn settle(&mut self, number: usize, look: impl FnOnce(&mut Attempt) -> std::io::Result<()>) {
        let Some(attempt) = &mut self.attempts[number] else {
            return;
        };
        match look(attempt) {
            Ok(()) if attempt.is_connected() => self.race.connected(number),
            Ok(()) => {}
            Err(error) => self.failed(number, sys::errno(&error)),
        }
    }

    /// `10.0.0.5:5432: connection refused; [fd00::5]:5432: no answer`; without the address if the dial named it itself.
    fn tried(&self) -> String {
        let has_port = self.address.network.has_port();
        let said = self
            .endpoints
            .iter()
            .zip(&self.failures)
            .filter_map(|(endpoint, failure)| {
                let what = match (*failure)? {
                    libc::ETIMEDOUT => "no answer".to_owned(),
                    errno => sys::errno_text(errno),
                };
                Some(match self.address.target {
                    Target::Literal(_) => what,
                    Target::Name { .. } => format!("{}: {what}", endpoint.text(has_port)),
                })
            });
        said.collect::<Vec<_>>().join("; ")
    }

    fn all_failed(&self) -> Error {
        let first = self.failures.iter().flatten().next().copied();
        Error::new(Status::Connect, self.tried()).numbered(first.unwrap_or(0))
    }
}

fn shortage(error: &std::io::Error) -> Error {
    let errno = sys::errno(error);
    Error::new(Status::System, sys::errno_text(errno)).numbered(errno)
}
