//! The size of what is shipped, stripped.

use std::fs;
use std::process::Command;

use anyhow::{ensure, Result};

use crate::case::Bench;
use crate::outcome::{Bar, Outcome};

/// See the module.
pub(crate) struct Size {
    /// Bytes.
    pub(crate) at_most: u64,
}

impl Size {
    pub(crate) fn run(&self, bench: &Bench, outcome: &mut Outcome) -> Result<()> {
        let (library, stripped) = (bench.workshop.library(), bench.workshop.file("stripped.so"));
        let mut strip = Command::new("strip");
        let Ok(status) = strip.arg("-o").arg(&stripped).arg(library).status() else {
            outcome.misses("strip", "binutils");
            return Ok(());
        };
        ensure!(status.success(), "strip: {status}");
        let size = fs::metadata(stripped)?.len();
        let bar = Bar::AtMost(self.at_most as f64);
        outcome.counts("libvconnpool.so", "bytes", size as f64, Some(bar));
        Ok(())
    }
}
