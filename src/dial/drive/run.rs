//! Runs a dial: in the calling thread, asleep in poll(2), or look by look for one who is told when something happens.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::callback_dial;
use crate::dial::race::connect::{Attempt, StartFailure};
use crate::dial::race::connecting_socket::Watcher;
use crate::dial::race::happy_eyeballs::{Pace, Race, Step};
use crate::dial::resolve::source::Source;
use crate::dial::Dialer;
use crate::sync::Arc;
use crate::sys::poll::{self, Interest};
use crate::sys::wake::{CancelToken, Wake, Waker};
use crate::sys::{self, clock, socket};
use crate::values::address::{Address, Target};
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::endpoint::Endpoint;
use crate::values::error::{Error, Phase, Result, Status};

/// Who asked, as far as a dial must know.
pub(crate) trait Caller {
    /// Why the dial must end now, if it must.
    fn ended(&self) -> Option<Error>;
    /// Is told when there is news of a lookup.
    fn shared_waker(&self) -> Arc<dyn Wake>;
    /// A resolve callback may take its time in this thread.
    fn may_resolve_here(&self) -> bool;
    /// The process has no descriptor left: gives one back to the system, if it can.
    fn make_room(&self) -> bool;
}

/// One who sleeps until the dial has ended.
pub(crate) trait Sleeper: Caller {
    /// Is woken when `ended` or `leaves` changes, and when there is news of a lookup.
    fn waker(&self) -> &Arc<Waker>;
    /// Ends the dial when it fires.
    fn token(&self) -> Option<&CancelToken>;
    /// It has got a connection from elsewhere.
    fn leaves(&self) -> bool;
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) fd: OwnedFd,
    /// `None`: not asked yet.
    pub(crate) identity: Option<socket::Identity>,
    /// `None`: the peer has no address.
    pub(crate) remote: Option<Endpoint>,
    pub(crate) is_datagram: bool,
    pub(crate) is_nonblocking: bool,
}

/// How far a dial came while its caller slept.
#[derive(Debug)]
pub(crate) enum Run {
    Connected(Dialed),
    /// The caller has no more need of it; it can go on elsewhere.
    Left(Box<Drive>),
}

/// How far a dial came without sleeping.
#[derive(Debug)]
pub(crate) enum Went {
    Connected(Dialed),
    /// Nothing to do before that time, unless something happens.
    Rests(Deadline),
}

/// How a dial begins.
#[derive(Debug)]
pub(crate) enum Begun {
    /// By the program itself.
    Connected(Dialed),
    Drive(Box<Drive>),
}

/// Everything between an address and a connected socket, in the calling thread.
pub(crate) fn dial(
    destination: &Arc<Destination>,
    dialer: &Arc<Dialer>,
    deadline: Deadline,
    caller: &dyn Sleeper,
) -> Result<Run> {
    match begin(destination, dialer, deadline, caller)? {
        Begun::Connected(dialed) => Ok(Run::Connected(dialed)),
        Begun::Drive(drive) => drive.run(caller),
    }
}

/// The part of it that may run code of the program.
pub(crate) fn begin(
    destination: &Arc<Destination>,
    dialer: &Arc<Dialer>,
    deadline: Deadline,
    caller: &dyn Caller,
) -> Result<Begun> {
    begun(destination, dialer, deadline, caller).map_err(|error| why(error, caller))
}

/// A callback that sees the end of its dial coming refuses; what ended the dial is why it failed.
fn why(error: Error, caller: &dyn Caller) -> Error {
    caller.ended().unwrap_or(error)
}

fn begun(
    destination: &Arc<Destination>,
    dialer: &Arc<Dialer>,
    deadline: Deadline,
    caller: &dyn Caller,
) -> Result<Begun> {
    let address = &destination.address;
    let rewritten = match &dialer.callbacks {
        Some(callbacks) => callbacks.rewrite(&address.network.to_string(), &address.text)?,
        None => None,
    };
    let rewritten = rewritten
        .map(|text| dialer.parse_rewritten(address.network, &text))
        .transpose()?;
    let address = rewritten.as_ref().unwrap_or(address);
    if let Some(dialed) = callback_dial::from_program(address, dialer, deadline, caller)? {
        return Ok(Begun::Connected(dialed));
    }
    let mut drive = Drive {
        destination: destination.clone(),
        rewritten,
        dialer: dialer.clone(),
        deadline,
        race: Race::new(pace(dialer), deadline),
        source: None,
        first_arrival: None,
        ipv6_came_late: false,
        has_left_out: false,
        endpoints: Vec::new(),
        attempts: Vec::new(),
        failures: Vec::new(),
        made_room: Cell::new(false),
    };
    drive.find_addresses(caller)?;
    Ok(Begun::Drive(Box::new(drive)))
}

fn pace(dialer: &Dialer) -> Pace {
    dialer
        .settings
        .fallback_delay
        .map_or(Pace::OneByOne, Pace::Staggered)
}

