//! The program's callbacks as the lower layers call them: with C's texts and handles, and their
//! answers as errors.

use std::ffi::{c_char, c_void};
use std::os::fd::RawFd;

use super::arguments::text::{self, c_text};
use super::callback_types::{
    vcp_conn_hook_fn, vcp_control_fn, vcp_dial_fn, vcp_event, vcp_event_fn, vcp_free_fn,
    vcp_resolve_fn, vcp_rewrite_fn, vcp_session_fn,
};
use super::callbacks::{refused, run_callback, run_on_event};
use super::handles::{vcp_conn, vcp_resolved, ResolvedHandle};
use super::session;
use crate::dial::callbacks::{AddressSink, DialCallbacks, Session, SessionRequest};
use crate::handle::Kept;
use crate::pool::callbacks::{Callbacks, Hook, Hooks, Observer};
use crate::pool::runtime::run_where_it_may;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::Release;
use crate::sync::Arc;
use crate::sys::foreign::{ProgramFd, UserData};
use crate::sys::fork;
use crate::values::address::LONGEST_TEXT;
use crate::values::destination::Destination;
use crate::values::error::{one_line, Error, Result, Status};
use crate::values::event::Event;

/// The callbacks that a pool was made with, and the pointer that they are given.
#[derive(Clone, Copy)]
pub(crate) struct UserCallbacks {
    pub(crate) user: *mut c_void,
    pub(crate) rewrite: vcp_rewrite_fn,
    pub(crate) resolve: vcp_resolve_fn,
    pub(crate) dial: vcp_dial_fn,
    pub(crate) control: vcp_control_fn,
    pub(crate) on_open: vcp_conn_hook_fn,
    pub(crate) on_reuse: vcp_conn_hook_fn,
    pub(crate) on_release: vcp_conn_hook_fn,
    pub(crate) on_event: vcp_event_fn,
    pub(crate) free_user: vcp_free_fn,
    pub(crate) open_session: vcp_session_fn,
    pub(crate) on_idle: vcp_conn_hook_fn,
}

/// `UserCallbacks` as the traits that the lower layers call.
struct CallbackAdapter {
    c: UserCallbacks,
    /// The pool exists, so that `user` is to be freed after its last callback.
    is_in_use: AtomicBool,
    /// The process that it belongs to (`sys::fork`).
    epoch: u32,
}

impl Drop for CallbackAdapter {
    fn drop(&mut self) {
        if self.c.user.is_null() || !*self.is_in_use.get_mut() {
            return;
        }
        // A callback has forked, and this is the child: its parent frees it.
        if self.epoch != fork::epoch() {
            return;
        }
        if let Some(free_user) = self.c.free_user {
            let user = UserData::new(self.c.user, Some(free_user));
            run_where_it_may(Box::new(move || user.free()));
        }
    }
}

// SAFETY: the header tells the program on which threads its callbacks run; `user` is only passed on
// to them.
unsafe impl Send for CallbackAdapter {}
// SAFETY: as above.
unsafe impl Sync for CallbackAdapter {}

impl std::fmt::Debug for CallbackAdapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackAdapter").finish_non_exhaustive()
    }
}

/// Frees `user` when the pool's last callback has returned, once it is armed.
#[derive(Debug)]
pub(crate) struct FreeUser(Arc<CallbackAdapter>);

impl FreeUser {
    /// The pool has been made, so `user` is freed at the pool's end. (Where vcp_pool_new fails it
    /// stays the program's.)
    pub(crate) fn arm(self) {
        self.0.is_in_use.store(true, Release);
    }
}

/// The traits of the lower layers for those callbacks that are set.
pub(crate) fn adapt(c: UserCallbacks) -> (Callbacks, FreeUser) {
    let adapter = Arc::new(CallbackAdapter {
        c,
        is_in_use: AtomicBool::new(false),
        epoch: fork::epoch(),
    });
    let hooks = [c.on_open, c.on_reuse, c.on_release, c.on_idle];
    let has_hooks = hooks.iter().any(Option::is_some);
    let has_dial = c.rewrite.is_some()
        || c.resolve.is_some()
        || c.dial.is_some()
        || c.open_session.is_some()
        || c.control.is_some();
    let callbacks = Callbacks {
        dial: has_dial.then(|| -> Arc<dyn DialCallbacks> { adapter.clone() }),
        observer: c.on_event.map(|_| -> Arc<dyn Observer> { adapter.clone() }),
        hooks: has_hooks.then(|| -> Arc<dyn Hooks> { adapter.clone() }),
        user: Some(adapter.clone()),
    };
    (callbacks, FreeUser(adapter))
}

impl CallbackAdapter {
    fn hook(&self, hook: Hook) -> vcp_conn_hook_fn {
        match hook {
            Hook::Open => self.c.on_open,
            Hook::Reuse => self.c.on_reuse,
            Hook::Release => self.c.on_release,
            Hook::Idle => self.c.on_idle,
        }
    }
}

impl Hooks for CallbackAdapter {
    fn has(&self, hook: Hook) -> bool {
        self.hook(hook).is_some()
    }

    fn call(&self, which: Hook, conn: usize, fd: RawFd) -> Result<()> {
        let Some(hook) = self.hook(which) else {
            return Ok(());
        };
        let answer = run_callback(|| {
            // SAFETY: a handle that is live until the hook returns, and its descriptor.
            unsafe { hook(self.c.user, conn as *mut vcp_conn, fd) }
        });
        if answer.0 == 0 {
            return Ok(());
        }
        let name = match which {
            Hook::Open => "on_open",
            Hook::Reuse => "on_reuse",
            Hook::Release => "on_release",
            Hook::Idle => "on_idle",
        };
        Err(refused(name, answer))
    }
}

