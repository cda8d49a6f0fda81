//! What one seed makes: servers, names, the pool's options, and how chance is dealt.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ffi::basics::enums::{VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH};
use crate::ffi::pool::options::{vcp_pool_options, vcp_pool_options_init};
use crate::world::network::{Event, Greeting, Name, Server};
use crate::world::random::Random;
use crate::world::time::MS;
use crate::world::{Chances, World};

const PORT: u16 = 80;

/// What kind of pool it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// No code of the program runs in it.
    Plain,
    Hooks,
    /// A driver opens its connections.
    Sessions,
}

#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) chances: Chances,
    pub(crate) servers: Vec<Server>,
    pub(crate) names: Vec<Name>,
    /// What goes down, when, and for how many milliseconds.
    pub(crate) outages: Vec<(usize, u32, u32)>,
    /// What programs dial.
    pub(crate) addresses: Vec<CString>,
    pub(crate) limits: Limits,
    pub(crate) style: Style,
    pub(crate) is_observed: bool,
    pub(crate) pools: u32,
    /// A thread may close, drain or abort a pool before the others are done.
    pub(crate) ends_early: bool,
    pub(crate) changes_limits: bool,
    pub(crate) threads: u32,
    pub(crate) operations: u32,
}

/// The pool's options that are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_conns: u32,
    pub(crate) max_conns_per_address: u32,
    pub(crate) max_idle_per_address: u32,
    pub(crate) max_dials_per_address: u32,
    pub(crate) wait_timeout_ms: i64,
    pub(crate) idle_timeout_ms: i64,
    pub(crate) min_idle_per_address: u32,
    pub(crate) max_uses: u32,
    pub(crate) max_lifetime_ms: i64,
    pub(crate) liveness: i32,
    pub(crate) dial_timeout_ms: i64,
    pub(crate) dns_cache_ms: i64,
    pub(crate) is_fifo: bool,
}

impl Limits {
    fn draw(random: &mut Random) -> Self {
        Self {
            max_conns: random.pick(&[0, 1, 1, 2, 2, 3]),
            max_conns_per_address: random.pick(&[0, 0, 0, 1, 2]),
            max_idle_per_address: random.pick(&[8, 8, 8, 1, 0]),
            max_dials_per_address: random.pick(&[0, 0, 0, 1, 2]),
            wait_timeout_ms: random.pick(&[-1, -1, 0, 5, 50, 500]),
            idle_timeout_ms: random.pick(&[90_000, 90_000, 20, 700, 2_000]),
            min_idle_per_address: random.pick(&[0, 0, 0, 0, 1, 2]),
            max_uses: random.pick(&[0, 0, 0, 1, 3]),
            max_lifetime_ms: random.pick(&[0, 0, 0, 50, 1_000]),
            liveness: random.pick(&[VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH]),
            dial_timeout_ms: random.pick(&[30_000, 3_000, 1_000, 300, 50]),
            dns_cache_ms: random.pick(&[0, 0, 100, 5_000]),
            is_fifo: random.one_in(4),
        }
    }

    /// As a program changes them while the pool works.
    pub(crate) fn change(&mut self, random: &mut Random) {
        let liveness = self.liveness;
        let dial_timeout_ms = self.dial_timeout_ms;
        *self = Self::draw(random);
        self.liveness = liveness;
        self.dial_timeout_ms = dial_timeout_ms;
    }

    pub(crate) fn options(&self) -> vcp_pool_options {
        let mut options = std::mem::MaybeUninit::<vcp_pool_options>::uninit();
        // SAFETY: as large as it is told; filled by the call.
        let mut options = unsafe {
            vcp_pool_options_init(options.as_mut_ptr(), size_of::<vcp_pool_options>());
            options.assume_init()
        };
        options.max_conns = self.max_conns;
        options.max_conns_per_address = self.max_conns_per_address;
        options.max_idle_per_address = self.max_idle_per_address;
        options.max_dials_per_address = self.max_dials_per_address;
        options.wait_timeout_ms = self.wait_timeout_ms;
        options.idle_timeout_ms = self.idle_timeout_ms;
        options.min_idle_per_address = self.min_idle_per_address.min(self.most_min_idle());
        options.max_uses = self.max_uses;
        options.max_lifetime_ms = self.max_lifetime_ms;
        options.liveness = self.liveness;
        options.dial_timeout_ms = self.dial_timeout_ms;
        options.dns_cache_ms = self.dns_cache_ms;
        options.reuse_order = i32::from(self.is_fifo);
        options
    }

    /// A pool refuses options that contradict each other.
    fn most_min_idle(&self) -> u32 {
        let limits = [self.max_conns, self.max_conns_per_address];
        let least = limits.into_iter().filter(|&limit| limit > 0).min();
        least.unwrap_or(u32::MAX).min(self.max_idle_per_address)
    }
}

fn address(number: u32) -> SocketAddr {
    let last = number as u16 + 1;
    let ip = if number % 2 == 0 {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8))
    } else {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last))
    };
    SocketAddr::new(ip, PORT)
}

