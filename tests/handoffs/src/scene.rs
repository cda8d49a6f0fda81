//! A pool of fakes, and what threads do to it: each call is one transition, as `pool::Pool::change`
//! makes it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::fake::{Conn, Facts};
use crate::pool::state::answer::{
    DialRight, Disposition, Effects, LateBinding, Request, Reuse, Take, Ticket, Untold, WaitPoll,
};
use crate::pool::state::closing::unfinished::Unfinished;
use crate::pool::state::counters::CloseCause;
use crate::pool::state::wait::wait_loop::{self, ParkingWaiter, WaitError};
use crate::pool::state::State;
use crate::sync::{Arc, Condvar, Mutex};
use crate::values::address::{Address, Target};
use crate::values::clock::{Deadline, Time};
use crate::values::destination::Destination;
use crate::values::network::{Family, Network};
use crate::values::options::{Keeping, Limits, ReuseOrder};

/// `sys::wake`, and the token's waker with it.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Parker {
    fn wake(&self) {
        *self.is_woken.lock().expect("no panic") = true;
        self.woken.notify_one();
    }

    fn park(&self) {
        let mut is_woken = self.is_woken.lock().expect("no panic");
        while !*is_woken {
            is_woken = self.woken.wait(is_woken).expect("no panic");
        }
        *is_woken = false;
    }
}

/// A cancel token of one waiter.
#[derive(Debug, Default)]
pub(crate) struct CancelToken {
    has_fired: Mutex<bool>,
    sleeper: Arc<Parker>,
}

impl CancelToken {
    pub(crate) fn fire(&self) {
        *self.has_fired.lock().expect("no panic") = true;
        self.sleeper.wake();
    }
}

/// How long a borrower waits.
#[derive(Clone, Debug)]
pub(crate) enum Patience {
    ForEver,
    /// Its time passes at some moment.
    Ends,
    Until(Arc<CancelToken>),
}

/// What a borrower got.
#[derive(Debug)]
pub(crate) enum Got {
    Conn(Conn),
    Dial(DialRight),
    /// A timeout, a token, or a closed pool.
    Nothing,
}

/// Counts events alone: what is open, and what is dialed to each destination.
#[derive(Debug, Default)]
struct Observer {
    open: u32,
    dialing: [u32; 2],
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State<Conn>>,
    limits: Limits,
    destinations: [Arc<Destination>; 2],
    /// Its connections may be borrowed without the state.
    is_plain: bool,
    next: AtomicU64,
    /// Loans without the state, such as came back without it, and what was given back to it and
    /// kept.
    pub(crate) loans: AtomicU64,
    pub(crate) returns: AtomicU64,
    kept: AtomicU64,
    /// What an observer makes of the events, where there is one.
    observer: Option<std::sync::Mutex<Observer>>,
    // Books of the scene's own: `std`'s lock, which is no step for the checker.
    conns: std::sync::Mutex<Vec<Arc<Facts>>>,
    lined_up: std::sync::Mutex<Vec<Ticket>>,
    served: std::sync::Mutex<Vec<Ticket>>,
}

pub(crate) const NOW: Time = Time::from_nanos(1_000_000_000);
/// When what became idle at `NOW` is to be asked about.
const SOON: Time = Time::from_nanos(1_000_000_001);
pub(crate) const LATE: Time = Time::from_nanos(60_000_000_000);

