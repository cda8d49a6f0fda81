//! What is measured: the C and C++ programs of `benches/c` and the Rust program of `benches/peers`,
//! each in the variants that it knows.

/// A program: `c/<name>.c` or `.cpp` with the sources of the headers that it includes; or that of
/// `peers`.
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
    /// The shipped library.
    Libvconnpool,
    /// A peer that may not be installed.
    Package(Package),
    /// Crates that cargo fetches for `peers`.
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

/// One program in one variant. The label and the library are its identity; the label stands in the
/// tables.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) label: &'static str,
    pub(crate) program: Program,
    pub(crate) variant: &'static str,
    pub(crate) amount: Amount,
    pub(crate) library: Library,
    /// It uses what older libraries lack, so it has no twin over the baseline.
    pub(crate) is_new: bool,
}

/// Which build of libvconnpool a program of ours loads.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Library {
    /// That of this tree.
    Tested,
    /// That of `--against`.
    Baseline,
}

/// How many connections or destinations a program is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    Of(u32),
    /// As many as there are descriptors for.
    Descriptors,
}

/// Descriptors that are left for whatever else a subject or its server has open.
const SPARE: u64 = 100;
/// The most destinations that can be told apart (`c/destinations.h`).
const MOST: u64 = 1 << 16;

impl Amount {
    /// The number, where a process may have so many descriptors open.
    pub(crate) fn number(self, descriptors: u64) -> u64 {
        match self {
            Amount::Of(number) => number.into(),
            Amount::Descriptors => descriptors.saturating_sub(SPARE).clamp(1, MOST),
        }
    }
}

impl Subject {
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.program.over, Over::Libvconnpool)
    }

    pub(crate) fn is(&self, other: &Subject) -> bool {
        self.label == other.label && self.library == other.library
    }

    pub(crate) const fn over(self, library: Library) -> Self {
        Self { library, ..self }
    }

    pub(crate) const fn new_here(self) -> Self {
        Self {
            is_new: true,
            ..self
        }
    }

    /// The label, with the amount where the machine chose it, and the library where it is not this
    /// tree's.
    pub(crate) fn title(&self, descriptors: u64) -> String {
        let amount = match self.amount {
            Amount::Of(_) => String::new(),
            Amount::Descriptors => format!(": {}", self.amount.number(descriptors)),
        };
        let library = match self.library {
            Library::Tested => "",
            Library::Baseline => ", baseline",
        };
        format!("{}{amount}{library}", self.label)
    }
}
