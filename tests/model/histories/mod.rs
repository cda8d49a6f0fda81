//! Histories written by hand, for what the random ones do not reach: refills, numbers, long lists.
#![forbid(unsafe_code)]

mod checks;
mod failures;
mod line;
mod numbers;
mod refill;
mod room;
mod untold;

use std::time::Duration;

use super::destinations::destinations;
use super::fake::Fake;
use super::found::{unlimited, unlimited_and_plain};
use super::reference::Rules;
use crate::pool::state::answer::{
    DialRight, Disposition, Effects, Refusal, Request, Reuse, Take, Ticket,
};
use crate::pool::state::counters::CloseCause;
use crate::pool::state::State;
use crate::sync::Arc;
use crate::values::address::{Address, Target};
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::network::{Family, Network};

/// A pool's state, its clock, and what it wants done.
struct Scene {
    state: State<Fake>,
    now: Time,
    effects: Effects<Fake>,
    conns: u64,
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A destination of its own for each number.
fn numbered(number: usize) -> Arc<Destination> {
    let address = Address {
        network: Network::Tcp(Family::Any),
        text: format!("n{number}:1").into(),
        target: Target::Name {
            host: format!("n{number}").into(),
            port: 1,
        },
    };
    Arc::new(Destination::new(address, ""))
}

impl Scene {
    fn new(rules: &Rules) -> Self {
        let state = State::new(rules.limits.clone(), rules.keeping.clone(), rules.fail_fast);
        Self {
            state: state.checking_every(rules.on_idle),
            now: Time::default().after(Duration::from_secs(10)),
            effects: Effects::none(),
            conns: 0,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn take(&mut self, destination: &Arc<Destination>, reuse: Reuse) -> (Ticket, Take<Fake>) {
        let request = Request {
            destination,
            reuse,
            may_wait: true,
            distrusts_idle: false,
            has_waited: false,
        };
        self.state.take(request, self.now, || 0, &mut self.effects)
    }

    fn right(&mut self, destination: &Arc<Destination>) -> DialRight {
        match self.take(destination, Reuse::Never) {
            (_, Take::Dial(right, _)) => right,
            (_, other) => panic!("{other:?}"),
        }
    }

    /// The dial ends well.
    fn dialed(&mut self, right: DialRight) -> Fake {
        self.conns += 1;
        let conn = Fake::new(self.conns, right.destination, Time::NEVER, true);
        let done = self
            .state
            .dial_done(right, &conn, self.now, &mut self.effects);
        assert!(done.is_ok());
        conn
    }

    /// A fresh connection, borrowed.
    fn borrow(&mut self, destination: &Arc<Destination>) -> Fake {
        let right = self.right(destination);
        self.dialed(right)
    }

    /// An idle one, borrowed.
    fn reuse(&mut self, destination: &Arc<Destination>) -> Fake {
        match self.take(destination, Reuse::Only) {
            (_, Take::Reuse(conn)) => conn,
            (_, other) => panic!("{other:?}"),
        }
    }

    fn give_back(&mut self, conn: Fake, disposition: Disposition) -> bool {
        use crate::pool::state::held::Held;
        let id = conn.destination_id();
        self.state
            .give_back(id, conn, disposition, self.now, &mut self.effects)
    }

    fn keep(&mut self, conn: Fake) {
        assert!(self.give_back(conn, Disposition::Keep));
    }

    fn put(&mut self, destination: &Arc<Destination>) {
        self.conns += 1;
        let id = self.conns;
        let build = |to, _| Ok::<_, Refusal>(Fake::new(id, to, Time::NEVER, true));
        let admitted = self
            .state
            .admit(destination, build, self.now, &mut self.effects);
        assert!(admitted.is_ok());
    }

    fn fails(&mut self, right: DialRight) {
        let error =
            crate::values::error::Error::new(crate::values::error::Status::Connect, "refused");
        self.state
            .dial_failed(right, Some((&error, self.now)), self.now, &mut self.effects);
    }

    /// The connections that are to be closed since the last call.
    fn closed(&mut self) -> Vec<(u64, CloseCause)> {
        let closes = self.effects.closes.drain(..);
        closes.map(|one| (one.conn.id, one.cause)).collect()
    }

    fn wakes(&mut self) -> usize {
        self.effects.wakes.drain(..).count()
    }

    fn names(&self, all: Vec<Arc<Destination>>) -> Vec<String> {
        let name = |one: Arc<Destination>| one.address.text.to_string();
        all.into_iter().map(name).collect()
    }
}
