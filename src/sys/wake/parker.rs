//! Parks one thread until another one has something for it: on a futex, or in poll(2) when a token
//! must be able to end the sleep too.

use std::io;

use super::{CancelToken, Wake, Waker};
use crate::sync::atomic::{AtomicU32, Ordering::SeqCst};
use crate::sys::poll::{self, Interest};
use crate::sys::{clock, futex};
use crate::values::clock::Deadline;

/// Made by the thread that sleeps, shared with those that may wake it.
#[derive(Debug)]
pub(crate) struct Parker {
    /// 1 from a wake until the sleeper has seen it.
    is_woken: AtomicU32,
    /// With a token the sleeper sits in poll(2), and only descriptors wake it there.
    waker: Option<Waker>,
}

impl Parker {
    pub(crate) fn new(has_token: bool) -> Self {
        Self {
            is_woken: AtomicU32::new(0),
            waker: has_token.then(Waker::default),
        }
    }

    /// Sleeps until a wake, until `until` has passed or until the token fires, and at times returns
    /// for no reason. Fails with a token only, when there is no descriptor left.
    pub(crate) fn park(&self, until: Deadline, token: Option<&CancelToken>) -> io::Result<()> {
        match (&self.waker, token) {
            (Some(waker), Some(token)) => self.poll(waker, until, token),
            _ => {
                if self.is_woken.swap(0, SeqCst) == 0 {
                    futex::wait_until(&self.is_woken, 0, until);
                }
                Ok(())
            }
        }
    }

    fn poll(&self, waker: &Waker, until: Deadline, token: &CancelToken) -> io::Result<()> {
        let mut interests = [
            Interest::new(waker.arm()?, poll::READABLE),
            Interest::new(token.arm()?, poll::READABLE),
        ];
        if self.is_woken.swap(0, SeqCst) == 0
            && !token.has_fired()
            && !until.has_passed(clock::now())
        {
            poll::wait(&mut interests, until)?;
            waker.clear();
        }
        Ok(())
    }
}

impl Wake for Parker {
    fn wake(&self) {
        self.is_woken.store(1, SeqCst);
        match &self.waker {
            Some(waker) => waker.wake(),
            None => futex::wake_one(&self.is_woken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn a_wake_before_the_sleep_is_not_lost() {
        for has_token in [false, true] {
            let parker = Parker::new(has_token);
            let token = has_token.then(CancelToken::default);
            parker.wake();
            parker
                .park(Deadline::NEVER, token.as_ref())
                .expect("a sleep");
        }
    }

    #[test]
    fn a_wake_a_token_and_a_deadline_end_it() {
        for has_token in [false, true] {
            let parker = Arc::new(Parker::new(has_token));
            let token = Arc::new(CancelToken::default());
            let (waker, firing) = (parker.clone(), token.clone());
            let thread = std::thread::spawn(move || {
                waker.wake();
                if has_token {
                    firing.fire();
                }
            });
            let token = has_token.then_some(&*token);
            parker.park(Deadline::NEVER, token).expect("a sleep");
            thread.join().expect("the thread");
        }
        let before = Instant::now();
        let until = Deadline::at(clock::now().after(Duration::from_millis(20)));
        Parker::new(false).park(until, None).expect("a sleep");
        assert!(before.elapsed() >= Duration::from_millis(20));
    }
}
