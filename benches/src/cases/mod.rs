//! All cases and their bars. A case is one entry of `times::CASES` or `counts::CASES`.

mod counts;
mod subjects;
mod times;

use crate::case::Case;

/// By name, which is the order in which they are run.
pub(crate) fn all() -> Vec<&'static Case> {
    let mut cases: Vec<&Case> = times::CASES.iter().chain(counts::CASES).collect();
    cases.sort_by_key(|case| case.name);
    cases
}
