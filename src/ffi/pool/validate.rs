//! A pool's options: what is refused, and what the rest means.

use std::time::Duration;

use super::options::{vcp_pool_options, DEFAULTS};
use crate::ffi::arguments::time::{timeout, timeout_or_off};
use crate::ffi::arguments::{sized_struct, text};
use crate::ffi::basics::enums::{liveness, reuse_order};
use crate::ffi::callback_adapter::{self, FreeUser, UserCallbacks};
use crate::pool::callbacks::Callbacks;
use crate::sys::names;
use crate::values::endpoint::{Endpoint, UnixName};
use crate::values::error::{Error, Result, Status};
use crate::values::options::{
    Adjustable, DialSettings, KeepAlive, Keeping, Limits, LocalAddress, Options, ReuseOrder,
};

fn boolean(number: i32, field: &str) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::invalid_argument(format!(
            "{field}: {number} is neither 0 nor 1"
        ))),
    }
}

fn limit(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

/// What the kernel takes in whole seconds, 1 to 32,767 (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL in
/// net/tcp.h).
fn keepalive_time(ms: i64, field: &str) -> Result<Duration> {
    const LONGEST_MS: i64 = 32_767_000;
    if !(1..=LONGEST_MS).contains(&ms) {
        return Err(Error::invalid_argument(format!(
            "{field}: {ms} is not in 1 to {LONGEST_MS}"
        )));
    }
    Ok(Duration::from_millis(ms as u64))
}

fn keepalive(options: &vcp_pool_options) -> Result<Option<KeepAlive>> {
    timeout(options.keepalive_interval_ms, "keepalive_interval_ms")?;
    if timeout(options.keepalive_idle_ms, "keepalive_idle_ms")?.is_none() {
        return Ok(None);
    }
    // MAX_TCP_KEEPCNT in net/tcp.h.
    const MOST_PROBES: u32 = 127;
    if !(1..=MOST_PROBES).contains(&options.keepalive_count) {
        return Err(Error::invalid_argument(format!(
            "keepalive_count: {} is not in 1 to {MOST_PROBES}",
            options.keepalive_count
        )));
    }
    Ok(Some(KeepAlive {
        idle: keepalive_time(options.keepalive_idle_ms, "keepalive_idle_ms")?,
        interval: keepalive_time(options.keepalive_interval_ms, "keepalive_interval_ms")?,
        count: options.keepalive_count,
    }))
}

/// A path if it has a slash or begins with '@'; else an ip with or without a port.
fn local_address(address: &str) -> Result<LocalAddress> {
    let bad = || {
        Error::invalid_argument(format!(
            "local_address: \"{address}\" is no ip, ip:port or unix path"
        ))
    };
    if address.starts_with('@') || address.contains('/') {
        let name = UnixName::parse(address).ok_or_else(bad)?;
        return Ok(LocalAddress {
            endpoint: Endpoint::Unix(name),
            has_port: false,
        });
    }
    if let Ok(socket) = address.parse() {
        return Ok(LocalAddress {
            endpoint: Endpoint::Inet(socket),
            has_port: true,
        });
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .unwrap_or(address);
    let (ip, zone) = bare.split_once('%').unwrap_or((bare, ""));
    let mut socket = std::net::SocketAddr::new(ip.parse().map_err(|_| bad())?, 0);
    if let (std::net::SocketAddr::V6(v6), false) = (&mut socket, zone.is_empty()) {
        v6.set_scope_id(names::interface_index(zone).ok_or_else(bad)?);
    }
    Ok(LocalAddress {
        endpoint: Endpoint::Inet(socket),
        has_port: false,
    })
}

fn user_callbacks(raw: &vcp_pool_options) -> UserCallbacks {
    UserCallbacks {
        user: raw.user,
        rewrite: raw.rewrite,
        resolve: raw.resolve,
        dial: raw.dial,
        control: raw.control,
        on_open: raw.on_open,
        on_reuse: raw.on_reuse,
        on_release: raw.on_release,
        on_event: raw.on_event,
        free_user: raw.free_user,
        open_session: raw.open_session,
        on_idle: raw.on_idle,
    }
}

/// Refuses what makes no sense where a driver dials by itself, and keeps its descriptor.
fn refuse_beside_sessions(raw: &vcp_pool_options) -> Result<()> {
    if raw.open_session.is_none() {
        return Ok(());
    }
    let is_set = [
        ("dial", raw.dial.is_some()),
        ("resolve", raw.resolve.is_some()),
        ("nonblocking", raw.nonblocking != 0),
        ("verify_release", raw.verify_release != 0),
    ];
    match is_set.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(Error::invalid_argument(format!(
            "{field}: not together with open_session"
        ))),
        None => Ok(()),
    }
}

/// 0: about every one; VCP_FOREVER: about none.
fn on_reuse_after(ms: i64) -> Result<Option<Duration>> {
    timeout(ms, "on_reuse_after_ms")
}

fn hook_timeout(ms: i64) -> Result<Option<Duration>> {
    if ms == 0 {
        return Err(Error::invalid_argument(
            "hook_timeout_ms: 0 would end every hook at once (VCP_FOREVER: no limit)",
        ));
    }
    timeout(ms, "hook_timeout_ms")
}

fn limits(raw: &vcp_pool_options) -> Limits {
    Limits {
        max_idle_per_address: raw.max_idle_per_address,
        max_idle: limit(raw.max_idle),
        max_conns: limit(raw.max_conns),
        max_conns_per_address: limit(raw.max_conns_per_address),
        max_dials_per_address: limit(raw.max_dials_per_address),
        max_waiters: limit(raw.max_waiters),
    }
}

fn keeping(raw: &vcp_pool_options, reuse_order: ReuseOrder) -> Result<Keeping> {
    if raw.lifetime_jitter_percent > 100 {
        return Err(Error::invalid_argument(format!(
            "lifetime_jitter_percent: {} is above 100",
            raw.lifetime_jitter_percent
        )));
    }
    Ok(Keeping {
        idle_timeout: timeout_or_off(raw.idle_timeout_ms, "idle_timeout_ms")?,
        max_lifetime: timeout_or_off(raw.max_lifetime_ms, "max_lifetime_ms")?,
        lifetime_jitter_percent: raw.lifetime_jitter_percent,
        max_uses: limit(raw.max_uses),
        min_idle_per_address: raw.min_idle_per_address,
        reuse_order,
    })
}

fn adjustable(raw: &vcp_pool_options, reuse_order: ReuseOrder) -> Result<Adjustable> {
    Ok(Adjustable {
        limits: limits(raw),
        keeping: keeping(raw, reuse_order)?,
        wait_timeout: timeout(raw.wait_timeout_ms, "wait_timeout_ms")?,
    })
}

/// Reads and validates what vcp_pool_set_limits takes; the other fields are not looked at.
///
/// # Safety
/// Not NULL, and a struct whose size field is right.
pub(crate) unsafe fn read_adjustable(
    options: *const vcp_pool_options,
    reuse_order: ReuseOrder,
) -> Result<Adjustable> {
    // SAFETY: the caller's promise.
    let raw = unsafe { sized_struct::read(options, DEFAULTS) }?;
    adjustable(&raw, reuse_order)
}

/// # Safety
/// The local address is NULL or NUL-terminated.
unsafe fn dial_settings(raw: &vcp_pool_options) -> Result<DialSettings> {
    // SAFETY: the caller's promise.
    let local =
        unsafe { text::optional(raw.local_address, "local_address", Status::InvalidArgument) }?;
    Ok(DialSettings {
        timeout: timeout_or_off(raw.dial_timeout_ms, "dial_timeout_ms")?,
        fallback_delay: timeout(raw.fallback_delay_ms, "fallback_delay_ms")?,
        keepalive: keepalive(raw)?,
        user_timeout: timeout_or_off(raw.user_timeout_ms, "user_timeout_ms")?,
        local_address: local.map(local_address).transpose()?,
        no_delay: boolean(raw.no_delay, "no_delay")?,
    })
}

/// # Safety
/// NULL, or a struct whose size field is right.
unsafe fn read_raw(options: *const vcp_pool_options) -> Result<vcp_pool_options> {
    if options.is_null() {
        return Ok(DEFAULTS);
    }
    // SAFETY: the caller's promise.
    unsafe { sized_struct::read(options, DEFAULTS) }
}

/// Reads and validates every field.
///
/// # Safety
/// `options` is NULL or points to a struct whose size field is right, with valid texts.
pub(crate) unsafe fn read(
    options: *const vcp_pool_options,
) -> Result<(Options, Callbacks, FreeUser)> {
    // SAFETY: the caller's promise.
    let raw = unsafe { read_raw(options) }?;
    refuse_beside_sessions(&raw)?;
    // SAFETY: the caller's promise.
    let name = unsafe { text::optional(raw.name, "name", Status::InvalidArgument) }?;
    let options = Options {
        adjustable: adjustable(&raw, reuse_order(raw.reuse_order)?)?,
        liveness: liveness(raw.liveness)?,
        verify_release: boolean(raw.verify_release, "verify_release")?,
        nonblocking: boolean(raw.nonblocking, "nonblocking")?,
        // SAFETY: the caller's promise.
        dial: unsafe { dial_settings(&raw) }?,
        dns_cache: timeout_or_off(raw.dns_cache_ms, "dns_cache_ms")?.unwrap_or_default(),
        fail_fast: timeout_or_off(raw.fail_fast_ms, "fail_fast_ms")?,
        leak_threshold: timeout_or_off(raw.leak_threshold_ms, "leak_threshold_ms")?,
        on_reuse_after: on_reuse_after(raw.on_reuse_after_ms)?,
        on_release_in_background: boolean(
            raw.on_release_in_background,
            "on_release_in_background",
        )?,
        on_idle_every: timeout_or_off(raw.on_idle_ms, "on_idle_ms")?,
        hook_timeout: hook_timeout(raw.hook_timeout_ms)?,
        name: name.unwrap_or_default().into(),
    };
    let (callbacks, free_user) = callback_adapter::adapt(user_callbacks(&raw));
    Ok((options, callbacks, free_user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(change: impl FnOnce(&mut vcp_pool_options)) -> Result<Options> {
        let mut options = DEFAULTS;
        change(&mut options);
        // SAFETY: a complete struct, with static texts.
        unsafe { read(&options) }.map(|(options, _, _)| options)
    }

    #[test]
    fn the_defaults_are_accepted_and_mean_what_the_header_says() {
        let options = reading(|_| {}).expect("defaults");
        assert_eq!(options.adjustable.limits.max_idle_per_address, 8);
        assert_eq!(options.adjustable.limits.max_conns, None);
        assert_eq!(
            options.adjustable.keeping.idle_timeout,
            Some(Duration::from_secs(90))
        );
        assert_eq!(options.adjustable.keeping.max_lifetime, None);
        assert_eq!(options.dial.timeout, Some(Duration::from_secs(30)));
        assert_eq!(options.adjustable.wait_timeout, Some(Duration::ZERO));
        assert_eq!(options.hook_timeout, Some(Duration::from_secs(5)));
        assert_eq!(
            options.dial.fallback_delay,
            Some(Duration::from_millis(250))
        );
        assert!(options.dial.no_delay && options.dial.keepalive.is_some());
        assert!(!options.nonblocking && !options.verify_release);
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        type Change = fn(&mut vcp_pool_options);
        let cases: [(&str, Change); 27] = [
            ("lifetime_jitter_percent", |o| {
                o.lifetime_jitter_percent = 101
            }),
            ("liveness", |o| o.liveness = 3),
            ("liveness", |o| o.liveness = -1),
            ("reuse_order", |o| o.reuse_order = 2),
            ("verify_release", |o| o.verify_release = 2),
            ("nonblocking", |o| o.nonblocking = -1),
            ("no_delay", |o| o.no_delay = 7),
            ("wait_timeout_ms", |o| o.wait_timeout_ms = -2),
            ("idle_timeout_ms", |o| o.idle_timeout_ms = -2),
            ("max_lifetime_ms", |o| o.max_lifetime_ms = i64::MIN),
            ("dial_timeout_ms", |o| o.dial_timeout_ms = -2),
            ("user_timeout_ms", |o| o.user_timeout_ms = -2),
            ("fallback_delay_ms", |o| o.fallback_delay_ms = -2),
            ("dns_cache_ms", |o| o.dns_cache_ms = -2),
            ("fail_fast_ms", |o| o.fail_fast_ms = -2),
            ("leak_threshold_ms", |o| o.leak_threshold_ms = -2),
            ("keepalive_idle_ms", |o| o.keepalive_idle_ms = -2),
            ("keepalive_interval_ms", |o| {
                o.keepalive_idle_ms = -1;
                o.keepalive_interval_ms = -2;
            }),
            ("hook_timeout_ms", |o| o.hook_timeout_ms = 0),
            ("hook_timeout_ms", |o| o.hook_timeout_ms = -2),
            ("on_reuse_after_ms", |o| o.on_reuse_after_ms = -2),
            ("on_release_in_background", |o| {
                o.on_release_in_background = 2
            }),
            ("on_idle_ms", |o| o.on_idle_ms = -2),
            ("keepalive_count", |o| o.keepalive_count = 128),
            ("keepalive_idle_ms", |o| o.keepalive_idle_ms = 32_767_001),
            ("keepalive_interval_ms", |o| o.keepalive_interval_ms = 0),
            ("local_address", |o| o.local_address = c"localhost".as_ptr()),
        ];
        for (field, change) in cases {
            let error = reading(change).expect_err(field);
            assert_eq!(error.status, Status::InvalidArgument);
            assert!(error.message.contains(field), "{}", error.message);
        }
    }

    #[test]
    fn local_addresses_have_three_forms() {
        for (text, has_port) in [
            ("10.0.0.1", false),
            ("::1", false),
            ("[::1]", false),
            ("10.0.0.1:80", true),
            ("[::1]:80", true),
        ] {
            let local = local_address(text).expect(text);
            assert_eq!(local.has_port, has_port, "{text}");
            assert!(matches!(local.endpoint, Endpoint::Inet(_)));
        }
        for text in ["/tmp/a", "./a", "@a"] {
            assert!(matches!(
                local_address(text).expect(text).endpoint,
                Endpoint::Unix(_)
            ));
        }
        assert!(local_address("fe80::1%lo").is_ok());
        for text in ["", "name", "1.2.3.4:http", "fe80::1%nowhere"] {
            assert!(local_address(text).is_err(), "{text}");
        }
    }
}
