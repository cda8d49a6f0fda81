//! A dial on its way: the addresses found so far, and a socket to each that is being tried.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::connected::ConnectedSocket;
use crate::dial::caller::{shortage, DialCaller};
use crate::dial::dialer::Dialer;
use crate::dial::race::connect::{Attempt, StartFailure};
use crate::dial::race::connecting_socket::Watcher;
use crate::dial::race::happy_eyeballs::Race;
use crate::dial::resolve::source::AddressSource;
use crate::sync::Arc;
use crate::sys::poll::{self, Interest};
use crate::sys::wake::Wake;
use crate::sys::{self, clock, socket};
use crate::values::address::{Address, Target};
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Phase, Result, Status};

/// Addresses that a message names with what became of them; the rest is counted.
const MOST_NAMED: usize = 16;

/// A dial on its way. The calling thread sleeps on it, or polls it when it is woken.
#[derive(Debug)]
pub(crate) struct Dial {
    destination: Arc<Destination>,
    /// Where the program wants it to go instead.
    rewritten: Option<Address>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) deadline: Deadline,
    pub(super) race: Race,
    /// Where more addresses come from; `None` when all are here.
    pub(super) source: Option<AddressSource>,
    pub(super) first_arrival: Option<Time>,
    pub(super) ipv6_came_late: bool,
    /// There were addresses of another family than `local_address`.
    pub(super) has_left_out: bool,
    /// By number, as the race calls them; and so are the next two.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) attempts: Vec<Option<Attempt>>,
    /// errno.
    pub(super) failures: Vec<Option<i32>>,
    /// An idle connection was closed for want of a descriptor: once in a dial.
    has_made_room: Cell<bool>,
}

impl Dial {
    pub(super) fn new(
        destination: &Arc<Destination>,
        rewritten: Option<Address>,
        dialer: &Arc<Dialer>,
        deadline: Deadline,
    ) -> Self {
        Self {
            destination: destination.clone(),
            rewritten,
            dialer: dialer.clone(),
            deadline,
            race: Race::new(dialer.pace(), deadline),
            source: None,
            first_arrival: None,
            ipv6_came_late: false,
            has_left_out: false,
            endpoints: Vec::new(),
            attempts: Vec::new(),
            failures: Vec::new(),
            has_made_room: Cell::new(false),
        }
    }

    pub(super) fn address(&self) -> &Address {
        self.rewritten.as_ref().unwrap_or(&self.destination.address)
    }

    /// Lets `watcher` wake the dial when something happens to a socket.
    pub(crate) fn watch(&mut self, watcher: &Arc<dyn Watcher>) -> Result<()> {
        let mut attempts = self.attempts.iter_mut().flatten();
        attempts
            .try_for_each(|attempt| attempt.watch(watcher))
            .map_err(|error| shortage(&error))
    }

    /// Wakes `waker` at news of a lookup, instead of the one before.
    pub(crate) fn set_waker(&mut self, waker: Arc<dyn Wake>) {
        if let Some(source) = &mut self.source {
            source.set_waker(waker);
        }
    }

    pub(super) fn take_winner(&mut self, number: usize) -> ConnectedSocket {
        let Some(attempt) = self.attempts[number].take() else {
            unreachable!("the winner was started");
        };
        let (fd, identity, dialed) = attempt.into_parts();
        if let Endpoint::Inet(address) = &dialed {
            self.dialer.failed.forget(address);
        }
        // 0.0.0.0 and :: are dialed as this machine; the peer's address is another one.
        let peer = if dialed.is_unspecified() {
            socket::peer(fd.as_fd()).ok().flatten()
        } else {
            None
        };
        ConnectedSocket {
            fd,
            // A control callback may have put another socket in its place.
            identity: self.dialer.callbacks.is_none().then_some(identity),
            remote: Some(peer.unwrap_or(dialed)),
            is_datagram: self.address().network.is_datagram(),
            is_nonblocking: true,
        }
    }

