//! An engine without pools: its client and its task are the test's own.
#![forbid(unsafe_code)]

use std::sync::mpsc;
use std::time::Duration;

use super::client::{Client, Handlers};
use super::task::{Next, Pollable, Task, Thread};
use super::Engines;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::Arc;
use crate::thread_pool::helpers::Helpers;
use crate::thread_pool::Job;
use crate::values::clock::{Deadline, Time};
use crate::values::error::Error;

#[derive(Debug, Default)]
struct FaultyClient {
    is_due: AtomicBool,
}

impl Client for FaultyClient {
    fn next_deadline(&self) -> Time {
        if self.is_due.load(SeqCst) {
            Time::default()
        } else {
            Time::NEVER
        }
    }

    fn reap(self: Arc<Self>, _: Time) {
        panic!("for a test");
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn within_gate(&self, work: &mut dyn FnMut()) {
        work();
    }

    fn before_end(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// Ends when the engine cannot go on, and says so.
#[derive(Debug)]
struct EndsWithEngine {
    client: Arc<FaultyClient>,
    ended: mpsc::Sender<()>,
}

impl Pollable for EndsWithEngine {
    fn poll(&self, task: &Arc<Task>, _: Thread, _: &mut Option<Job>) -> Next {
        if !task.is_broken() {
            return Next::At(Deadline::NEVER);
        }
        self.ended.send(()).expect("the test listens");
        Next::Done
    }

    fn is_awaited(&self) -> bool {
        true
    }

    fn fail(&self, _: Error) {}

    fn client(&self) -> &dyn Client {
        &*self.client
    }

    fn abandon(&self, _: usize) -> bool {
        false
    }
}

#[test]
fn a_panic_on_the_engine_ends_its_tasks_instead_of_leaving_them_waiting() {
    let engines = Engines::new();
    let client = Arc::new(FaultyClient::default());
    let handlers = Handlers {
        on_conn_event: |_, _, _| {},
        helpers: Helpers::new(),
    };
    let engine = engines.join(client.clone(), handlers).expect("an engine");
    let (ended, is_ended) = mpsc::channel();
    let work = EndsWithEngine {
        client: client.clone(),
        ended,
    };
    let task = Task::new(engine.reactor(), work);
    task.start(Deadline::NEVER);
    assert!(!engine.reactor().is_broken());

    client.is_due.store(true, SeqCst);
    engine.wake_by(Time::default());
    is_ended
        .recv_timeout(Duration::from_secs(20))
        .expect("the task is told that its engine is gone");
    assert!(engine.reactor().is_broken());
    engines.leave(&*client, engine);
}
