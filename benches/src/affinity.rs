//! On which CPUs subjects and the echo server run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// The CPUs of one case.
#[derive(Clone, Copy)]
pub(crate) enum Affinity {
    /// As the scheduler likes.
    AnyCpu,
    /// All on one: neither wake-ups across CPUs nor work that one hides behind another.
    OneCpu,
}

impl Affinity {
    /// What runs `program` there.
    pub(crate) fn command(self, program: &Path) -> Result<Command> {
        let Affinity::OneCpu = self else {
            return Ok(Command::new(program));
        };
        let mut command = Command::new("taskset");
        command.args(["-c", &last_cpu()?]).arg(program);
        Ok(command)
    }
}

/// The last one that this process may use: the first one serves more interrupts.
fn last_cpu() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines();
    let allowed = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let allowed = allowed.context("proc(5) lists Cpus_allowed_list")?;
    let last = allowed.trim().rsplit([',', '-']).next();
    Ok(last.unwrap_or("0").to_owned())
}
