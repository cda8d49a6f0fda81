//! One thread's sleep until another one has something for it: a futex, or a bell when a token must be able to end it too.

use std::io;

use super::bell::{Bell, Token};
use super::poll::{self, Interest};
use super::{clock, futex};
use crate::sync::atomic::{AtomicU32, Ordering::SeqCst};
use crate::values::clock::Deadline;

/// See the module. Made by the one who sleeps, shared with those who may wake it.
#[derive(Debug)]
pub(crate) struct Nap {
    /// 1 from a wake until the sleeper has seen it.
    is_woken: AtomicU32,
    /// With a token the sleeper sits in poll(2), and only descriptors wake it there.
    bell: Option<Bell>,
}

impl Nap {
    pub(crate) fn new(has_token: bool) -> Self {
        Self {
            is_woken: AtomicU32::new(0),
            bell: has_token.then(Bell::default),
        }
    }

    /// From any thread, after the change that the sleeper waits for.
    pub(crate) fn wake(&self) {
        self.is_woken.store(1, SeqCst);
        match &self.bell {
            Some(bell) => bell.ring(),
            None => futex::wake_one(&self.is_woken),
        }
    }

    /// Returns after a wake, when `until` has passed, when the token fires, and at times for no reason. Fails without a
    /// token never, with one when there is no descriptor left.
    pub(crate) fn sleep(&self, until: Deadline, token: Option<&Token>) -> io::Result<()> {
        match (&self.bell, token) {
            (Some(bell), Some(token)) => self.poll(bell, until, token),
            _ => {
                if self.is_woken.swap(0, SeqCst) == 0 {
                    futex::wait_until(&self.is_woken, 0, until);
                }
                Ok(())
            }
        }
    }

    fn poll(&self, bell: &Bell, until: Deadline, token: &Token) -> io::Result<()> {
        let mut interests = [
            Interest::new(bell.listen()?, poll::READABLE),
            Interest::new(token.listen()?, poll::READABLE),
        ];
        if self.is_woken.swap(0, SeqCst) == 0
            && !token.has_fired()
            && !until.has_passed(clock::now())
        {
            poll::wait(&mut interests, until)?;
            bell.hush();
        }
        Ok(())
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
            let nap = Nap::new(has_token);
            let token = has_token.then(Token::default);
            nap.wake();
            nap.sleep(Deadline::NEVER, token.as_ref()).expect("a sleep");
        }
    }

    #[test]
    fn a_wake_a_token_and_a_deadline_end_it() {
        for has_token in [false, true] {
            let nap = Arc::new(Nap::new(has_token));
            let token = Arc::new(Token::default());
            let (waker, firing) = (nap.clone(), token.clone());
            let thread = std::thread::spawn(move || {
                waker.wake();
                if has_token {
                    firing.fire();
                }
            });
            let token = has_token.then_some(&*token);
            nap.sleep(Deadline::NEVER, token).expect("a sleep");
            thread.join().expect("the thread");
        }
        let before = Instant::now();
        let until = Deadline::at(clock::now().after(Duration::from_millis(20)));
        Nap::new(false).sleep(until, None).expect("a sleep");
        assert!(before.elapsed() >= Duration::from_millis(20));
    }
}