/// What is left, as callbacks are told it: -1 without a deadline.
pub(crate) fn timeout_left(deadline: Deadline) -> i64 {
    match deadline.time() {
        None => -1,
        Some(time) => i64::try_from(time.since(clock::now()).as_millis()).unwrap_or(i64::MAX),
    }
}

/// A dial on its way.
#[derive(Debug)]
pub(crate) struct Drive {
    pub(super) destination: Arc<Destination>,
    /// Where the program wants it to go instead.
    pub(super) rewritten: Option<Address>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) deadline: Deadline,
    pub(super) race: Race,
    /// Where more addresses come from; `None` when all are here.
    pub(super) source: Option<Source>,
    pub(super) first_arrival: Option<Time>,
    pub(super) ipv6_came_late: bool,
    /// There were addresses of another family than `local_address`.
    pub(super) has_left_out: bool,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) attempts: Vec<Option<Attempt>>,
    pub(super) failures: Vec<Option<i32>>,
    pub(super) made_room: Cell<bool>,
}

impl Drive {
    pub(super) fn address(&self) -> &Address {
        self.rewritten.as_ref().unwrap_or(&self.destination.address)
    }

    /// Goes on until it is connected, or the caller leaves.
    pub(crate) fn run(mut self: Box<Self>, caller: &dyn Sleeper) -> Result<Run> {
        loop {
            match self.advance(caller)? {
                Went::Connected(dialed) => return Ok(Run::Connected(dialed)),
                Went::Rests(_) if caller.leaves() => return Ok(Run::Left(self)),
                Went::Rests(until) => self.sleep(until, caller)?,
            }
        }
    }

    /// For one who does not sleep on it: takes what has happened, and goes on as far as it can.
    pub(crate) fn look_around(&mut self, caller: &dyn Caller) -> Result<Went> {
        self.look(caller)?;
        self.poll(&[], Deadline::at(Time::default()))?;
        match self.advance(caller)? {
            Went::Rests(until) => Ok(Went::Rests(self.earlier(until))),
            connected => Ok(connected),
        }
    }

    /// From now on `watcher` tells when something happens to a socket.
    pub(crate) fn watch(&mut self, watcher: &Arc<dyn Watcher>) -> Result<()> {
        let mut attempts = self.attempts.iter_mut().flatten();
        attempts
            .try_for_each(|attempt| attempt.watch(watcher))
            .map_err(|error| shortage(&error))
    }

    /// From now on that one is told of lookups.
    pub(crate) fn tell_instead(&mut self, waker: Arc<dyn Wake>) {
        if let Some(source) = &mut self.source {
            source.tell_instead(waker);
        }
    }

    fn advance(&mut self, caller: &dyn Caller) -> Result<Went> {
        loop {
            let now = clock::now();
            let step = self.race.next(now);
            match step {
                Step::Connect(number) => self.start(number, now, caller)?,
                Step::Abandon(number) => self.abandon(number, now),
                Step::Sleep(until) => return Ok(Went::Rests(until)),
                Step::Won(number) => return Ok(Went::Connected(self.take(number))),
                Step::Failed | Step::TimedOut => {
                    return Err(match (caller.ended(), step) {
                        (Some(error), _) => error,
                        (None, Step::Failed) => self.all_failed(),
                        (None, _) => self.timed_out(now),
                    });
                }
            }
        }
    }

    fn take(&mut self, number: usize) -> Dialed {
        let Some(attempt) = self.attempts[number].take() else {
            unreachable!("the winner was started");
        };
        let (fd, identity, dialed) = attempt.into_parts();
        if let Endpoint::Inet(address) = &dialed {
            self.dialer.cache.succeeded(address);
        }
        // 0.0.0.0 and :: are dialed as this machine; the peer's address is another one.
        let peer = if dialed.is_unspecified() {
            socket::peer(fd.as_fd()).ok().flatten()
        } else {
            None
        };
        Dialed {
            fd,
            // A control callback may have put another socket in its place.
            identity: self.dialer.callbacks.is_none().then_some(identity),
            remote: Some(peer.unwrap_or(dialed)),
            is_datagram: self.address().network.is_datagram(),
            is_nonblocking: true,
        }
    }

