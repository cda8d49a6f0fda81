//! Who sleeps in a read, write or wait of which connection, so that a close or a new deadline can
//! wake them.
//!
//! One table for all connections instead of a list in each: a connection that nobody sleeps on pays
//! nothing.
#![forbid(unsafe_code)]

use crate::handle::Place;
use crate::sync::{Arc, Mutex};
use crate::sys::per_generation::PerGeneration;
use crate::sys::wake::{Wake, Waker};

/// A power of two; with so many locks, 64 sleeping threads rarely meet.
const STRIPES: usize = 64;

type Stripe = Mutex<Vec<(Place, Arc<Waker>)>>;

/// Sleeping threads' wakers, by connection.
#[derive(Debug)]
pub(crate) struct Sleepers {
    /// Each guards its own list; nothing else is locked meanwhile.
    stripes: [Stripe; STRIPES],
}

/// Those of this process.
pub(crate) fn sleepers() -> &'static Sleepers {
    static SLEEPERS: PerGeneration<Sleepers> = PerGeneration::empty();
    SLEEPERS.get_or_make(|_| Sleepers::new(), drop)
}

impl Sleepers {
    fn new() -> Self {
        Self {
            stripes: [const { Mutex::new(Vec::new()) }; STRIPES],
        }
    }

    fn stripe(&self, place: Place) -> &Stripe {
        &self.stripes[place.to_bits() as usize % STRIPES]
    }

    /// Announces a sleeper; it is gone when the value is dropped.
    pub(crate) fn announce(&self, place: Place) -> Sleeper<'_> {
        let waker = Arc::new(Waker::default());
        self.stripe(place).lock().push((place, waker.clone()));
        Sleeper {
            sleepers: self,
            place,
            waker,
        }
    }

    /// Wakes everyone who sleeps on that connection.
    pub(crate) fn wake(&self, place: Place) {
        for (_, waker) in self
            .stripe(place)
            .lock()
            .iter()
            .filter(|(at, _)| *at == place)
        {
            waker.wake();
        }
    }
}

/// One announced sleeper.
#[derive(Debug)]
pub(crate) struct Sleeper<'a> {
    sleepers: &'a Sleepers,
    place: Place,
    pub(crate) waker: Arc<Waker>,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut list = self.sleepers.stripe(self.place).lock();
        list.retain(|(_, waker)| !Arc::ptr_eq(waker, &self.waker));
        if list.is_empty() {
            *list = Vec::new();
        }
    }
}
