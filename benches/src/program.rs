//! What competes: C programs of `benches/c`, each in the variants that it knows.

/// A C program: `c/<name>.c`, linked with `c/bench.c`.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
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
