//! The size of what is shipped, stripped.

use std::fs;
use std::process::Command;

use anyhow::{ensure, Result};

use crate::case::Bench;
use crate::report::{Bar, Report};

/// See the module.
pub(crate) struct Size {
    /// Bytes.
    pub(crate) at_most: u64,
}

impl Size {
    pub(crate) fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let (library, stripped) = (bench.builder.library(), bench.builder.file("stripped.so"));
        let mut strip = Command::new("strip");
        let Ok(status) = strip.arg("-o").arg(&stripped).arg(library).status() else {
            report.misses("strip", "binutils");
            return Ok(());
        };
        ensure!(status.success(), "strip: {status}");
        let size = fs::metadata(stripped)?.len();
        let bar = Bar::AtMost(self.at_most as f64);
        report.counts("libvconnpool.so", "bytes", size as f64, Some(bar));
        Ok(())
    }
}
