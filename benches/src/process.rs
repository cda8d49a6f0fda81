//! A program that runs and is talked to line by line. It ends when its standard input does, so with
//! this one too.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{ensure, Context, Result};

/// A child process whose standard input and output are pipes to this one.
pub(crate) struct Process {
    name: String,
    child: Child,
    /// `None` once it was told to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| name.to_owned())?;
        let output = child.stdout.take().context("its output is piped")?;
        Ok(Self {
            name: name.to_owned(),
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        })
    }

    /// Its next line.
    pub(crate) fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "{} has ended", self.name);
        Ok(line.trim_end().to_owned())
    }

    /// Lets it run, and returns the numbers that it answers, as many as are expected.
    pub(crate) fn ask<const N: usize>(&mut self, amount: u64) -> Result<[u64; N]> {
        let numbers = self.ask_all(amount)?;
        let numbers = numbers.try_into().ok();
        numbers.with_context(|| format!("{} does not answer {N} numbers", self.name))
    }

    /// Lets it run, and returns all numbers that it answers.
    pub(crate) fn ask_all(&mut self, amount: u64) -> Result<Vec<u64>> {
        if let Some(input) = &mut self.input {
            writeln!(input, "run {amount}").with_context(|| self.name.clone())?;
        }
        let answer = self.hear()?;
        let numbers: Option<Vec<u64>> = answer.split(' ').map(|one| one.parse().ok()).collect();
        numbers.with_context(|| format!("{} answers {answer}", self.name))
    }

    /// Ends it and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        ensure!(status.success(), "{}: {status}", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}
