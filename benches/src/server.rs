//! The other end of every connection, in a process of its own.

use anyhow::Result;

use crate::affinity::Affinity;
use crate::bench::Bench;
use crate::builder::Built;
use crate::process::Process;
use crate::subject::{Over, Program};

const PROGRAM: Program = Program {
    name: "echo_server",
    over: Over::Nothing,
};

/// An echo server that ends with this value.
pub(crate) struct EchoServer {
    process: Process,
    pub(crate) address: String,
}

impl EchoServer {
    pub(crate) fn start(bench: &Bench, affinity: Affinity) -> Result<Self> {
        let Built::Ready(program) = bench.builder.build(&PROGRAM)? else {
            unreachable!("it needs no package");
        };
        let mut process = Process::start(PROGRAM.name, &mut affinity.command(&program)?)?;
        let address = process.hear()?;
        Ok(Self { process, address })
    }

    pub(crate) fn end(self) -> Result<()> {
        self.process.end()
    }
}
