//! What the words on a runner's command line choose.

use libtest_mimic::Arguments;

use crate::sources::Test;

/// Options of libtest that a value of their own follows.
const WITH_VALUE: [&str; 5] = [
    "--skip",
    "--test-threads",
    "--color",
    "--format",
    "--logfile",
];

/// A word that is the whole name of a program or of a TEST chooses that alone, any other is part of
/// names; none chooses all.
pub(crate) struct Choice {
    words: Vec<Word>,
}

struct Word {
    text: String,
    is_whole: bool,
}

/// What of one program is to run.
pub(crate) enum Part {
    Whole,
    Tests(Vec<Test>),
}

/// The command line: the words that choose, and the options for libtest, which itself knows one
/// word only.
pub(crate) fn command_line() -> (Vec<String>, Arguments) {
    let mut words = Vec::new();
    let mut options = Vec::new();
    let mut is_value = true; // the program's own name
    for argument in std::env::args() {
        if is_value || argument.starts_with('-') {
            is_value = WITH_VALUE.contains(&argument.as_str());
            options.push(argument);
        } else {
            words.push(argument);
        }
    }
    (words, Arguments::from_iter(options))
}

impl Word {
    fn takes(&self, name: &str) -> bool {
        if self.is_whole {
            name == self.text
        } else {
            name.contains(&self.text)
        }
    }
}

impl Choice {
    /// `programs`: every program's name and its tests.
    pub(crate) fn new(words: Vec<String>, programs: &[(String, Vec<Test>)]) -> Choice {
        let is_name = |text: &str| {
            let mut names = programs.iter();
            names.any(|(name, tests)| name == text || tests.iter().any(|test| test.name == text))
        };
        let words = words.into_iter().map(|text| Word {
            is_whole: is_name(&text),
            text,
        });
        Choice {
            words: words.collect(),
        }
    }

    fn takes(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word.takes(name))
    }

    pub(crate) fn part_of(&self, name: &str, tests: &[Test]) -> Part {
        if self.takes(name) {
            return Part::Whole;
        }
        let chosen = tests.iter().filter(|test| self.takes(&test.name));
        Part::Tests(chosen.cloned().collect())
    }
}