pub(crate) fn limits(max_conns: u32) -> Limits {
    Limits {
        max_idle_per_address: 8,
        max_idle: None,
        max_conns: Some(max_conns),
        max_conns_per_address: None,
        max_dials_per_address: None,
        max_waiters: None,
    }
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self::of(limits, false))
    }

    /// With an on_event.
    pub(crate) fn observed(limits: Limits) -> Arc<Self> {
        Arc::new(Self::of(limits, false).observing())
    }

    pub(crate) fn observed_and_checking(limits: Limits) -> Arc<Self> {
        Self::of(limits, false).observing().asking()
    }

    fn observing(self) -> Self {
        let Self {
            state,
            limits,
            is_plain,
            ..
        } = self;
        let state = state.into_inner().expect("no panic").observed();
        Self {
            state: Mutex::new(state),
            observer: Some(std::sync::Mutex::default()),
            ..Self::of(limits, is_plain)
        }
    }

    /// With an on_idle, which is asked about whatever is idle.
    pub(crate) fn checking(limits: Limits) -> Arc<Self> {
        Self::of(limits, false).asking()
    }

    pub(crate) fn plain_and_checking(limits: Limits) -> Arc<Self> {
        Self::of(limits, true).asking()
    }

    fn asking(self) -> Arc<Self> {
        let Self {
            state,
            limits,
            is_plain,
            observer,
            ..
        } = self;
        let state = state.into_inner().expect("no panic");
        Arc::new(Self {
            state: Mutex::new(state.checking_every(Some(Duration::from_nanos(1)))),
            observer,
            ..Self::of(limits, is_plain)
        })
    }

    pub(crate) fn plain(limits: Limits) -> Arc<Self> {
        Arc::new(Self::of(limits, true))
    }

    fn of(limits: Limits, is_plain: bool) -> Self {
        let keeping = Keeping {
            idle_timeout: Some(Duration::from_secs(10)),
            max_lifetime: None,
            lifetime_jitter_percent: 0,
            max_uses: None,
            min_idle_per_address: 0,
            reuse_order: ReuseOrder::Lifo,
        };
        Self {
            state: Mutex::new(State::new(limits.clone(), keeping, None)),
            limits,
            destinations: ["a", "b"].map(destination),
            is_plain,
            next: AtomicU64::new(1),
            loans: AtomicU64::new(0),
            returns: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            observer: None,
            conns: std::sync::Mutex::default(),
            lined_up: std::sync::Mutex::default(),
            served: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut State<Conn>, &mut Effects<Conn>) -> R,
    ) -> R {
        self.change_with(Effects::none(), change)
    }

    /// A change that may have more effects than one transition: here that is one effect.
    fn change_in_parts(
        &self,
        change: impl FnOnce(&mut State<Conn>, &mut Effects<Conn>) -> Unfinished,
    ) {
        let mut unfinished = self.change_with(Effects::at_most(1), change);
        while !unfinished.is_nothing() {
            self.change_with(Effects::at_most(1), |state, effects| {
                state.go_on(&mut unfinished, NOW, effects);
            });
        }
    }

    fn change_with<R>(
        &self,
        mut effects: Effects<Conn>,
        change: impl FnOnce(&mut State<Conn>, &mut Effects<Conn>) -> R,
    ) -> R {
        let mut state = self.state.lock().expect("no panic");
        let result = change(&mut state, &mut effects);
        self.check_limits(&state);
        drop(state);
        let mut leaves_waiters = self.apply(effects);
        while leaves_waiters {
            let mut effects = Effects::none();
            self.state
                .lock()
                .expect("no panic")
                .serve(NOW, &mut effects);
            leaves_waiters = self.apply(effects);
        }
        result
    }

    /// True: more waiters may be served.
    fn apply(&self, mut effects: Effects<Conn>) -> bool {
        effects.wakes.drain(..).for_each(|parker| parker.wake());
        for closed in effects.closes {
            self.tell(|observer| observer.open -= 1);
            self.free(closed.untold);
        }
        effects.leaves_waiters
    }

    fn tell(&self, event: impl FnOnce(&mut Observer)) {
        if let Some(observer) = &self.observer {
            event(&mut observer.lock().expect("no panic"));
        }
    }

    /// The second step, once the event has been told.
    fn free(&self, untold: Option<Untold>) {
        if let Some(untold) = untold {
            self.change(|state, effects| state.told(untold, NOW, effects));
        }
    }

    fn tell_start(&self, right: DialRight) {
        let limits = &self.limits;
        self.tell(|observer| {
            let dialing = &mut observer.dialing[right.destination as usize];
            *dialing += 1;
            observer.open += 1;
            let most = limits.max_dials_per_address.unwrap_or(u32::MAX);
            assert!(*dialing <= most, "{dialing} dials are told");
            let most = limits.max_conns.unwrap_or(u32::MAX);
            assert!(observer.open <= most, "{} open are told", observer.open);
        });
    }

    fn tell_end(&self, right: DialRight, is_open: bool) {
        self.tell(|observer| {
            observer.dialing[right.destination as usize] -= 1;
            observer.open -= u32::from(!is_open);
        });
    }

    fn check_limits(&self, state: &State<Conn>) {
        let stats = state.stats();
        let open = stats.idle + stats.borrowed + stats.dialing;
        let max = self.limits.max_conns.map_or(u64::MAX, u64::from);
        assert!(open <= max, "{open} of {max} connections");
    }

    /// A connection in the caller's hands, from nothing.
    pub(crate) fn opened(self: &Arc<Self>, to: usize) -> Conn {
        match self.borrow(to, Reuse::Allowed, &Patience::ForEver) {
            Got::Dial(right) => self.dialed(right).expect("an open pool"),
            got => panic!("{got:?}"),
        }
    }

    pub(crate) fn borrow(self: &Arc<Self>, to: usize, reuse: Reuse, patience: &Patience) -> Got {
        let parker = match patience {
            Patience::Until(token) => token.sleeper.clone(),
            _ => Arc::default(),
        };
        let request = Request {
            destination: &self.destinations[to],
            reuse,
            may_wait: true,
            distrusts_idle: false,
            has_waited: false,
        };
        let (ticket, taken) = self.change(|state, effects| {
            let (ticket, taken) = state.take(request, NOW, || parker.clone(), effects);
            if matches!(taken, Take::Wait) {
                self.lined_up.lock().expect("no panic").push(ticket);
            }
            (ticket, taken)
        });
        let taken = if matches!(taken, Take::Wait) {
            let waiter = Waiter {
                pool: self,
                patience,
                parker,
            };
            let until = match patience {
                Patience::Ends => Deadline::at(NOW),
                _ => Deadline::NEVER,
            };
            let patience = wait_loop::WaitDeadlines {
                at_a_limit: until,
                at_all: until,
            };
            let waited = wait_loop::wait(&waiter, ticket, patience);
            self.change(|state, _| state.wait_told(ticket));
            match waited {
                Ok(taken) => {
                    self.served.lock().expect("no panic").push(ticket);
                    taken
                }
                Err(WaitError::Canceled | WaitError::TimedOut(_)) => return Got::Nothing,
                Err(why) => panic!("{why:?}"),
            }
        } else {
            taken
        };
        match taken {
            Take::Reuse(conn) => {
                conn.lend();
                Got::Conn(conn)
            }
            Take::Dial(right, _) => Got::Dial(right),
            Take::Refused(_) => Got::Nothing,
            Take::Wait => panic!("it has waited"),
        }
    }

    /// Its own connect; `None` if the pool was closed meanwhile.
    pub(crate) fn dialed(&self, right: DialRight) -> Option<Conn> {
        self.tell_start(right);
        self.connected(right)
    }

    fn connected(&self, right: DialRight) -> Option<Conn> {
        let id = self.next.fetch_add(1, SeqCst);
        let conn = Conn::new(id, right.destination, self.is_plain);
        let facts = conn.facts.clone();
        let done = self.change(|state, effects| state.dial_done(right, &conn, NOW, effects));
        self.tell_end(right, done.is_ok());
        self.free(done.ok()?);
        self.conns.lock().expect("no panic").push(facts);
        conn.lend();
        Some(conn)
    }

    pub(crate) fn dial_failed(&self, right: DialRight) {
        self.tell_start(right);
        let untold = self.change(|state, effects| state.dial_failed(right, None, NOW, effects));
        self.tell_end(right, false);
        self.free(untold);
    }

    /// A dial with late binding: what came first, its own connect or another; what comes second
    /// goes on for nobody.
    pub(crate) fn dial(&self, right: DialRight) -> Option<Conn> {
        let waker = Arc::<Parker>::default();
        let takes = LateBinding::Any;
        let begun = self
            .change(|state, effects| state.start_dial(right, takes, waker.clone(), NOW, effects));
        let at_once = match begun {
            Err(_) => {
                self.change(|state, effects| state.give_up(right, NOW, effects));
                return None;
            }
            Ok(at_once) => at_once,
        };
        if let Some(conn) = at_once {
            conn.lend();
            self.change(|state, effects| state.give_up(right, NOW, effects));
            return Some(conn);
        }
        self.tell_start(right);
        let answer = self.change(|state, _| state.take_dial_answer(right));
        let Some(answer) = answer else {
            return self.connected(right);
        };
        answer.lend();
        if let Some(surplus) = self.connected(right) {
            self.settle_in(surplus);
        }
        Some(answer)
    }

    pub(crate) fn settle_in(&self, conn: Conn) {
        conn.take_back();
        self.change(|state, effects| {
            state.settle_in(conn.to, conn, Disposition::Keep, NOW, effects)
        });
    }

    pub(crate) fn give_back(&self, conn: Conn) {
        self.end_borrow(conn, Disposition::Keep);
    }

    pub(crate) fn discard(&self, conn: Conn) {
        self.end_borrow(conn, Disposition::Close(CloseCause::Discarded));
    }

    /// It was found unfit before its borrower saw it.
    pub(crate) fn reject(&self, conn: Conn) {
        conn.take_back();
        let cause = CloseCause::StaleAtBorrow;
        self.change(|state, effects| state.reject(conn.to, conn, cause, NOW, effects));
    }

    /// Its borrower has given it back, and on_release looks at it on another thread.
    pub(crate) fn release_in_background(&self, conn: Conn, disposition: Disposition) {
        self.change(|state, _| state.begin_release());
        self.change(|state, _| state.end_release());
        self.end_borrow(conn, disposition);
    }

    /// The engine starts the checkers that are wanted; this thread is all of them.
    pub(crate) fn check_idle(&self, disposition: Disposition) {
        for _ in 0..self.start_checkers() {
            self.run_checker(disposition);
        }
    }

    pub(crate) fn start_checkers(&self) -> usize {
        self.change(|state, _| state.start_checkers(SOON).0)
    }

    /// Asks on_idle about one connection after another, until none is left.
    pub(crate) fn run_checker(&self, disposition: Disposition) {
        let take = || self.change(|state, effects| state.take_check(SOON, SOON, effects));
        while let Some((conn, check)) = take() {
            conn.lend();
            conn.take_back();
            self.change(|state, effects| state.end_check(conn, check, disposition, SOON, effects));
        }
    }

    fn end_borrow(&self, conn: Conn, disposition: Disposition) {
        conn.take_back();
        if self.observer.is_some() {
            let returning = self.change(|state, effects| {
                state.begin_give_back(conn.to, conn, disposition, NOW, effects)
            });
            self.kept.fetch_add(returning.is_some().into(), SeqCst);
            if let Some(returning) = returning {
                self.change(|state, effects| state.finish_give_back(returning, NOW, effects));
            }
            return;
        }
        let is_kept =
            self.change(|state, effects| state.give_back(conn.to, conn, disposition, NOW, effects));
        self.kept.fetch_add(is_kept.into(), SeqCst);
    }

    pub(crate) fn take_idle(&self, to: usize, choose: impl Fn(&Conn) -> bool) -> Option<Conn> {
        let destination = &self.destinations[to];
        self.change(|state, effects| state.take_idle(destination, choose, NOW, effects))
    }

    pub(crate) fn evict(&self) {
        self.change_in_parts(|state, effects| state.evict(None, NOW, effects));
    }

    pub(crate) fn close_idle(&self) {
        self.change_in_parts(|state, effects| state.close_idle(CloseCause::Evicted, NOW, effects));
    }

    pub(crate) fn close(&self) {
        self.change_in_parts(|state, effects| state.close(NOW, effects));
    }

    /// Closes the pool and waits for what is borrowed.
    pub(crate) fn drain(&self) {
        self.close();
        let parker = Arc::<Parker>::default();
        loop {
            let (out, ticket) = self.change(|state, _| state.wait_until_returned(&parker));
            if out > 0 {
                parker.park();
            }
            self.change(|state, _| state.stop_waiting_until_returned(ticket));
            if out == 0 {
                return;
            }
        }
    }

    /// The engine's look, when everything idle is too old.
    pub(crate) fn reap(&self) {
        self.change(|state, effects| state.reap(LATE, effects));
    }

    /// The watch has seen the peer of an idle one hang up; `conn` is where it was when the watch
    /// looked.
    pub(crate) fn hung_up(&self, id: u64, node: u32) {
        let cause = Some(CloseCause::PeerClosedWhileIdle);
        self.change(|state, effects| state.remove_idle(node, id, |_| cause, NOW, effects));
    }

    /// The program puts one of its own.
    pub(crate) fn put(&self, to: usize) {
        let id = self.next.fetch_add(1, SeqCst);
        let mut facts = None;
        let build = |destination, _| {
            let conn = Conn::new(id, destination, self.is_plain);
            facts = Some(conn.facts.clone());
            Ok::<_, crate::pool::state::answer::Refusal>(conn)
        };
        let admitted =
            self.change(|state, effects| state.admit(&self.destinations[to], build, NOW, effects));
        if admitted.is_ok() {
            self.conns.lock().expect("no panic").extend(facts);
        }
    }

    /// Where one owner follows the other: everybody who waited was served, and in the order in
    /// which they came.
    pub(crate) fn check_order(&self) {
        let lined_up = self.lined_up.lock().expect("no panic");
        assert_eq!(*self.served.lock().expect("no panic"), *lined_up);
    }

    /// The connection that was opened as that one.
    fn opened_as(&self, number: usize) -> Arc<Facts> {
        self.conns.lock().expect("no panic")[number].clone()
    }

    pub(crate) fn id_of(&self, number: usize) -> u64 {
        self.opened_as(number).id
    }

    pub(crate) fn is_gone(&self, number: usize) -> bool {
        self.opened_as(number).is_gone.load(SeqCst)
    }

    pub(crate) fn idle_checks(&self) -> u64 {
        self.change(|state, _| state.stats()).counters.idle_checks
    }

    /// It has been drained.
    pub(crate) fn check_none_is_left(&self) {
        let conns = self.conns.lock().expect("no panic");
        let are_gone = conns.iter().all(|facts| facts.is_gone.load(SeqCst));
        assert!(are_gone, "all are home, and closed");
    }

    /// Everybody has gone: nothing is in anybody's hands, nobody waits, and each connection is idle
    /// or gone.
    pub(crate) fn check_at_rest(&self) {
        let stats = self.change(|state, _| {
            state.revoke_all_out();
            state.stats()
        });
        assert_eq!((stats.borrowed, stats.dialing, stats.waiting), (0, 0, 0));
        assert_eq!(stats.releasing, 0);
        let conns = self.conns.lock().expect("no panic");
        let left = conns.iter().filter(|facts| !facts.is_gone.load(SeqCst));
        assert_eq!(left.count() as u64, stats.idle, "a connection is lost");
        let owned = conns.iter().any(|facts| facts.is_owned.load(SeqCst));
        assert!(!owned, "somebody has one still");
        let law = stats.counters;
        let gone = law.closed_while_idle
            + law.closed_idle_timeout
            + law.stale_at_borrow
            + law.closed_evicted
            + law.closed_discarded
            + law.closed_idle_full
            + law.closed_hook;
        let [lends, returns, kept] =
            [&self.loans, &self.returns, &self.kept].map(|of| of.load(SeqCst));
        assert_eq!((law.reuses, law.releases), (lends, returns + kept), "loans");
        assert_eq!(law.dials - law.dial_failures + law.puts, stats.idle + gone);
    }
}