impl Observer for CallbackAdapter {
    fn on_event(&self, event: &Event<'_>) {
        let Some(on_event) = self.c.on_event else {
            return;
        };
        let Destination { address, tag, .. } = event.destination;
        let has_port = address.network.has_port();
        let remote = event.remote.map(|remote| remote.text(has_port));
        let network = c_text(&address.network.to_string());
        let text = c_text(&address.text);
        let label = c_text(event.label);
        let reuse_tag = c_text(tag);
        let remote_address = c_text(&remote.unwrap_or_default());
        let message = event.error.map_or(event.remark, |error| &error.message);
        let message = c_text(&one_line(message));
        let record = vcp_event {
            size: size_of::<vcp_event>(),
            kind: event.kind as i32,
            reason: event.reason as i32,
            status: event.error.map_or(0, |error| error.status as i32),
            network: network.as_ptr(),
            address: text.as_ptr(),
            label: label.as_ptr(),
            fd: event.fd.unwrap_or(-1),
            duration_us: i64::try_from(event.duration.as_micros()).unwrap_or(i64::MAX),
            reuse_tag: reuse_tag.as_ptr(),
            remote_address: remote_address.as_ptr(),
            message: message.as_ptr(),
        };
        let before = fork::epoch();
        // SAFETY: texts that end in NUL, all valid until it returns.
        run_on_event(|| unsafe { on_event(self.c.user, &record) });
        // It may have forked: then what goes on in the child sees that what it holds is inherited.
        fork::enter_if_forked(before);
    }
}

impl DialCallbacks for CallbackAdapter {
    fn rewrite(&self, network: &str, address: &str) -> Result<Option<String>> {
        let Some(rewrite) = self.c.rewrite else {
            return Ok(None);
        };
        let (network, address) = (c_text(network), c_text(address));
        let mut out = [0 as c_char; LONGEST_TEXT + 1];
        let answer = run_callback(|| {
            // SAFETY: texts that end in NUL, and a buffer of the size that is told.
            unsafe {
                rewrite(
                    self.c.user,
                    network.as_ptr(),
                    address.as_ptr(),
                    out.as_mut_ptr(),
                    out.len(),
                )
            }
        });
        if answer.0 != 0 {
            return Err(refused("rewrite", answer));
        }
        // The last byte stays 0 whatever the callback wrote before it: nothing is read beyond the
        // buffer.
        out[LONGEST_TEXT] = 0;
        // SAFETY: terminated.
        let text = unsafe {
            text::required(
                out.as_ptr(),
                "what the rewrite callback wrote",
                Status::InvalidAddress,
            )
        }?;
        Ok(Some(text.to_owned()))
    }

    fn has_resolve(&self) -> bool {
        self.c.resolve.is_some()
    }

    fn runs_first(&self) -> bool {
        self.c.rewrite.is_some() || self.c.dial.is_some() || self.c.open_session.is_some()
    }

    fn has_control(&self) -> bool {
        self.c.control.is_some()
    }

    fn has_dial(&self) -> bool {
        self.c.dial.is_some()
    }

    fn has_open_session(&self) -> bool {
        self.c.open_session.is_some()
    }

    fn resolve(
        &self,
        network: &str,
        host: &str,
        timeout_ms: i64,
        found: Arc<dyn AddressSink>,
    ) -> Result<()> {
        let Some(resolve) = self.c.resolve else {
            return Ok(());
        };
        let (network, host) = (c_text(network), c_text(host));
        let owned = ResolvedHandle::table()
            .insert(ResolvedHandle(found))
            .map_err(|_| Error::no_memory())?;
        let handle = owned.lend();
        let answer = run_callback(|| {
            // SAFETY: texts that end in NUL, and a handle that is live until the callback returns.
            unsafe {
                resolve(
                    self.c.user,
                    network.as_ptr(),
                    host.as_ptr(),
                    timeout_ms,
                    handle as *mut vcp_resolved,
                )
            }
        });
        drop(ResolvedHandle::table().take_back(handle, |_| {}));
        if answer.0 == 0 {
            Ok(())
        } else {
            Err(refused("resolve", answer))
        }
    }

    fn dial(&self, network: &str, address: &str, timeout_ms: i64) -> Result<Option<ProgramFd>> {
        let Some(dial) = self.c.dial else {
            return Ok(None);
        };
        let (network, address) = (c_text(network), c_text(address));
        let answer = run_callback(|| {
            // SAFETY: texts that end in NUL.
            unsafe { dial(self.c.user, network.as_ptr(), address.as_ptr(), timeout_ms) }
        });
        if answer.0 >= 0 {
            // SAFETY: the header: the pool owns what the callback returns.
            Ok(Some(unsafe { ProgramFd::new(answer.0) }))
        } else {
            Err(refused("dial", answer))
        }
    }

    fn open_session(&self, asked: SessionRequest<'_>) -> Result<Option<Session>> {
        let Some(open_session) = self.c.open_session else {
            return Ok(None);
        };
        session::open(self.c.user, open_session, asked).map(Some)
    }

    fn control(&self, network: &str, address: &str, fd: RawFd) -> Result<()> {
        let Some(control) = self.c.control else {
            return Ok(());
        };
        let (network, address) = (c_text(network), c_text(address));
        let answer = run_callback(|| {
            // SAFETY: texts that end in NUL, and an open descriptor.
            unsafe { control(self.c.user, network.as_ptr(), address.as_ptr(), fd) }
        });
        if answer.0 == 0 {
            Ok(())
        } else {
            Err(refused("control", answer))
        }
    }
}
