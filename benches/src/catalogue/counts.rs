//! The cases whose figures are counted, not timed: they repeat whatever else the machine does.

use crate::case::{Case, Measure};
use crate::catalogue::contestants::*;
use crate::instructions::{Count, Instructions};

pub(super) const INSTRUCTIONS: Case = Case {
    name: "G",
    title: "instructions per cycle, counted by callgrind",
    measure: Measure::Instructions(Instructions {
        counts: &[
            Count {
                contestant: &WATCH,
                at_most: Some(300.0),
            },
            Count {
                contestant: &STRICT,
                at_most: None,
            },
            Count {
                contestant: &RESLIST,
                at_most: None,
            },
        ],
    }),
};
