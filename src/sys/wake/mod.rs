//! Sleeping and waking: a thread parks on a futex ([`Parker`]) or sits in poll(2) beside an eventfd
//! ([`Waker`]).
//!
//! Knows no pool. Everybody above who has news for another thread, or for a task of the background
//! thread, holds a `dyn Wake` and does not know which of them it is.

mod cancel_token;
mod parker;
mod waker;

pub(crate) use self::cancel_token::CancelToken;
pub(crate) use self::parker::Parker;
pub(crate) use self::waker::Waker;

/// Takes the news that something has changed to the thread or task that must look.
pub(crate) trait Wake: std::fmt::Debug + Send + Sync {
    /// To be called after the change.
    fn wake(&self);
}
