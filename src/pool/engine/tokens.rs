//! The cancel tokens that the engine watches, each with the tasks that carry it.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use crate::sync::Arc;
use crate::sys::wake::CancelToken;

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The token's address, which no other has while a task carries it → the number that
    /// epoll reports.
    numbers: BTreeMap<usize, u64>,
    carriers: BTreeMap<u64, BTreeSet<u64>>,
}

fn address(token: &Arc<CancelToken>) -> usize {
    Arc::as_ptr(token) as usize
}

impl Tokens {
    /// The number that epoll reports for the token; `None`: no task carries it yet.
    pub(crate) fn number(&self, token: &Arc<CancelToken>) -> Option<u64> {
        self.numbers.get(&address(token)).copied()
    }

    /// That task carries the token, which epoll reports by `number`.
    pub(crate) fn add(&mut self, token: &Arc<CancelToken>, number: u64, task: u64) {
        self.numbers.insert(address(token), number);
        self.carriers.entry(number).or_default().insert(task);
    }

    /// That task carries the token no more; true if no task does.
    pub(crate) fn remove(&mut self, token: &Arc<CancelToken>, task: u64) -> bool {
        let Some(number) = self.number(token) else {
            return false;
        };
        let carriers = self.carriers.entry(number).or_default();
        carriers.remove(&task);
        let is_last = carriers.is_empty();
        if is_last {
            self.carriers.remove(&number);
            self.numbers.remove(&address(token));
        }
        is_last
    }

    /// The tasks that carry the token of that number, from that task on.
    pub(crate) fn carriers(&self, number: u64, from: u64) -> impl Iterator<Item = u64> + '_ {
        let carriers = self.carriers.get(&number).into_iter();
        carriers
            .flat_map(move |carriers| carriers.range(from..))
            .copied()
    }
}
