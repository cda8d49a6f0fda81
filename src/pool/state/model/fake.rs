//! Connections that are nothing but their facts, and the places that they lead to.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use super::reference::DESTINATIONS;
use crate::pool::shelf::{Held, NOWHERE};
use crate::pool::state::DestinationId;
use crate::pool::stats::Cause;
use crate::sync::Arc;
use crate::values::address::{Address, Destination, Target};
use crate::values::clock::Time;
use crate::values::network::{Family, Network};

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) id: u64,
    destination_id: DestinationId,
    retire_at: Time,
    pub(super) uses: Cell<u32>,
    pub(super) has_data: Cell<bool>,
    pub(super) is_armed: Cell<bool>,
    pub(super) node: Cell<u32>,
    pub(super) marks: Rc<Marks>,
}

/// What others see and do while somebody has the connection, or while it is on its way to one.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Why it must not be kept.
    pub(super) unfit: Cell<Option<Cause>>,
    /// The pool lets go of it, for good.
    pub(super) is_gone: Cell<bool>,
}

impl Fake {
    pub(super) fn new(id: u64, destination_id: DestinationId, retire_at: Time) -> Self {
        Self {
            id,
            destination_id,
            retire_at,
            uses: Cell::new(0),
            has_data: Cell::new(false),
            is_armed: Cell::new(false),
            node: Cell::new(NOWHERE),
            marks: Rc::default(),
        }
    }
}

impl Held for Fake {
    /// The number of the call that it wakes.
    type Bell = u64;

    fn id(&self) -> u64 {
        self.id
    }

    fn destination_id(&self) -> u32 {
        self.destination_id
    }

    fn retire_at(&self) -> Time {
        self.retire_at
    }

    fn uses(&self) -> u32 {
        self.uses.get()
    }

    fn unfit(&self) -> Option<Cause> {
        self.marks.unfit.get()
    }

    fn wants_arming(&self) -> bool {
        !self.is_armed.get()
    }

    fn set_node(&self, node: u32) {
        self.node.set(node);
    }

    fn came_home(&self) {
        assert!(!self.marks.is_gone.get(), "came home after it was gone");
    }

    fn goes(&self) {
        assert!(!self.marks.is_gone.replace(true), "goes twice");
    }
}

pub(super) type Destinations = [Arc<Destination>; DESTINATIONS];

/// Two with one address, and another.
pub(super) fn destinations() -> Destinations {
    [("a", ""), ("a", "tag"), ("b", "")].map(|(host, tag)| {
        let address = Address {
            network: Network::Tcp(Family::Any),
            text: format!("{host}:1").into(),
            target: Target::Name {
                host: host.into(),
                port: 1,
            },
        };
        Arc::new(Destination {
            address,
            tag: tag.into(),
        })
    })
}
