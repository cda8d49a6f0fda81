//! What the word on a runner's command line chooses.

use crate::sources::Test;

/// The whole name of a program or of a TEST chooses that alone; anything else is part of names; nothing chooses all.
pub(crate) struct Choice {
    word: String,
    is_whole: bool,
}

/// What of one program is to run.
pub(crate) enum Part {
    Whole,
    Tests(Vec<Test>),
}

impl Choice {
    /// `programs`: every program's name and its tests.
    pub(crate) fn new(filter: Option<String>, programs: &[(String, Vec<Test>)]) -> Choice {
        let word = filter.unwrap_or_default();
        let is_whole = programs
            .iter()
            .any(|(name, tests)| *name == word || tests.iter().any(|test| test.name == word));
        Choice { word, is_whole }
    }

    fn takes(&self, name: &str) -> bool {
        if self.is_whole {
            name == self.word
        } else {
            name.contains(&self.word)
        }
    }

    pub(crate) fn part_of(&self, name: &str, tests: &[Test]) -> Part {
        if self.takes(name) {
            return Part::Whole;
        }
        let chosen = tests.iter().filter(|test| self.takes(&test.name));
        Part::Tests(chosen.cloned().collect())
    }
}
