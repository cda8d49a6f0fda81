//! What an asynchronous dial does at each stage, as far as it can without waiting. `async_dial`
//! says when.
#![forbid(unsafe_code)]

use std::ops::ControlFlow;

use crate::dial::drive::connected::Dialed;
use crate::dial::drive::dial::Dial;
use crate::dial::drive::run;
use crate::dial::drive::run::{BegunDial, DialPoll};
use crate::dial::race::connecting_socket::Watcher;
use crate::handle::Owned;
use crate::pool::background::async_dial::AsyncDial;
use crate::pool::background::opening::{finish, Opening, OpeningCall};
use crate::pool::background::progress::{waker, ConnectPhase, Progress, Stage, Step};
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::Taken;
use crate::pool::dialing::Dialing;
use crate::pool::engine::task::{Task, Thread};
use crate::pool::lend::hand_over::NotLent;
use crate::pool::runtime::runtime;
use crate::pool::state::answer::{DialRight, LateBinding, Take};
use crate::pool::state::wait::wait_loop;
use crate::sync::Arc;
use crate::sys::clock;
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::error::{Error, Result};

impl AsyncDial {
    pub(crate) fn read(
        &self,
        read: impl FnOnce() -> Result<Destination>,
        progress: &mut Progress,
    ) -> Step {
        match read() {
            Ok(destination) => {
                progress.destination = Some(Arc::new(destination));
                Step::Continue(Stage::Borrowing)
            }
            Err(error) => self.answer(progress, Err(error)),
        }
    }

    pub(crate) fn ask(&self, progress: &mut Progress, task: &Arc<Task>) -> Step {
        match self.options.may_go_on() {
            Ok(()) => match self.borrower(progress).take(|| waker(task)) {
                Ok(taken) => Step::Continue(Stage::Taken(taken)),
                Err(error) => self.answer(progress, Err(error)),
            },
            Err(error) => self.answer(progress, Err(error)),
        }
    }

    pub(crate) fn take_for_refill(&self, progress: &Progress, task: &Arc<Task>) -> Step {
        let Some(destination) = &self.refills else {
            return Step::Done;
        };
        let taken = self.pool.change(|state, now, _| {
            if self.pool.reserve_one(state).is_err() {
                state.refill_failed(destination, now);
                return None;
            }
            state.take_for_refill(destination, now)
        });
        let Some((right, named)) = taken else {
            return Step::Done;
        };
        let options = self.pool.background_options();
        let mut dialing = Box::new(Dialing::new(
            &self.pool,
            right,
            named,
            &options,
            waker(task),
        ));
        dialing.orphan();
        match dialing.begin(LateBinding::Off) {
            Ok(_) => Step::Continue(Stage::Dialing(dialing, ConnectPhase::NotBegun)),
            Err(error) => self.answer(progress, Err(dialing.failed(error))),
        }
    }

    pub(crate) fn use_taken(
        &self,
        taken: Taken,
        progress: &mut Progress,
        task: &Arc<Task>,
        thread: Thread,
    ) -> Step {
        match taken {
            Take::Refused(refusal) => self.answer(progress, Err(refusal.into())),
            Take::Wait => match self.borrower(progress).begin_wait() {
                Ok(since) => Step::Continue(Stage::Waiting { since }),
                Err(error) => self.answer(progress, Err(error)),
            },
            Take::Reuse(conn) => match self.lend(conn, thread) {
                Ok(conn) => self.answer(progress, Ok(conn)),
                Err(NotLent::Unfit(conn, cause)) => {
                    let mut borrower = self.borrower(progress);
                    let taken = borrower.take_another(conn, cause, || waker(task));
                    Step::Continue(Stage::Taken(taken))
                }
                Err(NotLent::Failed(error)) => self.answer(progress, Err(error)),
            },
            Take::Dial(right, destination) => self.may_dial(right, destination, progress, task),
        }
    }

    pub(crate) fn look_after(&self, since: Time, progress: &mut Progress) -> Step {
        let borrower = self.borrower(progress);
        let looked = wait_loop::poll(&borrower, borrower.ticket(), borrower.deadlines());
        let result = match looked {
            Ok(ControlFlow::Continue(until)) => {
                return Step::Sleep(Stage::Waiting { since }, until);
            }
            Ok(ControlFlow::Break(taken)) => Ok(taken),
            Err(why) => Err(why),
        };
        match result {
            Ok(taken @ (Take::Reuse(_) | Take::Dial(..))) => {
                Step::Continue(Stage::Waited { since, taken })
            }
            // The end of it all, which the engine may see to.
            result => match borrower.end_wait(since, result) {
                Ok(taken) => Step::Continue(Stage::Taken(taken)),
                Err(error) => self.answer(progress, Err(error)),
            },
        }
    }

