//! What an asynchronous dial does at each stage, as far as it can without waiting. `pending` says when.
#![forbid(unsafe_code)]

use std::ops::ControlFlow;

use crate::dial::drive::connected::ConnectedSocket;
use crate::dial::drive::dial::Dial;
use crate::dial::drive::run::{self, BegunDial, DialPoll};
use crate::dial::race::connecting_socket::Watcher;
use crate::handle::Owned;
use crate::pool::background::pending::{waker, Course, Pending, Progress, Stage, Step};
use crate::pool::conn::Conn;
use crate::pool::dialing::wait::Taken;
use crate::pool::dialing::Dialing;
use crate::pool::engine::task::Task;
use crate::pool::lend::hand_over::NotLent;
use crate::pool::state::answer::{DialRight, LateBinding, Take};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::wait_loop;
use crate::sync::Arc;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::error::Result;

impl Pending {
    pub(crate) fn read(
        &self,
        read: impl FnOnce() -> Result<Destination>,
        course: &mut Course,
    ) -> Step {
        match read() {
            Ok(destination) => {
                course.destination = Some(Arc::new(destination));
                Step::On(Stage::Asking)
            }
            Err(error) => self.answer(course, Err(error)),
        }
    }

    pub(crate) fn ask(&self, course: &mut Course, task: &Arc<Task>) -> Step {
        match self.options.may_go_on() {
            Ok(()) => Step::On(Stage::Taken(self.borrower(course).take(|| waker(task)))),
            Err(error) => self.answer(course, Err(error)),
        }
    }

    pub(crate) fn take_for_refill(&self, course: &Course, task: &Arc<Task>) -> Step {
        let Some(destination) = &self.refills else {
            return Step::Done;
        };
        let taken = self
            .pool
            .change(|state, now, _| state.take_for_refill(destination, now));
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
        dialing.leave();
        match dialing.begin(LateBinding::Off) {
            Ok(_) => Step::On(Stage::Dialing(dialing, Progress::NotBegun)),
            Err(error) => self.answer(course, Err(dialing.failed(error))),
        }
    }

    pub(crate) fn use_taken(&self, taken: Taken, course: &mut Course, task: &Arc<Task>) -> Step {
        let another = |course: &mut Course, conn, cause| {
            let taken = self
                .borrower(course)
                .take_another(conn, cause, || waker(task));
            Step::On(Stage::Taken(taken))
        };
        match taken {
            Take::Refused(refusal) => self.answer(course, Err(refusal.into())),
            Take::Wait => match self.borrower(course).begin_wait() {
                Ok(since) => Step::On(Stage::Waiting { since }),
                Err(error) => self.answer(course, Err(error)),
            },
            Take::Reuse(conn) => match conn.find_unfit() {
                Some(cause) => another(course, conn, cause),
                None => match self.pool.lend_reused(conn, &self.options) {
                    Ok(conn) => self.answer(course, Ok(conn)),
                    Err(NotLent::Refused(conn)) => another(course, conn, CloseCause::Hook),
                    Err(NotLent::Failed(error)) => self.answer(course, Err(error)),
                },
            },
            Take::Dial(right, destination) => self.may_dial(right, destination, course, task),
        }
    }

    pub(crate) fn look_after(&self, since: Time, course: &mut Course) -> Step {
        let borrower = self.borrower(course);
        let looked = wait_loop::poll(&borrower, borrower.ticket(), borrower.deadlines());
        let result = match looked {
            Ok(ControlFlow::Continue(until)) => {
                return Step::Rests(Stage::Waiting { since }, until);
            }
            Ok(ControlFlow::Break(taken)) => Ok(taken),
            Err(why) => Err(why),
        };
        match result {
            Ok(taken @ (Take::Reuse(_) | Take::Dial(..))) => {
                Step::On(Stage::Waited { since, taken })
            }
            // The end of it all, which the engine may see to.
            result => match borrower.end_wait(since, result) {
                Ok(taken) => Step::On(Stage::Taken(taken)),
                Err(error) => self.answer(course, Err(error)),
            },
        }
    }

    pub(crate) fn end_wait(&self, since: Time, taken: Taken, course: &mut Course) -> Step {
        match self.borrower(course).end_wait(since, Ok(taken)) {
            Ok(taken) => Step::On(Stage::Taken(taken)),
            Err(error) => self.answer(course, Err(error)),
        }
    }

