//! The other end of every connection, in a process of its own.

use anyhow::Result;

use crate::case::Bench;
use crate::place::Place;
use crate::process::Process;
use crate::program::{Over, Program};
use crate::workshop::Built;

const PROGRAM: Program = Program {
    name: "echo_server",
    with: &[],
    over: Over::Nothing,
};

/// See the module.
pub(crate) struct EchoServer {
    process: Process,
    pub(crate) address: String,
}

impl EchoServer {
    pub(crate) fn start(bench: &Bench, place: Place) -> Result<Self> {
        let Built::Ready(program) = bench.workshop.build(&PROGRAM)? else {
            unreachable!("it needs no package");
        };
        let mut process = Process::start(PROGRAM.name, &mut place.command(&program)?)?;
        let address = process.hear()?;
        Ok(Self { process, address })
    }

    pub(crate) fn end(self) -> Result<()> {
        self.process.end()
    }
}
