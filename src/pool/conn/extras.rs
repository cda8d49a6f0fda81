//! What most connections never have: a lifetime, a driver's session, deadlines, a token, a label,
//! user data. It is made when something of it is first needed.
#![forbid(unsafe_code)]

use once_cell::race::OnceBox;

use super::session::SessionSocket;
use super::{HAS_DATA, HAS_DEADLINE, HAS_LABEL, HAS_TOKEN};
use crate::pool::conn::loan::Loan;
use crate::pool::conn::Conn;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{Acquire, Release};
use crate::sync::{Arc, Mutex};
use crate::sys::foreign::UserData;
use crate::sys::wake::CancelToken;
use crate::values::clock::{Deadline, Time};

/// What most connections never have.
#[derive(Debug)]
pub(super) struct Extras {
    /// When its lifetime ends.
    retire_at: Time,
    /// Of a session of a driver.
    session: Option<SessionSocket>,
    read_deadline: AtomicU64,
    write_deadline: AtomicU64,
    /// Guards itself alone.
    data: Mutex<Option<UserData>>,
    /// When this borrow began; zero: it is none, or nobody wants to know.
    loaned_since: AtomicU64,
    /// Guards itself alone.
    borrower: Mutex<BorrowExtras>,
}

impl Extras {
    fn new() -> Box<Self> {
        Self::begin(Time::NEVER, None)
    }

    /// None for a socket that may live for ever.
    pub(super) fn of(retire_at: Time, session: Option<SessionSocket>) -> OnceBox<Self> {
        match (retire_at, &session) {
            (Time::NEVER, None) => OnceBox::new(),
            _ => OnceBox::with_value(Self::begin(retire_at, session)),
        }
    }

    pub(super) fn session(&self) -> Option<&SessionSocket> {
        self.session.as_ref()
    }

    fn begin(retire_at: Time, session: Option<SessionSocket>) -> Box<Self> {
        Box::new(Self {
            retire_at,
            session,
            read_deadline: AtomicU64::new(Time::NEVER.nanos()),
            write_deadline: AtomicU64::new(Time::NEVER.nanos()),
            data: Mutex::new(None),
            loaned_since: AtomicU64::new(Time::default().nanos()),
            borrower: Mutex::default(),
        })
    }
}

/// What this borrow's borrower brought along.
#[derive(Debug, Default)]
struct BorrowExtras {
    /// Ends reads and writes.
    token: Option<Arc<CancelToken>>,
    label: Option<Arc<str>>,
}

impl Conn {
    fn extras(&self) -> &Extras {
        self.extras.get_or_init(Extras::new)
    }

    /// When its lifetime ends.
    pub(super) fn lifetime_ends_at(&self) -> Time {
        self.extras.get().map_or(Time::NEVER, |one| one.retire_at)
    }

    /// Only asked for where the borrower may have set one: the flag keeps the lock off the other
    /// paths.
    pub(crate) fn token(&self) -> Option<Arc<CancelToken>> {
        if self.has(HAS_TOKEN) {
            self.extras().borrower.lock().token.clone()
        } else {
            None
        }
    }

    pub(crate) fn set_token(&self, token: Option<Arc<CancelToken>>) {
        let mut borrower = self.extras().borrower.lock();
        if token.is_some() {
            self.mark(HAS_TOKEN);
        } else {
            self.unmark(HAS_TOKEN);
        }
        let before = std::mem::replace(&mut borrower.token, token);
        drop(borrower);
        drop(before);
    }

    /// Its borrower's does not end it any more. Before the pool's lock is taken: the last one
    /// closes the token's eventfd.
    pub(crate) fn let_go_of_token(&self) {
        if self.has(HAS_TOKEN) {
            self.set_token(None);
        }
    }

    /// A borrow begins that is timed or labeled.
    pub(crate) fn begin_loan(&self, loan: Loan) {
        if loan.label.is_some() || self.has(HAS_LABEL) {
            let mut borrower = self.extras().borrower.lock();
            self.mark(HAS_LABEL);
            borrower.label = loan.label;
        }
        if loan.since != self.loaned_since() {
            let since = &self.extras().loaned_since;
            since.store(loan.since.nanos(), Release);
        }
    }

    pub(crate) fn loan(&self) -> Loan {
        let label = self
            .has(HAS_LABEL)
            .then(|| self.extras().borrower.lock().label.clone());
        Loan {
            label: label.flatten(),
            since: self.loaned_since(),
        }
    }

    pub(crate) fn loaned_since(&self) -> Time {
        let since = |extras: &Extras| Time::from_nanos(extras.loaned_since.load(Acquire));
        self.extras.get().map_or(Time::default(), since)
    }

    pub(crate) fn read_deadline(&self) -> Deadline {
        self.deadline(|extras| &extras.read_deadline)
    }

    pub(crate) fn write_deadline(&self) -> Deadline {
        self.deadline(|extras| &extras.write_deadline)
    }

    fn deadline(&self, which: impl FnOnce(&Extras) -> &AtomicU64) -> Deadline {
        let deadline = |extras| Deadline::at(Time::from_nanos(which(extras).load(Acquire)));
        self.extras.get().map_or(Deadline::NEVER, deadline)
    }

    /// `None` leaves that direction's as it is.
    pub(crate) fn set_deadlines(&self, read: Option<Deadline>, write: Option<Deadline>) {
        let nanos = |deadline: Deadline| deadline.time().unwrap_or(Time::NEVER).nanos();
        self.mark(HAS_DEADLINE);
        let extras = self.extras();
        if let Some(read) = read {
            extras.read_deadline.store(nanos(read), Release);
        }
        if let Some(write) = write {
            extras.write_deadline.store(nanos(write), Release);
        }
    }

    pub(crate) fn data(&self) -> Option<*mut std::ffi::c_void> {
        let extras = self.extras.get()?;
        extras.data.lock().as_ref().map(UserData::pointer)
    }

    /// Returns what was there before and must be freed.
    pub(crate) fn set_data(&self, new: Option<UserData>) -> Option<UserData> {
        if new.is_none() && !self.has(HAS_DATA) {
            return None;
        }
        let pointer = new.as_ref().map(UserData::pointer);
        let mut data = self.extras().data.lock();
        if new.is_some() {
            self.mark(HAS_DATA);
        } else {
            self.unmark(HAS_DATA);
        }
        let old = std::mem::replace(&mut *data, new);
        old.filter(|old| Some(old.pointer()) != pointer)
    }

    /// Closing it runs code of the program.
    pub(crate) fn has_destructor(&self) -> bool {
        self.has(HAS_DATA)
            && self
                .extras()
                .data
                .lock()
                .as_ref()
                .is_some_and(UserData::has_destructor)
    }
}