fn draw_server(random: &mut Random, number: u32) -> Server {
    let after = |random: &mut Random| u64::from(random.pick(&[0u32, 0, 1, 1, 10, 50, 300])) * MS;
    let greeting = match random.up_to(20) {
        0..13 => Greeting::Accepts(after(random)),
        13 | 14 => Greeting::Accepts(1_500 * MS),
        15 | 16 => {
            let errno = random.pick(&[libc::ECONNREFUSED, libc::EHOSTUNREACH]);
            Greeting::Fails(after(random), errno)
        }
        17 => Greeting::Unreachable,
        _ => Greeting::Silent,
    };
    let echo_after = match random.up_to(10) {
        0 => None,
        1 => Some(500 * MS),
        _ => Some(u64::from(random.pick(&[0u32, 1, 1, 5, 20])) * MS),
    };
    Server {
        at: address(number),
        greeting,
        echo_after,
        mischief: random.pick(&[0, 2, 5]),
        mischief_within_ms: random.pick(&[5, 100, 3_000]),
        is_down: false,
    }
}

fn draw_name(random: &mut Random, host: &str, servers: &[Server]) -> Name {
    let takes = u64::from(random.pick(&[0u32, 0, 1, 20, 200, 2_000, 6_000])) * MS;
    let answer = if random.one_in(10) {
        Err(random.pick(&[libc::EAI_NONAME, libc::EAI_AGAIN, libc::EAI_FAIL]))
    } else {
        let many = random.between(1, 4);
        let mut found: Vec<SocketAddr> = Vec::new();
        for _ in 0..many {
            let ip = random.pick(servers).at.ip();
            found.push(SocketAddr::new(ip, 0));
        }
        let mut seen: Vec<SocketAddr> = Vec::new();
        found.retain(|one| {
            let is_new = !seen.contains(one);
            seen.push(*one);
            is_new
        });
        Ok(found)
    };
    Name {
        host: host.to_owned(),
        takes,
        answer,
    }
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        // Not the world's own beginning.
        let random = &mut Random::new(seed ^ 0x7069_616e);
        let servers: Vec<Server> = (0..random.between(1, 6))
            .map(|number| draw_server(random, number))
            .collect();
        let hosts = ["a.test", "b.test"];
        let mut names = Vec::new();
        for host in hosts {
            for _ in 0..random.between(1, 2) {
                names.push(draw_name(random, host, &servers));
            }
        }
        let mut outages = Vec::new();
        if random.one_in(4) {
            let server = random.up_to(servers.len() as u32) as usize;
            let at = random.pick(&[1, 30, 400]);
            outages.push((server, at, random.pick(&[1, 50, 1_000])));
        }
        let mut addresses = Vec::new();
        for _ in 0..random.between(1, 3) {
            let text = if random.one_in(2) {
                format!("{}:{PORT}", random.pick(&hosts))
            } else {
                random.pick(&servers).at.to_string()
            };
            addresses.push(CString::new(text).expect("no NUL"));
        }
        Self {
            chances: Chances {
                run_length: random.pick(&[1, 4, 16, 64]),
                slip: random.pick(&[0, 0, 50, 200]),
                fault: random.pick(&[0, 0, 0, 0, 10, 40]),
            },
            servers,
            names,
            outages,
            addresses,
            limits: Limits::draw(random),
            style: random.pick(&[
                Style::Plain,
                Style::Plain,
                Style::Plain,
                Style::Hooks,
                Style::Sessions,
            ]),
            is_observed: random.one_in(4),
            pools: random.pick(&[1, 1, 1, 2]),
            ends_early: random.one_in(5),
            changes_limits: random.one_in(2),
            threads: random.between(2, 6),
            operations: random.between(3, 12),
        }
    }

    /// Within so long a dial must succeed, because a server answers; `None`: that is not sure.
    pub(crate) fn succeeds_within(&self, address: &CString) -> Option<u64> {
        let limits = &self.limits;
        let is_limited = limits.max_conns + limits.max_conns_per_address > 0;
        let is_sure = self.chances.fault == 0
            && self.chances.slip == 0
            && self.outages.is_empty()
            && self.style == Style::Plain
            && !self.ends_early
            && !self.changes_limits
            && !is_limited
            && limits.max_dials_per_address == 0;
        if !is_sure {
            return None;
        }
        let text = address.to_str().ok()?;
        if let Ok(literal) = text.parse::<SocketAddr>() {
            return self.first_answer(&[literal]);
        }
        let host = text.split(':').next()?;
        let names = self.names.iter().filter(|name| name.host == host);
        let mut within = Some(0);
        for name in names {
            let found = name.answer.as_ref().ok()?;
            let first = self.first_answer(found)?;
            within = within.max(Some(name.takes + first));
        }
        within
    }

    /// RFC 8305: whatever the order, the last address is tried when the others have had 250 ms
    /// each, and IPv6 has had 50 ms to arrive.
    fn first_answer(&self, addresses: &[SocketAddr]) -> Option<u64> {
        let accepts = |at: &SocketAddr| {
            let mut servers = self.servers.iter();
            let server = servers.find(|server| server.at.ip() == at.ip())?;
            match server.greeting {
                Greeting::Accepts(after) => Some(after),
                _ => None,
            }
        };
        let fastest = addresses.iter().filter_map(accepts).min()?;
        let others = addresses.len() as u64 - 1;
        Some(fastest + 50 * MS + others * 250 * MS)
    }

    /// Where a program that dials by itself finds a literal address.
    pub(crate) fn server_of(&self, address: &CString) -> Option<SocketAddr> {
        address.to_str().ok()?.parse().ok()
    }

    /// Puts it into a world that begins.
    pub(crate) fn set_up(&self, world: &mut World) {
        world.network.servers = self.servers.clone();
        world.network.names = self.names.clone();
        for &(server, at, lasts) in &self.outages {
            let at = u64::from(at) * MS;
            world.after(at, Event::GoesDown(server));
            world.after(at + u64::from(lasts) * MS, Event::ComesUp(server));
        }
    }
}
