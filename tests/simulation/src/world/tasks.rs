//! Threads: which may run, which sleep on what and until when.
//!
//! shuttle runs them as coroutines and takes all of them for runnable. Which one runs next is
//! chosen here, among those that do not sleep; task 0 is the kernel, which runs when all sleep.

use std::time::Duration;

use super::random::Random;
use super::{trace, violated, with, World};

/// Of one history; a healthy one has some hundreds.
const MOST_SWITCHES: u64 = 300_000;

/// The kernel's own coroutine.
pub(crate) const KERNEL: usize = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    Ready,
    Asleep,
    Ended,
}

/// One sleep of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleep(usize, u64);

struct Local {
    key: usize,
    value: *mut u8,
    free: unsafe fn(*mut u8),
}

/// A function and its argument.
type ExitAction = (fn(*const ()), *const ());

pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) state: TaskState,
    /// When it wakes up by itself.
    pub(crate) until: Option<u64>,
    /// What it sleeps for.
    pub(crate) on: &'static str,
    /// How often it has gone to sleep.
    sleeps: u64,
    locals: Vec<Local>,
    /// What it does when it ends.
    exit_actions: Vec<ExitAction>,
    /// Its thread-locals are being dropped.
    is_ending: bool,
}

#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) all: Vec<Task>,
    ready: Vec<usize>,
    /// What wakes whom.
    sleepers: Vec<(u64, usize)>,
    pub(crate) current: usize,
    /// Chosen already.
    next: Option<usize>,
}

impl Tasks {
    /// Whom shuttle shall run.
    pub(crate) fn choose(&mut self, random: &mut Random) -> usize {
        let next = match self.next.take() {
            Some(next) => next,
            None => match self.ready.len() {
                0 => KERNEL,
                1 => self.ready[0],
                many => self.ready[random.up_to(many as u32) as usize],
            },
        };
        self.current = next;
        next
    }

    pub(crate) fn add(&mut self, name: &str) -> usize {
        let number = self.all.len();
        let state = if number == KERNEL {
            TaskState::Asleep
        } else {
            self.ready.push(number);
            TaskState::Ready
        };
        self.all.push(Task {
            name: name.to_owned(),
            state,
            until: None,
            on: "",
            sleeps: 0,
            locals: Vec::new(),
            exit_actions: Vec::new(),
            is_ending: false,
        });
        number
    }

    pub(crate) fn wake(&mut self, number: usize) {
        let task = &mut self.all[number];
        if task.state == TaskState::Asleep && number != KERNEL {
            task.state = TaskState::Ready;
            task.until = None;
            self.ready.push(number);
            self.sleepers.retain(|&(_, task)| task != number);
        }
    }

    /// The sleep in which it waits for that.
    pub(crate) fn sleep_of(&self, number: usize, on: &str) -> Option<Sleep> {
        let task = &self.all[number];
        let is_it = task.state == TaskState::Asleep && task.on == on;
        is_it.then_some(Sleep(number, task.sleeps))
    }

    pub(crate) fn goes_on(&self, Sleep(number, count): Sleep) -> bool {
        let task = &self.all[number];
        task.state == TaskState::Asleep && task.sleeps == count
    }

    pub(crate) fn is_ended(&self, number: usize) -> bool {
        self.all[number].state == TaskState::Ended
    }

    /// Every thread but the kernel has ended.
    pub(crate) fn have_all_ended(&self) -> bool {
        let mut others = self.all.iter().skip(KERNEL + 1);
        others.all(|task| task.state == TaskState::Ended)
    }

    pub(crate) fn name(&self) -> &str {
        &self.all[self.current].name
    }

    fn rest(&mut self, state: TaskState) {
        let current = self.current;
        self.all[current].state = state;
        self.ready.retain(|&one| one != current);
    }
}

impl World {
    /// Wakes so many of those that sleep on it, each as likely as any other.
    pub(crate) fn wake_on(&mut self, key: u64, most: usize) {
        for _ in 0..most {
            let all = &self.tasks.sleepers;
            let many = all.iter().filter(|sleeper| sleeper.0 == key).count();
            if many == 0 {
                return;
            }
            let chosen = self.random.up_to(many as u32) as usize;
            let mut on_it = all.iter().filter(|sleeper| sleeper.0 == key);
            let number = on_it.nth(chosen).expect("counted").1;
            self.tasks.wake(number);
        }
    }
}

