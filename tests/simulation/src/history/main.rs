//! What the command line asks for.
//!
//! Histories share nothing but the statics, which are put back after each, so a seed says all. They
//! run in one process for each processor.

use std::process::{Command, ExitCode};
use std::time::Instant;

use super::run;
use crate::world::{planted, trace};

const USAGE: &str =
    "simulation [--planted DEFECT] [--histories N] [--first SEED] [--processes N] | --seed SEED";

struct Arguments {
    histories: u64,
    first: u64,
    processes: u64,
    /// One history, with a trace.
    seed: Option<u64>,
}

fn parse() -> Option<Arguments> {
    let mut arguments = Arguments {
        histories: 100_000,
        first: 1,
        processes: std::thread::available_parallelism().map_or(1, |many| many.get() as u64),
        seed: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        if word == "--planted" {
            planted::plant(value);
            continue;
        }
        let number = value.parse().ok()?;
        match word.as_str() {
            "--histories" => arguments.histories = number,
            "--first" => arguments.first = number,
            "--processes" => arguments.processes = number,
            "--seed" => arguments.seed = Some(number),
            _ => return None,
        }
    }
    (arguments.processes > 0).then_some(arguments)
}

pub(crate) fn main() -> ExitCode {
    let Some(arguments) = parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(seed) = arguments.seed {
        trace::switch_on();
        let digest = run::histories(seed, 1);
        println!("history {seed}: 0 violations, digest {digest:016x}");
    } else if arguments.processes == 1 {
        let Arguments {
            first, histories, ..
        } = arguments;
        let digest = run::histories(first, histories);
        println!("{histories} histories from {first} on: digest {digest:016x}");
    } else {
        return share_out(&arguments);
    }
    ExitCode::SUCCESS
}

/// Gives each process a part of the seeds.
fn share_out(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let Arguments {
        histories,
        first,
        processes,
        ..
    } = *arguments;
    let program = std::env::current_exe().expect("the name of this program");
    let children: Vec<_> = (0..processes)
        .map(|number| {
            let from = first + histories * number / processes;
            let to = first + histories * (number + 1) / processes;
            Command::new(&program)
                .args(["--processes", "1", "--first", &from.to_string()])
                .args(["--histories", &(to - from).to_string()])
                .spawn()
                .expect("a process")
        })
        .collect();
    let ended = children.into_iter().map(|mut child| child.wait());
    let ended: Vec<_> = ended.collect();
    let are_well = ended
        .iter()
        .all(|ended| ended.as_ref().is_ok_and(|status| status.success()));
    if !are_well {
        return ExitCode::FAILURE;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = histories as f64 / seconds;
    println!("{histories} histories, 0 violations, {seconds:.1} s, {rate:.0} a second");
    ExitCode::SUCCESS
}
