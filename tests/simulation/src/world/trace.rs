//! What a replay prints: who does what, and when.

use std::cell::Cell;

use super::network::Event;
use super::{time, with, World};

struct Switch(Cell<bool>);

// SAFETY: one thread of the machine runs all simulated threads.
unsafe impl Sync for Switch {}

static IS_ON: Switch = Switch(Cell::new(false));

pub(crate) fn switch_on() {
    IS_ON.0.set(true);
}

fn print(now: u64, who: &str, what: &str) {
    let passed = now - time::BEGIN;
    println!("{:>12.6} ms  {who:<13} {what}", passed as f64 / 1e6);
}

/// One line, if a trace is wanted.
pub(crate) fn line(what: impl FnOnce() -> String) {
    if IS_ON.0.get() && super::is_running() {
        let what = what();
        with(|world| print(world.now, world.tasks.name(), &what));
    }
}

/// Something happens in the network.
pub(crate) fn event(world: &World, event: &Event) {
    if IS_ON.0.get() {
        print(world.now, "(network)", &format!("{event:?}"));
    }
}

/// Where the history stands, at its end.
pub(crate) fn flush() {
    super::look(|world| {
        for task in &world.tasks.all {
            let name = &task.name;
            print(world.now, name, &format!("{:?} {}", task.state, task.on));
        }
    });
}
