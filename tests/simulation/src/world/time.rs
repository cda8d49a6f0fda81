//! Virtual time: it jumps to the next thing that happens, when every thread sleeps.

use super::network::Event;
use super::tasks::KERNEL;
use super::{trace, World};

/// 1,000 s after the boot.
pub(crate) const BEGIN: u64 = 1_000_000_000_000;
pub(crate) const MS: u64 = 1_000_000;

/// What will happen.
#[derive(Default)]
pub(crate) struct Timeline {
    pub(crate) events: Vec<(u64, Event)>,
}

enum Next {
    Wake(usize),
    Event(usize),
}

impl World {
    pub(crate) fn after(&mut self, nanos: u64, event: Event) {
        let at = self.now + nanos;
        self.timeline.events.push((at, event));
    }

    fn next_time(&self) -> Option<u64> {
        let deadlines = self.tasks.all.iter().filter_map(|task| task.until);
        let events = self.timeline.events.iter().map(|event| event.0);
        deadlines.chain(events).min()
    }

    /// Lets time pass up to the next thing that happens, and lets that happen: of several at once
    /// any, and sometimes all. False if there is nothing.
    pub(crate) fn advance(&mut self) -> bool {
        let Some(time) = self.next_time() else {
            return false;
        };
        self.now = self.now.max(time);
        loop {
            self.happen(time);
            if self.next_time() != Some(time) || self.random.one_in(2) {
                return true;
            }
        }
    }

    fn happen(&mut self, time: u64) {
        let mut due: Vec<Next> = Vec::new();
        for (number, task) in self.tasks.all.iter().enumerate().skip(KERNEL + 1) {
            if task.until == Some(time) {
                due.push(Next::Wake(number));
            }
        }
        for (number, event) in self.timeline.events.iter().enumerate() {
            if event.0 == time {
                due.push(Next::Event(number));
            }
        }
        self.moment += 1;
        match due[self.random.up_to(due.len() as u32) as usize] {
            Next::Wake(number) => self.tasks.wake(number),
            Next::Event(number) => {
                let (_, event) = self.timeline.events.swap_remove(number);
                trace::event(self, &event);
                self.happen_in_network(event);
            }
        }
    }

    /// Time passes though a thread could run.
    pub(crate) fn slip(&mut self) {
        let before = self.now;
        // Not through long pauses: nothing runs for a second without a processor.
        if self
            .next_time()
            .is_some_and(|time| time < before + 400 * MS)
        {
            self.advance();
            self.slipped += self.now - before;
        }
    }
}
