//! Which of the defects in the library's source this run has, so that one build serves for all.

use std::sync::OnceLock;

static PLANTED: OnceLock<String> = OnceLock::new();

/// From now on the library has that defect.
pub(crate) fn plant(defect: String) {
    PLANTED.set(defect).expect("one defect at a time");
}

pub(crate) fn is_planted(defect: &str) -> bool {
    PLANTED.get().is_some_and(|planted| planted == defect)
}
