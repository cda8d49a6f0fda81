//! A contestant that runs, with a server of its own: what one of them has open is no descriptor less for another.

use std::process::Command;

use anyhow::Result;

use crate::case::Bench;
use crate::place::Place;
use crate::process::Process;
use crate::program::Contestant;
use crate::server::EchoServer;

/// See the module.
pub(crate) struct Entrant {
    process: Process,
    server: EchoServer,
}

impl Entrant {
    /// `command` is what runs the contestant's program there.
    pub(crate) fn start(
        bench: &Bench,
        contestant: &Contestant,
        place: Place,
        mut command: Command,
    ) -> Result<Self> {
        let server = EchoServer::start(bench, place)?;
        let amount = contestant.amount.number(bench).to_string();
        command.args([&server.address, contestant.variant, &amount]);
        let process = Process::start(contestant.label, &mut command)?;
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
