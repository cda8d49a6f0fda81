//! A dial in its caller's thread, which sleeps until it is connected or served otherwise.
#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use crate::dial::caller::{BlockingCaller, DialCaller};
use crate::dial::drive::dial::Dial;
use crate::dial::drive::run::{self, DialOutcome};
use crate::handle::Owned;
use crate::pool::background::async_dial::AsyncDial;
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::Borrower;
use crate::pool::dialing::Dialing;
use crate::pool::errors::no_engine;
use crate::pool::state::answer::{DialRight, LateBinding};
use crate::pool::{BorrowOptions, Pool};
use crate::sync::Arc;
use crate::sys::wake::{CancelToken, Wake, Waker};
use crate::values::clock::Deadline;
use crate::values::destination::Destination;
use crate::values::error::Error;
use crate::values::error::Result;

impl Pool {
    /// Dials, or takes what is given back meanwhile: the connection is its borrower's.
    pub(crate) fn dial(
        self: &Arc<Self>,
        right: DialRight,
        destination: Arc<Destination>,
        borrower: &Borrower<'_>,
    ) -> Result<Owned<Conn>> {
        let waker = Arc::new(Waker::default());
        let dialing = Dialing::new(self, right, destination, borrower.options, waker.clone());
        let mut dialing = dialing.blaming_destination(borrower.blames_destination());
        let caller = Asleep {
            dialing: &dialing,
            waker: &waker,
        };
        let late_binding = dialing.late_binding(borrower, &caller);
        let at_once = match dialing.begin(late_binding) {
            Ok(at_once) => at_once,
            Err(error) => return Err(dialing.failed(error)),
        };
        if let Some(lent) = at_once.and_then(|conn| dialing.lend(conn, borrower.options)) {
            return lent;
        }
        dialing.permit_mut().begin();
        let asleep = Asleep {
            dialing: &dialing,
            waker: &waker,
        };
        let deadline = dialing.deadline();
        let mut outcome = run::dial(dialing.destination(), &self.dialer, deadline, &asleep);
        loop {
            let is_connected = matches!(outcome, Ok(DialOutcome::Connected(_)));
            let answer = (!is_connected).then(|| dialing.answer()).flatten();
            if let Some(lent) = answer.and_then(|conn| dialing.lend(conn, borrower.options)) {
                match outcome {
                    Ok(DialOutcome::Left(drive)) => dialing.go_on_without_caller(drive),
                    Err(error) => drop(dialing.failed(error)),
                    Ok(DialOutcome::Connected(_)) => unreachable!("then it takes no other"),
                }
                return lent;
            }
            outcome = match outcome {
                Ok(DialOutcome::Connected(dialed)) => {
                    let conn = dialing.connected(dialed)?;
                    return Ok(self.lend_dialed(conn, borrower.options));
                }
                // What it left for was unfit, or refused.
                Ok(DialOutcome::Left(drive)) => match dialing.ended() {
                    None => drive.run(&Asleep {
                        dialing: &dialing,
                        waker: &waker,
                    }),
                    Some(error) => return Err(dialing.failed(error)),
                },
                Err(error) => return Err(dialing.failed(error)),
            }
        }
    }

    /// Dials for nobody in particular; the connection counts as borrowed.
    pub(crate) fn dial_ahead(
        self: &Arc<Self>,
        right: DialRight,
        destination: Arc<Destination>,
        options: &BorrowOptions,
    ) -> Result<Owned<Conn>> {
        let waker = Arc::new(Waker::default());
        let mut dialing =
            Dialing::new(self, right, destination, options, waker.clone()).for_nobody();
        if let Err(error) = dialing.begin(LateBinding::Off) {
            return Err(dialing.failed(error));
        }
        dialing.permit_mut().begin();
        let asleep = Asleep {
            dialing: &dialing,
            waker: &waker,
        };
        match run::dial(
            dialing.destination(),
            &self.dialer,
            options.deadline,
            &asleep,
        ) {
            Ok(DialOutcome::Connected(dialed)) => dialing.connected(dialed),
            Ok(DialOutcome::Left(_)) => unreachable!("it was not offered to anybody"),
            Err(error) => Err(dialing.failed(error)),
        }
    }
}

impl Dialing {
    /// The rest of the dial is the engine's. Without one it is given up: nobody waits for it.
    fn go_on_without_caller(self, drive: Box<Dial>) {
        if let Some(engine) = self.pool().engine() {
            return AsyncDial::go_on(&engine, self, drive);
        }
        let error = self.ended().unwrap_or_else(no_engine);
        self.failed(error);
    }
}

/// A dial whose caller sleeps.
struct Asleep<'a> {
    dialing: &'a Dialing,
    waker: &'a Arc<Waker>,
}

impl DialCaller for Asleep<'_> {
    fn ended(&self) -> Option<Error> {
        self.dialing.ended()
    }

    fn shared_waker(&self) -> Arc<dyn Wake> {
        self.dialing.shared_waker()
    }

    fn label(&self) -> &str {
        self.dialing.label()
    }

    fn is_pooled(&self, number: RawFd) -> bool {
        self.dialing.is_pooled(number)
    }

    fn may_resolve_here(&self) -> bool {
        self.dialing.deadline() == Deadline::NEVER && self.dialing.token().is_none()
    }

    fn make_room(&self) -> bool {
        self.dialing.make_room()
    }
}

impl BlockingCaller for Asleep<'_> {
    fn as_dial_caller(&self) -> &dyn DialCaller {
        self
    }

    fn waker(&self) -> &Arc<Waker> {
        self.waker
    }

    fn token(&self) -> Option<&CancelToken> {
        self.dialing.token()
    }

    fn leaves(&self) -> bool {
        self.dialing.is_answered()
    }
}