/// Sleeps until one of the keys is woken, or until a time.
pub(crate) fn sleep_on(keys: &[u64], until: Option<u64>, on: &'static str) {
    let goes_on = with(|world| {
        if until.is_some_and(|until| until <= world.now) {
            return true;
        }
        let current = world.tasks.current;
        let task = &mut world.tasks.all[current];
        task.until = until;
        task.on = on;
        task.sleeps += 1;
        let sleeps = keys.iter().map(|&key| (key, current));
        world.tasks.sleepers.extend(sleeps);
        world.tasks.rest(TaskState::Asleep);
        false
    });
    if goes_on {
        switch();
    } else {
        pass_on();
    }
}

/// Lets the chosen one run; returns when this one is chosen again.
pub(crate) fn pass_on() {
    let goes_on = with(|world| {
        let before = world.tasks.current;
        let next = world.tasks.choose(&mut world.random);
        world.tasks.next = Some(next);
        world.tasks.current = before;
        next == before
    });
    if goes_on {
        with(|world| world.tasks.next = None);
    } else {
        // A switch to shuttle, and no more than that.
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// Another thread may run now.
pub(crate) fn switch() {
    with(|world| {
        world.switches += 1;
        if world.switches > MOST_SWITCHES {
            violated("a thread runs, and does not get on");
        }
        if world.random.one_in(world.chances.slip) {
            world.slip();
        }
    });
    pass_on();
}

/// Starts a simulated thread.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> usize {
    let number = with(|world| world.tasks.add(name));
    trace::line(|| format!("starts {name} (task {number})"));
    shuttle::thread::spawn(move || {
        body();
        run_exit_actions();
        drop_locals();
        with(|world| {
            world.tasks.rest(TaskState::Ended);
            world.wake_on(end_key(number), usize::MAX);
        });
    });
    number
}

fn end_key(number: usize) -> u64 {
    1 << 63 | number as u64
}

/// Returns when the thread has ended.
pub(crate) fn join(number: usize) {
    while !with(|world| world.tasks.is_ended(number)) {
        sleep_on(&[end_key(number)], None, "a thread's end");
    }
}

/// This thread's value of a thread-local.
pub(crate) fn local(key: usize) -> Option<*mut u8> {
    with(|world| {
        let task = &world.tasks.all[world.tasks.current];
        let mut locals = task.locals.iter();
        locals.find(|local| local.key == key).map(|one| one.value)
    })
}

/// Gives this thread a value; `None`, and the value is gone, at the thread's end.
pub(crate) fn add_local(key: usize, value: *mut u8, free: unsafe fn(*mut u8)) -> Option<*mut u8> {
    let is_ending = with(|world| {
        let task = &mut world.tasks.all[world.tasks.current];
        if !task.is_ending {
            task.locals.push(Local { key, value, free });
        }
        task.is_ending
    });
    if is_ending {
        // SAFETY: the value is of the type that `free` is of.
        unsafe { free(value) };
        return None;
    }
    Some(value)
}

/// Has `action` run with `argument` when this thread ends, before its thread-locals are dropped.
pub(crate) fn at_exit(action: fn(*const ()), argument: *const ()) {
    with(|world| {
        let current = world.tasks.current;
        let actions = &mut world.tasks.all[current].exit_actions;
        actions.push((action, argument));
    });
}

fn run_exit_actions() {
    loop {
        let last = with(|world| {
            let current = world.tasks.current;
            world.tasks.all[current].exit_actions.pop()
        });
        let Some((action, argument)) = last else {
            return;
        };
        action(argument);
    }
}

/// The last first: a cell that needs no drop comes before the dropper that empties it.
fn drop_locals() {
    loop {
        let last = with(|world| {
            let task = &mut world.tasks.all[world.tasks.current];
            let last = task.locals.last().map(|last| (last.value, last.free));
            task.is_ending = last.is_none();
            last
        });
        let Some((value, free)) = last else { return };
        // SAFETY: of the type that `free` is of; others of the thread are still there.
        unsafe { free(value) };
        with(|world| {
            let task = &mut world.tasks.all[world.tasks.current];
            task.locals.retain(|local| local.value != value);
        });
    }
}
