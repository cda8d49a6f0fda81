//! A build of the library from nothing, header generation left out, as `make` does it: how many
//! crates it compiles, and how long that takes.

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use crate::bench::Bench;
use crate::case::Measure;
use crate::report::{Bar, Report};

/// How many crates may be compiled beside the library's own.
pub(crate) struct Build {
    pub(crate) crates_at_most: u64,
}

impl Measure for Build {
    fn run(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        let target = bench.builder.file("build");
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        eprintln!("  building the library from nothing");
        let began = Instant::now();
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(bench.builder.root())
            .args([
                "rustc",
                "--release",
                "--lib",
                "--no-default-features",
                "--crate-type",
                "cdylib,staticlib",
            ])
            .args(["--message-format", "json-render-diagnostics", "--quiet"])
            .arg("--target-dir")
            .arg(&target);
        let output = cargo.stderr(Stdio::inherit()).output().context("cargo")?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(output.status.success(), "the library does not build");
        let crates = crates_of(&String::from_utf8(output.stdout)?);
        let bar = Some(Bar::AtMost(self.crates_at_most as f64));
        report.shows(
            "compiled beside the library's own",
            "crates",
            &[crates],
            bar,
        );
        report.shows("wall clock", "seconds", &[seconds], None);
        Ok(())
    }
}

/// Of cargo's messages: the packages that were compiled, but for the library itself.
fn crates_of(messages: &str) -> f64 {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let packages: HashSet<String> = messages.filter_map(|one| package_of(&one)).collect();
    packages.len().saturating_sub(1) as f64
}

fn package_of(message: &Value) -> Option<String> {
    let is_artifact = message.get("reason")? == "compiler-artifact";
    let package = message.get("package_id")?.as_str()?;
    is_artifact.then(|| package.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_once_though_its_script_is_compiled_too() {
        let artifact = |package| {
            format!("{{\"reason\":\"compiler-artifact\",\"package_id\":\"{package}\"}}\n")
        };
        let messages = ["libc", "libc", "library", "library"]
            .map(artifact)
            .concat();
        assert_eq!(crates_of(&messages), 1.0);
    }
}
