//! A subject that runs, with a server of its own: what one of them has open is no descriptor less for another.

use std::process::Command;

use anyhow::Result;

use crate::affinity::Affinity;
use crate::case::Bench;
use crate::process::Process;
use crate::server::EchoServer;
use crate::subject::Subject;

/// See the module.
pub(crate) struct Runner {
    process: Process,
    server: EchoServer,
}

impl Runner {
    /// `command` is what runs the subject's program there.
    pub(crate) fn start(
        bench: &Bench,
        subject: &Subject,
        affinity: Affinity,
        mut command: Command,
    ) -> Result<Self> {
        let server = EchoServer::start(bench, affinity)?;
        let amount = subject.amount.number(bench).to_string();
        command.args([&server.address, subject.variant, &amount]);
        let process = Process::start(subject.label, &mut command)?;
        Ok(Self { process, server })
    }

    /// See [`Process::run`].
    pub(crate) fn run(&mut self, cycles: u64) -> Result<u64> {
        self.process.run(cycles)
    }

    /// See [`Process::ask`].
    pub(crate) fn ask<const N: usize>(&mut self, amount: u64) -> Result<[u64; N]> {
        self.process.ask(amount)
    }

    /// See [`Process::ask_all`].
    pub(crate) fn ask_all(&mut self, amount: u64) -> Result<Vec<u64>> {
        self.process.ask_all(amount)
    }

    pub(crate) fn end(self) -> Result<()> {
        self.process.end()?;
        self.server.end()
    }
}