struct Waiter<'a> {
    pool: &'a Pool,
    patience: &'a Patience,
    parker: Arc<Parker>,
}

impl ParkingWaiter for Waiter<'_> {
    /// Between two transitions anything may happen, so time needs no time to pass.
    fn sleep(&self, _: Deadline) -> io::Result<()> {
        match self.patience {
            Patience::Ends => {}
            _ => self.parker.park(),
        }
        Ok(())
    }

    fn make_room(&self) -> bool {
        false
    }
}

impl wait_loop::Waiter for Waiter<'_> {
    type Conn = Conn;

    fn is_canceled(&self) -> bool {
        match self.patience {
            Patience::Until(token) => *token.has_fired.lock().expect("no panic"),
            _ => false,
        }
    }

    fn now(&self) -> Time {
        NOW
    }

    fn poll_wait(&self, ticket: Ticket, is_late: bool, is_over: bool) -> WaitPoll<Conn> {
        self.pool
            .change(|state, effects| state.poll_wait(ticket, is_late, is_over, NOW, effects))
    }

    fn cancel_wait(&self, ticket: Ticket) {
        self.pool
            .change(|state, effects| state.cancel_wait(ticket, NOW, effects));
    }
}

fn destination(host: &str) -> Arc<Destination> {
    let address = Address {
        network: Network::Tcp(Family::Any),
        text: format!("{host}:1").into(),
        target: Target::Name {
            host: host.into(),
            port: 1,
        },
    };
    Arc::new(Destination::new(address, ""))
}