    pub(super) fn start_attempt(
        &mut self,
        number: usize,
        now: Time,
        caller: &dyn DialCaller,
    ) -> Result<()> {
        let start = || {
            Attempt::start(
                self.address().network,
                &self.endpoints[number],
                &self.dialer.settings,
                self.dialer.callbacks.as_deref(),
                now,
            )
        };
        let mut started = start();
        if let Err(StartFailure::System(error)) = &started {
            if self.make_room_once(sys::errno(error), caller) {
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
            Err(StartFailure::Refused(error)) => Err(prefer_end(error, caller)),
            Err(StartFailure::System(error))
                if sys::is_shortage(sys::errno(&error)) && !self.is_connecting() =>
            {
                Err(shortage(&error))
            }
            Err(StartFailure::System(error)) => {
                self.failed(number, sys::errno(&error));
                Ok(())
            }
        }
    }

    /// Has an idle connection closed when `errno` says that the process is out of descriptors: once
    /// in a dial. True if there was one.
    pub(super) fn make_room_once(&self, errno: i32, caller: &dyn DialCaller) -> bool {
        matches!(errno, libc::EMFILE | libc::ENFILE)
            && !self.has_made_room.replace(true)
            && caller.make_room()
    }

    pub(super) fn abandon(&mut self, number: usize, now: Time) {
        self.attempts[number] = None;
        self.failures[number].get_or_insert(libc::ETIMEDOUT);
        self.note_failure(number, now);
    }

    pub(super) fn failed(&mut self, number: usize, errno: i32) {
        self.attempts[number] = None;
        self.failures[number] = Some(errno);
        self.race.failed(number);
        self.note_failure(number, clock::now());
    }

    /// Only where there is a choice next time.
    fn note_failure(&self, number: usize, now: Time) {
        if let (Endpoint::Inet(address), Target::Name { .. }) =
            (&self.endpoints[number], &self.address().target)
        {
            self.dialer.failed.note(*address, now);
        }
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.attempts.iter().any(Option::is_some)
    }

    /// `until`, or when an attempt or a lookup wants to be looked at.
    pub(super) fn next_deadline(&self, until: Deadline) -> Deadline {
        let attempts = self.attempts.iter().flatten();
        let again = attempts.filter_map(Attempt::retry_at).map(Deadline::at);
        let until = again.fold(until, Deadline::min);
        let source = self.source.as_ref();
        let nudge = source.and_then(|source| source.retry_at(clock::now()));
        until.min(nudge.map_or(Deadline::NEVER, Deadline::at))
    }

    pub(super) fn wait_for_sockets(
        &mut self,
        wakers: &[BorrowedFd<'_>],
        until: Deadline,
    ) -> Result<()> {
        let is_pending =
            |one: &Option<Attempt>| one.as_ref().is_some_and(|one| one.pending().is_some());
        let pending: Vec<usize> = (0..self.attempts.len())
            .filter(|&number| is_pending(&self.attempts[number]))
            .collect();
        let sockets = self.attempts.iter().flatten().filter_map(Attempt::pending);
        let mut interests: Vec<Interest> = sockets
            .map(|fd| Interest::new(fd, poll::WRITABLE))
            .collect();
        interests.extend(
            wakers
                .iter()
                .map(|&waker| Interest::new(waker, poll::READABLE)),
        );
        let until = self.next_deadline(until);
        poll::wait(&mut interests, until).map_err(|error| shortage(&error))?;
        for (number, interest) in pending.into_iter().zip(&interests) {
            if interest.reported() != 0 {
                self.settle(number, Attempt::finish);
            }
        }
        let now = clock::now();
        let is_due = |one: &Attempt| one.retry_at().is_some_and(|at| at <= now);
        for number in 0..self.attempts.len() {
            if self.attempts[number].as_ref().is_some_and(is_due) {
                self.settle(number, |attempt| attempt.retry(now));
            }
        }
        Ok(())
    }

    fn settle(&mut self, number: usize, look: impl FnOnce(&mut Attempt) -> io::Result<()>) {
        let Some(attempt) = &mut self.attempts[number] else {
            return;
        };
        match look(attempt) {
            Ok(()) if attempt.is_connected() => self.race.connected(number),
            Ok(()) => {}
            Err(error) => self.failed(number, sys::errno(&error)),
        }
    }

    /// `10.0.0.5:5432: connection refused; [fd00::5]:5432: no answer`; without the address if the
    /// dial named it itself.
    fn tried(&self) -> String {
        let has_port = self.address().network.has_port();
        let failed = self.endpoints.iter().zip(&self.failures);
        let failed = failed.filter_map(|(endpoint, &failure)| Some((endpoint, failure?)));
        let said = failed.clone().take(MOST_NAMED).map(|(endpoint, failure)| {
            let what = match failure {
                libc::ETIMEDOUT => "no answer".to_owned(),
                errno => sys::errno_text(errno),
            };
            match self.address().target {
                Target::Literal(_) if self.rewritten.is_none() => what,
                _ => format!("{}: {what}", endpoint.text(has_port)),
            }
        });
        let mut text = said.collect::<Vec<_>>().join("; ");
        let more = failed.count().saturating_sub(MOST_NAMED);
        if more > 0 {
            text.push_str(&format!("; {more} more failed"));
        }
        text
    }

    pub(super) fn all_failed(&self) -> Error {
        let first = self.failures.iter().flatten().next().copied();
        Error::new(Status::Connect, self.tried()).numbered(first.unwrap_or(0))
    }

    /// The error for a dial whose time is over; the resolver hears of it too.
    pub(crate) fn note_timeout(&self, now: Time) -> Error {
        if let Some(source) = &self.source {
            source.note_timeout(now);
        }
        let phase = if self.race.is_empty() {
            Phase::Resolving
        } else {
            Phase::Connecting
        };
        Error::timeout(phase, &self.tried())
    }
}

/// A callback that sees the end of its dial coming refuses; what ended the dial is why it failed.
pub(super) fn prefer_end(error: Error, caller: &dyn DialCaller) -> Error {
    caller.ended().unwrap_or(error)
}