    pub(crate) fn end_wait(&self, since: Time, taken: Taken, progress: &mut Progress) -> Step {
        self.borrower(progress).tell_wait_end(since, None);
        Step::Continue(Stage::Taken(taken))
    }

    fn may_dial(
        &self,
        right: DialRight,
        destination: Arc<Destination>,
        progress: &mut Progress,
        task: &Arc<Task>,
    ) -> Step {
        let dialing = Dialing::new(&self.pool, right, destination, &self.options, waker(task));
        let borrower = self.borrower(progress);
        let dialing = Box::new(dialing.blaming_destination(borrower.blames_destination()));
        match dialing.begin(dialing.late_binding(&borrower, &*dialing)) {
            Ok(Some(conn)) => Step::Continue(Stage::Served(dialing, ConnectPhase::NotBegun, conn)),
            Ok(None) => Step::Continue(Stage::Dialing(dialing, ConnectPhase::NotBegun)),
            Err(error) => self.answer(progress, Err(dialing.failed(error))),
        }
    }

    pub(crate) fn dial(
        &self,
        dialing: Box<Dialing>,
        phase: ConnectPhase,
        progress: &mut Progress,
        task: &Arc<Task>,
        thread: Thread,
    ) -> Step {
        match phase {
            ConnectPhase::NotBegun => self.start(dialing, progress, task),
            ConnectPhase::OnItsWay(drive) => self.drive(dialing, drive, progress, task),
            ConnectPhase::Opening(opening) => {
                self.await_session(dialing, opening, progress, thread)
            }
            ConnectPhase::Connected(dialed) => self.connected(*dialing, dialed, progress),
        }
    }

    fn start(&self, mut dialing: Box<Dialing>, progress: &mut Progress, task: &Arc<Task>) -> Step {
        dialing.permit_mut().begin();
        if self.pool.dialer.dials_by_callback() {
            return self.start_opening(dialing, progress, task);
        }
        let begun = run::begin(
            dialing.destination(),
            &self.pool.dialer,
            dialing.deadline(),
            &*dialing,
        );
        match begun {
            Ok(BegunDial::Connected(dialed)) => {
                Step::Continue(Stage::Dialing(dialing, ConnectPhase::Connected(dialed)))
            }
            Ok(BegunDial::Begun(drive)) => {
                Step::Continue(Stage::Dialing(dialing, ConnectPhase::OnItsWay(drive)))
            }
            Err(error) => self.answer(progress, Err(dialing.failed(error))),
        }
    }

    /// This helper thread runs the dial or open_session callback when the dial has gone to sleep.
    fn start_opening(
        &self,
        dialing: Box<Dialing>,
        progress: &mut Progress,
        task: &Arc<Task>,
    ) -> Step {
        let opening = Opening::new();
        let call = OpeningCall {
            pool: self.pool.clone(),
            destination: dialing.destination().clone(),
            deadline: dialing.deadline(),
            token: dialing.shared_token(),
            label: self.options.label.clone(),
            waker: waker(task),
        };
        let opened = opening.clone();
        progress.job = Some(Box::new(move || call.run(&opened)));
        Step::Continue(Stage::Dialing(dialing, ConnectPhase::Opening(opening)))
    }

    fn await_session(
        &self,
        dialing: Box<Dialing>,
        opening: Arc<Opening>,
        progress: &Progress,
        thread: Thread,
    ) -> Step {
        if let Some(conn) = dialing.answer() {
            return Step::Continue(Stage::Served(dialing, ConnectPhase::Opening(opening), conn));
        }
        if thread == Thread::Engine && opening.has_returned() {
            return Step::NeedsThread(Stage::Dialing(dialing, ConnectPhase::Opening(opening)));
        }
        match opening.fetch() {
            Some(Ok(dialed)) => self.connected(*dialing, dialed, progress),
            Some(Err(error)) => match dialing.answer() {
                Some(conn) => {
                    dialing.failed(error);
                    Step::Continue(Stage::Taken(Take::Reuse(conn)))
                }
                None => self.answer(progress, Err(dialing.failed(error))),
            },
            None => self.sleep_while_opening(dialing, opening, progress),
        }
    }

