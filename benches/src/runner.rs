//! A subject that runs, with a server of its own: what one of them has open is no descriptor less
//! for another.

use std::process::Command;

use anyhow::Result;

use crate::affinity::Affinity;
use crate::bench::Bench;
use crate::process::Process;
use crate::server::EchoServer;
use crate::subject::{Library, Subject};

/// A running program that answers "run N" (`c/bench.h`).
pub(crate) struct Runner {
    process: Process,
    server: EchoServer,
}

impl Runner {
    /// Starts the subject by `command`, to which its arguments are added.
    pub(crate) fn start(
        bench: &Bench,
        subject: &Subject,
        affinity: Affinity,
        mut command: Command,
    ) -> Result<Self> {
        let server = EchoServer::start(bench, affinity)?;
        let amount = subject.amount.number(bench.descriptors).to_string();
        command.args([&server.address, subject.variant, &amount]);
        if let (Library::Baseline, Some(baseline)) = (subject.library, bench.builder.baseline()) {
            command.env("LD_LIBRARY_PATH", baseline);
        }
        let process = Process::start(subject.label, &mut command)?;
        Ok(Self { process, server })
    }

    /// Lets it run so many cycles; returns the nanoseconds that they took.
    pub(crate) fn run(&mut self, cycles: u64) -> Result<u64> {
        let [took] = self.ask(cycles)?;
        Ok(took)
    }

    /// Lets it run, and returns the numbers that it answers, as many as are expected.
    pub(crate) fn ask<const N: usize>(&mut self, amount: u64) -> Result<[u64; N]> {
        self.process.ask(amount)
    }

    /// Lets it run, and returns all numbers that it answers.
    pub(crate) fn ask_all(&mut self, amount: u64) -> Result<Vec<u64>> {
        self.process.ask_all(amount)
    }

    pub(crate) fn end(self) -> Result<()> {
        self.process.end()?;
        self.server.end()
    }
}