    fn may_dial(
        &self,
        right: DialRight,
        destination: Arc<Destination>,
        course: &mut Course,
        task: &Arc<Task>,
    ) -> Step {
        let dialing = Dialing::new(&self.pool, right, destination, &self.options, waker(task));
        let borrower = self.borrower(course);
        let dialing = Box::new(dialing.patient(borrower.is_patient()));
        match dialing.begin(dialing.late_binding(&borrower)) {
            Ok(at_once) => match at_once.and_then(|conn| dialing.fit_one(conn)) {
                Some(conn) => Step::On(Stage::Served(dialing, Progress::NotBegun, conn)),
                None => Step::On(Stage::Dialing(dialing, Progress::NotBegun)),
            },
            Err(error) => self.answer(course, Err(dialing.failed(error))),
        }
    }

    pub(crate) fn dial(
        &self,
        dialing: Box<Dialing>,
        progress: Progress,
        course: &Course,
        task: &Arc<Task>,
    ) -> Step {
        match progress {
            Progress::NotBegun => self.start(dialing, course),
            Progress::OnItsWay(drive) => self.drive(dialing, drive, course, task),
            Progress::Connected(dialed) => self.connected(*dialing, dialed, course),
        }
    }

    fn start(&self, mut dialing: Box<Dialing>, course: &Course) -> Step {
        dialing.permit_mut().begin();
        let begun = run::begin(
            dialing.destination(),
            &self.pool.dialer,
            dialing.deadline(),
            &*dialing,
        );
        match begun {
            Ok(BegunDial::Connected(dialed)) => {
                Step::On(Stage::Dialing(dialing, Progress::Connected(dialed)))
            }
            Ok(BegunDial::Begun(drive)) => {
                Step::On(Stage::Dialing(dialing, Progress::OnItsWay(drive)))
            }
            Err(error) => self.answer(course, Err(dialing.failed(error))),
        }
    }

    fn drive(
        &self,
        dialing: Box<Dialing>,
        mut drive: Box<Dial>,
        course: &Course,
        task: &Arc<Task>,
    ) -> Step {
        if let Some(conn) = dialing.answer() {
            return Step::On(Stage::Served(dialing, Progress::OnItsWay(drive), conn));
        }
        let watcher: Arc<dyn Watcher> = task.clone();
        let went = drive.poll(&*dialing).and_then(|went| {
            drive.watch(&watcher)?;
            Ok(went)
        });
        match went {
            Ok(DialPoll::Connected(dialed)) => {
                Step::On(Stage::Dialing(dialing, Progress::Connected(dialed)))
            }
            // What answered it a moment ago has woken it.
            Ok(DialPoll::Pending(until)) => {
                Step::Rests(Stage::Dialing(dialing, Progress::OnItsWay(drive)), until)
            }
            Err(error) => match dialing.answer() {
                Some(conn) => {
                    dialing.failed(error);
                    Step::On(Stage::Taken(Take::Reuse(conn)))
                }
                None => self.answer(course, Err(dialing.failed(error))),
            },
        }
    }

    fn connected(&self, dialing: Dialing, dialed: ConnectedSocket, course: &Course) -> Step {
        let is_left = dialing.is_left();
        match dialing.connected(dialed) {
            Ok(conn) if is_left => {
                self.pool.settle_in(conn);
                match self.refills {
                    Some(_) => Step::On(Stage::Refilling),
                    None => Step::Done,
                }
            }
            Ok(conn) => self.answer(course, Ok(self.pool.lend_dialed(conn, &self.options))),
            Err(error) => self.answer(course, Err(error)),
        }
    }

    /// The recipient gets another connection; a dial that is on its way goes on for nobody.
    pub(crate) fn serve(
        &self,
        mut dialing: Box<Dialing>,
        progress: Progress,
        conn: Owned<Conn>,
        course: &Course,
    ) -> Step {
        let Some(lent) = dialing.lend(conn, &self.options) else {
            return Step::On(Stage::Dialing(dialing, progress));
        };
        self.answer(course, lent);
        match progress {
            // The right to dial is given up.
            Progress::NotBegun => Step::Done,
            progress => {
                dialing.leave();
                Step::On(Stage::Dialing(dialing, progress))
            }
        }
    }
}