    fn sleep_while_opening(
        &self,
        dialing: Box<Dialing>,
        opening: Arc<Opening>,
        progress: &Progress,
    ) -> Step {
        // One that nobody waits for may take its time.
        let until = match dialing.is_orphaned() {
            true => Deadline::NEVER,
            false => dialing.deadline(),
        };
        if until.has_passed(clock::now()) {
            self.leave_opening(dialing, &opening);
            let phase = self.pool.callback_phase();
            return self.answer(progress, Err(Error::timeout(phase, "")));
        }
        Step::Sleep(
            Stage::Dialing(dialing, ConnectPhase::Opening(opening)),
            until,
        )
    }

    /// The dial ends before its callback has returned.
    pub(crate) fn leave_opening(&self, dialing: Box<Dialing>, opening: &Opening) {
        if let Some(left) = opening.leave(dialing) {
            // This may be the engine's thread, and ending a session is code of the program.
            runtime().helpers.notify(Box::new(move || finish(left)));
        }
    }

    /// On the engine's thread only what on_reuse has no say about comes here (`needs_thread`).
    fn lend(&self, conn: Owned<Conn>, thread: Thread) -> std::result::Result<Owned<Conn>, NotLent> {
        match thread {
            Thread::Engine => self.pool.lend_unasked(conn, &self.options),
            Thread::Other => self.pool.lend_reused(conn, &self.options),
        }
    }

    fn drive(
        &self,
        dialing: Box<Dialing>,
        mut drive: Box<Dial>,
        progress: &Progress,
        task: &Arc<Task>,
    ) -> Step {
        if let Some(conn) = dialing.answer() {
            return Step::Continue(Stage::Served(dialing, ConnectPhase::OnItsWay(drive), conn));
        }
        let watcher: Arc<dyn Watcher> = task.clone();
        let went = drive.poll(&*dialing).and_then(|went| {
            drive.watch(&watcher)?;
            Ok(went)
        });
        match went {
            Ok(DialPoll::Connected(socket)) => {
                let connected = ConnectPhase::Connected(Dialed::Socket(socket));
                Step::Continue(Stage::Dialing(dialing, connected))
            }
            // What answered it a moment ago has woken it.
            Ok(DialPoll::Pending(until)) => Step::Sleep(
                Stage::Dialing(dialing, ConnectPhase::OnItsWay(drive)),
                until,
            ),
            Err(error) => match dialing.answer() {
                Some(conn) => {
                    dialing.failed(error);
                    Step::Continue(Stage::Taken(Take::Reuse(conn)))
                }
                None => self.answer(progress, Err(dialing.failed(error))),
            },
        }
    }

    fn connected(&self, dialing: Dialing, dialed: Dialed, progress: &Progress) -> Step {
        let is_orphaned = dialing.is_orphaned();
        match dialing.connected(dialed) {
            Ok(conn) if is_orphaned => {
                self.pool.settle_in(conn);
                match self.refills {
                    Some(_) => Step::Continue(Stage::Refilling),
                    None => Step::Done,
                }
            }
            Ok(conn) => self.answer(progress, Ok(self.pool.lend_dialed(conn, &self.options))),
            Err(error) => self.answer(progress, Err(error)),
        }
    }

    /// The recipient gets another connection; a dial that is on its way goes on for nobody.
    pub(crate) fn serve(
        &self,
        mut dialing: Box<Dialing>,
        phase: ConnectPhase,
        conn: Owned<Conn>,
        progress: &Progress,
        thread: Thread,
    ) -> Step {
        let lent = match self.lend(conn, thread) {
            Ok(conn) => Ok(conn),
            Err(NotLent::Failed(error)) => Err(error),
            Err(NotLent::Unfit(unfit, cause)) => {
                return Step::Continue(match dialing.take_another(unfit, cause) {
                    Some(conn) => Stage::Served(dialing, phase, conn),
                    None => Stage::Dialing(dialing, phase),
                });
            }
        };
        self.answer(progress, lent);
        match phase {
            // The right to dial is given up.
            ConnectPhase::NotBegun => Step::Done,
            phase => {
                dialing.orphan();
                Step::Continue(Stage::Dialing(dialing, phase))
            }
        }
    }
}
