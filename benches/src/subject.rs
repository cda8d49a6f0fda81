//! What competes: C and C++ programs of `benches/c` and the Rust program of `benches/peers`, each in the variants that it knows.

use crate::case::Bench;

/// A program: `c/<name>.c` or `.cpp`, linked with `c/bench.c`; or that of `peers`.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Further sources of it.
    pub(crate) with: &'static [&'static str],
    pub(crate) over: Over,
}

/// What a program is linked against.
#[derive(Clone, Copy)]
pub(crate) enum Over {
    /// The C library alone.
    Nothing,
    /// The shipped library, and `c/pool.c`.
    Libvconnpool,
    /// A peer that may not be installed.
    Package(Package),
    /// Whatever cargo fetches for `peers`.
    Crates,
}

/// A Debian package, and how it is found.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) debian: &'static str,
    pub(crate) found: Found,
}

/// How a package is found, and linked.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// By the pkg-config modules that it brings.
    ByPkgConfig(&'static [&'static str]),
    /// By a C++ header; then these are its libraries.
    ByHeader(&'static str, &'static [&'static str]),
}

/// One program in one variant. The label is its name in the tables, and its identity.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) label: &'static str,
    pub(crate) program: Program,
    pub(crate) variant: &'static str,
    pub(crate) amount: Amount,
}

/// Of connections or destinations, in programs that ask for it.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    Of(u32),
    /// As many as there are descriptors for.
    Descriptors,
}

/// Descriptors that are left for whatever else a subject or its server has open.
const SPARE: u64 = 100;
/// So many destinations can be told apart (`c/destinations.h`).
const MOST: u64 = 1 << 16;

impl Amount {
    pub(crate) fn number(self, bench: &Bench) -> u64 {
        match self {
            Amount::Of(number) => number.into(),
            Amount::Descriptors => bench.descriptors.saturating_sub(SPARE).clamp(1, MOST),
        }
    }
}

impl Subject {
    /// The label, with the amount where that is not a matter of course.
    pub(crate) fn title(&self, bench: &Bench) -> String {
        match self.amount {
            Amount::Of(_) => self.label.to_owned(),
            Amount::Descriptors => format!("{}: {}", self.label, self.amount.number(bench)),
        }
    }
}
