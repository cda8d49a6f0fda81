//! Events seen by a thread on which no code of the program may run: another thread emits them
//! later.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::sys::clock;
use crate::values::clock::Time;
use crate::values::destination::Destination;
use crate::values::error::Error;
use crate::values::event::{Event, EventKind};

/// An end that was seen to where code of the program must not run.
#[derive(Debug)]
pub(crate) struct DeferredEvent {
    pub(crate) kind: EventKind,
    pub(crate) destination: Destination,
    pub(crate) label: String,
    pub(crate) duration: Duration,
    pub(crate) error: Option<Error>,
}

impl DeferredEvent {
    /// The end of something that began at `began`.
    pub(crate) fn new(
        kind: EventKind,
        destination: &Destination,
        label: &str,
        began: Time,
        error: Option<&Error>,
    ) -> Self {
        Self {
            kind,
            destination: destination.clone(),
            label: label.to_owned(),
            duration: clock::now().since(began),
            error: error.cloned(),
        }
    }

    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            duration: self.duration,
            error: self.error.as_ref(),
            ..Event::new(self.kind, &self.destination, &self.label)
        }
    }
}
