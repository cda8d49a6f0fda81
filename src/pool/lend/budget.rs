//! What a dial leaves its hooks: time, a token, and somebody who wants the answer.
#![forbid(unsafe_code)]

use crate::pool::errors::canceled;
use crate::pool::state::answer::Refusal;
use crate::pool::{Pool, Reply};
use crate::sync::Arc;
use crate::sys::clock;
use crate::sys::wake::CancelToken;
use crate::values::clock::Deadline;
use crate::values::error::{Error, Phase};

/// The time that a dial leaves its hooks.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) deadline: Deadline,
    pub(crate) token: Option<Arc<CancelToken>>,
    /// Of an asynchronous dial.
    pub(crate) reply: Option<Arc<dyn Reply>>,
}

impl Budget {
    fn is_canceled(&self) -> bool {
        let (token, reply) = (self.token.as_ref(), self.reply.as_ref());
        token.is_some_and(|token| token.has_fired())
            || reply.is_some_and(|reply| reply.is_abandoned())
    }
}

impl Pool {
    /// Why a hook must not begin, or has to end.
    pub(crate) fn why_no_hook(&self, budget: &Budget) -> Option<Error> {
        if budget.is_canceled() {
            Some(canceled())
        } else if self.is_closed() {
            Some(Refusal::PoolClosed.into())
        } else if budget.deadline.has_passed(clock::now()) {
            Some(Error::timeout(Phase::Opening, ""))
        } else {
            None
        }
    }
}
