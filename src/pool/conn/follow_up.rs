//! What an event frees, while it waits for the event to be told.
#![forbid(unsafe_code)]

use crate::handle::Owned;
use crate::pool::conn::Conn;
use crate::pool::state::answer::{Ticket, Untold};
use crate::pool::state::untold::Returning;

/// What follows when an event has been told.
#[derive(Debug)]
pub(crate) enum FollowUp {
    Free(Untold),
    GiveBack(Returning<Owned<Conn>>),
    EndWait(Ticket),
}
