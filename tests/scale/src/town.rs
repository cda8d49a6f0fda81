//! One pool's state, so many idle connections, and what is done to it.

use std::time::Duration;

use std::rc::Rc;

use crate::fake::{Facts, Fake};
use crate::pool::state::answer::{Closed, Disposition, Effects, Refusal, Request, Reuse, Take};
use crate::pool::state::held::{Held, NOWHERE};
use crate::pool::state::State;
use crate::sync::Arc;
use crate::values::address::Address;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::host_port::Names;
use crate::values::options::{Keeping, Limits, ReuseOrder};

const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Who is idle for too long within that time is closed in one look.
const BATCH: Duration = Duration::from_millis(20);
/// Between one give-back and the next.
const STEP: Duration = Duration::from_micros(10);

/// Literals need no names.
struct NoNames;

impl Names for NoNames {
    fn service(&self, _: &str, _: &str) -> Option<u16> {
        None
    }

    fn protocol(&self, _: &str) -> Option<u8> {
        None
    }

    fn interface(&self, _: &str) -> Option<u32> {
        None
    }
}

/// See the module.
pub(crate) struct Town {
    state: State<Fake>,
    destinations: Vec<Arc<Destination>>,
    /// All that were put, in that order, but for those that `use_all_in_place` found to be gone.
    conns: Vec<Rc<Facts>>,
    next: u64,
    now: Time,
    dice: u64,
}

fn destination(number: u32) -> Arc<Destination> {
    let [_, a, b, c] = number.to_be_bytes();
    let text = format!("127.{a}.{b}.{c}:80");
    Arc::new(Destination::new(
        Address::parse("tcp", &text, &NoNames).expect("a literal"),
        "",
    ))
}

impl Town {
    pub(crate) fn new(idle: u32, destinations: u32) -> Self {
        let limits = Limits {
            max_idle_per_address: u32::MAX,
            max_idle: None,
            max_conns: Some(idle),
            max_conns_per_address: None,
            max_dials_per_address: None,
            max_waiters: None,
        };
        let keeping = Keeping {
            idle_timeout: Some(IDLE_TIMEOUT),
            max_lifetime: None,
            lifetime_jitter_percent: 0,
            max_uses: None,
            min_idle_per_address: 0,
            reuse_order: ReuseOrder::Lifo,
        };
        let mut town = Self {
            state: State::new(limits, keeping, None),
            destinations: (0..destinations).map(destination).collect(),
            conns: Vec::new(),
            next: 0,
            now: Time::from_nanos(1 << 40),
            dice: 88_172_645_463_325_252,
        };
        (0..idle).for_each(|number| town.put(number % destinations));
        assert_eq!(town.idle(), idle);
        town
    }

    pub(crate) fn idle(&self) -> u32 {
        self.state.idle_count(None)
    }

    /// xorshift64 (Marsaglia, 2003).
    fn draw(&mut self) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % self.destinations.len() as u64) as u32
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn put(&mut self, to: u32) {
        self.next += 1;
        self.pass(STEP);
        let conn = Fake::new(self.next, to, Time::NEVER, true);
        // Nothing is to be watched here.
        conn.is_armed.set(true);
        self.conns.push(conn.facts().clone());
        let mut effects = Effects::none();
        let put = self.state.admit::<Refusal>(
            &self.destinations[to as usize],
            |_, _| Ok(conn),
            self.now,
            &mut effects,
        );
        assert!(put.is_ok());
    }

    pub(crate) fn cycles(&mut self, count: u32) {
        for _ in 0..count {
            let to = self.draw();
            let mut effects = Effects::none();
            let request = Request {
                destination: &self.destinations[to as usize],
                reuse: Reuse::Allowed,
                may_wait: false,
                distrusts_idle: false,
                has_waited: false,
            };
            let (_, taken) = self.state.take(request, self.now, || 0, &mut effects);
            let Take::Reuse(conn) = taken else {
                panic!("one is idle");
            };
            self.pass(STEP);
            let id = conn.destination_id();
            self.state
                .give_back(id, conn, Disposition::Keep, self.now, &mut effects);
            assert!(effects.closes.is_empty());
        }
    }

    /// Each is borrowed and brought back where it stands, the newest first, and then somebody wants
    /// to know which is the oldest; how many there were.
    pub(crate) fn use_all_in_place(&mut self) -> u32 {
        self.conns.retain(|conn| conn.node.get() != NOWHERE);
        for conn in self.conns.iter().rev() {
            self.now = self.now.after(STEP);
            conn.borrow();
            assert!(conn.give_back_biased(self.now));
        }
        let uses = self.conns.len() as u32;
        self.evictions(1);
        uses
    }

    /// The longest idle goes, and another is put.
    pub(crate) fn evictions(&mut self, count: u32) {
        for _ in 0..count {
            let mut effects = Effects::none();
            assert!(self.state.close_longest_idle(self.now, &mut effects));
            let [Closed { conn, .. }] = &effects.closes[..] else {
                panic!("one is closed");
            };
            let to = conn.destination_id();
            drop(effects);
            self.put(to % self.destinations.len() as u32);
        }
    }

    /// Time passes, some have been idle for too long, and others take their places; how many.
    pub(crate) fn expiries(&mut self) -> u32 {
        let mut effects = Effects::none();
        let next = self.state.reap(self.now, &mut effects).next;
        self.now = self.now.max(next).after(BATCH);
        self.state.reap(self.now, &mut effects);
        let places: Vec<u32> = effects
            .closes
            .iter()
            .map(|closed| closed.conn.destination_id())
            .collect();
        drop(effects);
        let destinations = self.destinations.len() as u32;
        for to in &places {
            self.put(to % destinations);
        }
        places.len() as u32
    }

    /// All have been looked at since they became idle, and nothing is due.
    pub(crate) fn rest(&mut self) {
        self.pass(Duration::from_secs(1));
        self.looks(1);
    }

    pub(crate) fn looks(&mut self, count: u32) {
        for _ in 0..count {
            let mut effects = Effects::none();
            self.state.reap(self.now, &mut effects);
        }
    }
}
