//! shuttle's scheduler: it runs whom the world has chosen.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use super::tasks::KERNEL;

/// Runs as many histories as it is told.
#[derive(Debug)]
pub(crate) struct WorldScheduler {
    left: u64,
}

impl WorldScheduler {
    pub(crate) fn new(histories: u64) -> Self {
        Self { left: histories }
    }
}

impl Scheduler for WorldScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.left = self.left.checked_sub(1)?;
        Some(Schedule::new(0))
    }

    fn next_task(
        &mut self,
        _runnable: &[&Task],
        _current: Option<TaskId>,
        _is_yielding: bool,
    ) -> Option<TaskId> {
        let next = if super::is_running() {
            super::with(|world| world.tasks.choose(&mut world.random))
        } else {
            KERNEL
        };
        Some(TaskId::from(next))
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("chance is the world's")
    }
}