    fn start(&mut self, number: usize, now: Time, caller: &dyn Caller) -> Result<()> {
        let start = || {
            Attempt::start(
                self.address().network,
                &self.endpoints[number],
                &self.dialer,
                now,
            )
        };
        let mut started = start();
        if let Err(StartFailure::System(error)) = &started {
            if self.gets_a_descriptor(sys::errno(error), caller) {
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
            Err(StartFailure::Refused(error)) => Err(why(error, caller)),
            Err(StartFailure::System(error))
                if sys::is_shortage(sys::errno(&error)) && !self.in_flight() =>
            {
                Err(shortage(&error))
            }
            Err(StartFailure::System(error)) => {
                self.failed(number, sys::errno(&error));
                Ok(())
            }
        }
    }

    /// Out of descriptors, for the first time in this dial, and the pool could give one back.
    pub(super) fn gets_a_descriptor(&self, errno: i32, caller: &dyn Caller) -> bool {
        matches!(errno, libc::EMFILE | libc::ENFILE)
            && !self.made_room.replace(true)
            && caller.make_room()
    }

    fn abandon(&mut self, number: usize, now: Time) {
        self.attempts[number] = None;
        self.failures[number].get_or_insert(libc::ETIMEDOUT);
        self.note_failure(number, now);
    }

    fn failed(&mut self, number: usize, errno: i32) {
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
            self.dialer.cache.failed(*address, now);
        }
    }

    /// Sleeps until something happened to an attempt or a lookup, the waker was woken, or `until`.
    fn sleep(&mut self, until: Deadline, caller: &dyn Sleeper) -> Result<()> {
        let waker = self.arm(caller, || caller.waker().arm())?;
        let token = caller
            .token()
            .map(|token| self.arm(caller, || token.arm()))
            .transpose()?;
        let wakers: Vec<BorrowedFd<'_>> = [Some(waker), token].into_iter().flatten().collect();
        let before = (self.endpoints.len(), self.source.is_some());
        self.look(caller)?;
        // Then `until` may be too late.
        if caller.leaves() || before != (self.endpoints.len(), self.source.is_some()) {
            return Ok(());
        }
        self.poll(&wakers, until)?;
        caller.waker().clear();
        self.look(caller)
    }

    fn arm<'a>(
        &self,
        caller: &dyn Caller,
        arm: impl Fn() -> std::io::Result<BorrowedFd<'a>>,
    ) -> Result<BorrowedFd<'a>> {
        let armed = match arm() {
            Err(error) if self.gets_a_descriptor(sys::errno(&error), caller) => arm(),
            armed => armed,
        };
        armed.map_err(|error| shortage(&error))
    }

    fn look(&mut self, caller: &dyn Caller) -> Result<()> {
        match caller.ended() {
            Some(error) => Err(error),
            None => {
                if let Some(source) = &self.source {
                    source.nudge(clock::now());
                }
                self.look_at_source(caller)
            }
        }
    }

    fn in_flight(&self) -> bool {
        self.attempts.iter().any(Option::is_some)
    }

    /// `until`, or when an attempt or a lookup wants to be looked at.
    fn earlier(&self, until: Deadline) -> Deadline {
        let attempts = self.attempts.iter().flatten();
        let again = attempts.filter_map(Attempt::again_at).map(Deadline::at);
        let until = again.fold(until, Deadline::min);
        let source = self.source.as_ref();
        let nudge = source.and_then(|source| source.again_at(clock::now()));
        until.min(nudge.map_or(Deadline::NEVER, Deadline::at))
    }

    fn poll(&mut self, wakers: &[BorrowedFd<'_>], until: Deadline) -> Result<()> {
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
        let until = self.earlier(until);
        poll::wait(&mut interests, until).map_err(|error| shortage(&error))?;
        for (number, interest) in pending.into_iter().zip(&interests) {
            if interest.reported() != 0 {
                self.settle(number, Attempt::finish);
            }
        }
        let now = clock::now();
        let is_due = |one: &Attempt| one.again_at().is_some_and(|at| at <= now);
        for number in 0..self.attempts.len() {
            if self.attempts[number].as_ref().is_some_and(is_due) {
                self.settle(number, |attempt| attempt.try_again(now));
            }
        }
        Ok(())
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
        let has_port = self.address().network.has_port();
        let said = self
            .endpoints
            .iter()
            .zip(&self.failures)
            .filter_map(|(endpoint, failure)| {
                let what = match (*failure)? {
                    libc::ETIMEDOUT => "no answer".to_owned(),
                    errno => sys::errno_text(errno),
                };
                Some(match self.address().target {
                    Target::Literal(_) if self.rewritten.is_none() => what,
                    _ => format!("{}: {what}", endpoint.text(has_port)),
                })
            });
        said.collect::<Vec<_>>().join("; ")
    }

    fn all_failed(&self) -> Error {
        let first = self.failures.iter().flatten().next().copied();
        Error::new(Status::Connect, self.tried()).numbered(first.unwrap_or(0))
    }

    /// What its caller is told when its time is over.
    pub(crate) fn timed_out(&self, now: Time) -> Error {
        if let Some(source) = &self.source {
            source.timed_out(now);
        }
        let phase = if self.race.is_empty() {
            Phase::Resolving
        } else {
            Phase::Connecting
        };
        Error::timeout(phase, &self.tried())
    }
}

pub(crate) fn shortage(error: &std::io::Error) -> Error {
    let errno = sys::errno(error);
    Error::new(Status::System, sys::errno_text(errno)).numbered(errno)
}
