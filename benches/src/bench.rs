//! What every case runs with: the builder of programs, the limits of this machine, and whether a
//! quick look is enough.

use std::path::PathBuf;

use anyhow::Result;

use crate::builder::{Builder, Built};
use crate::report::Report;
use crate::subject::{Library, Subject};

/// The parts of one invocation that cases share.
pub(crate) struct Bench {
    pub(crate) builder: Builder,
    /// The most descriptors that a process may have open.
    pub(crate) descriptors: u64,
    /// Fewer rounds; times are not judged.
    pub(crate) is_quick: bool,
}

impl Bench {
    /// The subject's program; `None` if what it needs is missing, which the report then tells.
    pub(crate) fn program_of(
        &self,
        subject: &Subject,
        report: &mut Report,
    ) -> Result<Option<PathBuf>> {
        Ok(match self.builder.build(&subject.program)? {
            Built::Ready(program) => Some(program),
            Built::Missing(package) => {
                report.misses(subject.label, package);
                None
            }
        })
    }

    /// The subjects, each of ours followed by its twin over the baseline library if there is one
    /// (`--against`).
    pub(crate) fn with_twins(&self, subjects: &[Subject]) -> Vec<Subject> {
        let twins = |subject: &Subject| [Some(*subject), self.twin_of(subject)];
        subjects.iter().flat_map(twins).flatten().collect()
    }

    /// The subject over the baseline library; `None` if there is none, or if the subject does not
    /// use the library, or uses what the baseline lacks.
    pub(crate) fn twin_of(&self, subject: &Subject) -> Option<Subject> {
        let has_twin = subject.is_ours() && !subject.is_new && self.builder.has_baseline();
        has_twin.then(|| subject.over(Library::Baseline))
    }
}
