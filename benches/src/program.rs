//! What competes: C programs of `benches/c` and the Rust program of `benches/peers`, each in the variants that it knows.

use std::path::Path;

use anyhow::Result;

use crate::place::Place;
use crate::process::Process;

/// A C program: `c/<name>.c`, linked with `c/bench.c`; or that of `peers`.
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

/// A Debian package and the pkg-config modules that it brings.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) debian: &'static str,
    pub(crate) modules: &'static [&'static str],
}

/// One program in one variant. The label is its name in the tables, and its identity.
#[derive(Clone, Copy)]
pub(crate) struct Contestant {
    pub(crate) label: &'static str,
    pub(crate) program: Program,
    pub(crate) variant: &'static str,
}

impl Contestant {
    pub(crate) fn start(&self, program: &Path, place: Place, address: &str) -> Result<Process> {
        let mut command = place.command(program)?;
        command.args([address, self.variant]);
        Process::start(self.label, &mut command)
    }
}
