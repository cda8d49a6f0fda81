//! Which job of a thread pool runs next. Pure state: the pool holds it under its lock.
//!
//! Jobs of one kind stand in one lane, and jobs that hang must not take every thread from the other
//! kinds. So each lane has threads that the others leave to it, whether it uses them or not, and
//! what is left goes to the lane that comes first. Of several lanes the one named first is served
//! first.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// What one kind of jobs may use of a pool's threads.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Threads that the other lanes leave to it.
    pub(crate) kept: usize,
    /// Threads that it holds at the most.
    pub(crate) most: usize,
}

#[derive(Debug)]
struct LaneState<J> {
    lane: &'static Lane,
    waiting: VecDeque<J>,
    running: usize,
}

/// The jobs that wait, and how many of each lane run.
#[derive(Debug)]
pub(super) struct LaneQueues<J> {
    lanes: Vec<LaneState<J>>,
    /// Jobs that run at once, of all lanes.
    most: usize,
}

impl<J> LaneQueues<J> {
    pub(super) fn new(lanes: &'static [Lane], most: usize) -> Self {
        let empty = |lane| LaneState {
            lane,
            waiting: VecDeque::new(),
            running: 0,
        };
        Self {
            lanes: lanes.iter().map(empty).collect(),
            most,
        }
    }

    pub(super) fn push(&mut self, lane: usize, job: J) {
        self.lanes[lane].waiting.push_back(job);
    }

    /// Takes back the job that was pushed last.
    pub(super) fn take_back(&mut self, lane: usize) -> Option<J> {
        self.lanes[lane].waiting.pop_back()
    }

    /// The next job that may run, which counts as running. With `for_first` the caller is the last
    /// free thread, which only the first lane may use.
    pub(super) fn start_next(&mut self, for_first: bool) -> Option<(usize, J)> {
        let lanes = if for_first { 1 } else { self.lanes.len() };
        let next = (0..lanes).find(|&lane| self.startable(lane) > 0)?;
        let job = self.lanes[next].waiting.pop_front()?;
        self.lanes[next].running += 1;
        Some((next, job))
    }

    /// A job of that lane has ended.
    pub(super) fn finish(&mut self, lane: usize) {
        self.lanes[lane].running -= 1;
    }

    pub(super) fn running(&self) -> usize {
        self.lanes.iter().map(|lane| lane.running).sum()
    }

    /// Jobs that could start if there were threads for them.
    pub(super) fn all_startable(&self) -> usize {
        let lanes = 0..self.lanes.len();
        lanes.map(|lane| self.startable(lane)).sum()
    }

    /// Jobs of that lane that could start if there were threads for them.
    pub(super) fn startable(&self, lane: usize) -> usize {
        let others = self
            .lanes
            .iter()
            .enumerate()
            .filter(|&(one, _)| one != lane);
        let left_to_others: usize = others
            .map(|(_, other)| other.running.max(other.lane.kept))
            .sum();
        let LaneState {
            lane,
            waiting,
            running,
        } = &self.lanes[lane];
        let share = self.most.saturating_sub(left_to_others).min(lane.most);
        waiting.len().min(share.saturating_sub(*running))
    }

    /// Gives the memory of empty lanes back.
    pub(super) fn shrink(&mut self) {
        self.lanes
            .iter_mut()
            .for_each(|lane| lane.waiting.shrink_to_fit());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LANES: [Lane; 3] = [
        Lane { kept: 2, most: 10 },
        Lane { kept: 3, most: 10 },
        Lane { kept: 0, most: 4 },
    ];

    fn queues() -> LaneQueues<u32> {
        LaneQueues::new(&LANES, 10)
    }

    fn start(queues: &mut LaneQueues<u32>, lane: usize, jobs: u32) -> usize {
        (0..jobs).for_each(|job| queues.push(lane, job));
        let mut started = 0;
        while queues.start_next(false).is_some() {
            started += 1;
        }
        started
    }

    #[test]
    fn a_lane_leaves_what_is_kept_for_the_others() {
        let mut queues = queues();
        assert_eq!(start(&mut queues, 0, 20), 7);
        assert_eq!(start(&mut queues, 1, 20), 3);
        assert_eq!(queues.running(), 10);
    }

    #[test]
    fn what_others_use_beyond_their_share_is_not_left_to_them_twice() {
        let mut queues = queues();
        assert_eq!(start(&mut queues, 1, 4), 4);
        assert_eq!(start(&mut queues, 0, 20), 6);
    }

    #[test]
    fn a_lane_has_a_limit_of_its_own() {
        let mut queues = queues();
        assert_eq!(start(&mut queues, 2, 20), 4);
        assert_eq!(start(&mut queues, 1, 20), 4);
        assert_eq!(start(&mut queues, 0, 20), 2);
    }

    #[test]
    fn the_first_lane_is_served_first_and_each_in_its_order() {
        let mut queues = queues();
        queues.push(1, 1);
        queues.push(0, 2);
        queues.push(0, 3);
        assert_eq!(queues.start_next(false), Some((0, 2)));
        assert_eq!(queues.start_next(false), Some((0, 3)));
        assert_eq!(queues.start_next(true), None);
        assert_eq!(queues.start_next(false), Some((1, 1)));
    }

    #[test]
    fn an_ended_job_lets_one_more_start() {
        let mut queues = queues();
        assert_eq!(start(&mut queues, 0, 8), 7);
        queues.finish(0);
        assert_eq!(queues.all_startable(), 1);
        assert_eq!(queues.start_next(false), Some((0, 7)));
    }
}
