//! Joins what llvm-cov counted of the library's source in several builds, prints it by room, and
//! fails below the bars.
//!
//!     vconnpool-coverage --percentages|--every-line REPOSITORY LIST EXPORT.json...
//!
//! The first export tells what there is: it is of the library that the C programs used, so tests
//! inside the source and the model are not in it. The others add counts. What nothing ran is
//! written into the file LIST. With --every-line it fails too when a line of pool, handle or ffi
//! that nothing ran is not argued in tests/coverage/argued.md, and when one that is argued is run,
//! or gone.

mod argued;
mod counts;
mod export;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argued::Argued;
use counts::Counts;
use report::Report;

const LEAST_LINES: f64 = 95.0;
const LEAST_BRANCHES: f64 = 90.0;

struct Arguments {
    has_to_argue: bool,
    repository: PathBuf,
    list: PathBuf,
    exports: Vec<PathBuf>,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args_os().skip(1);
    let has_to_argue = match words.next()?.to_str()? {
        "--every-line" => true,
        "--percentages" => false,
        _ => return None,
    };
    let mut paths = words.map(PathBuf::from);
    Some(Arguments {
        has_to_argue,
        repository: paths.next()?,
        list: paths.next()?,
        exports: Some(paths.collect()).filter(|exports: &Vec<_>| !exports.is_empty())?,
    })
}

/// What the first export names, with the counts of all of them.
fn joined(repository: &Path, exports: &[PathBuf]) -> Counts {
    let mut all = exports.iter().map(|path| export::read(path, repository));
    let mut counts = all.next().expect("there is one");
    all.for_each(|other| counts.add(&other));
    counts
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: vconnpool-coverage --percentages|--every-line REPOSITORY LIST EXPORT.json..."
        );
        return ExitCode::from(2);
    };
    let counts = joined(&arguments.repository, &arguments.exports);
    let argued = Argued::read(&arguments.repository);
    let report = Report::new(&counts, &argued, &arguments.repository);
    std::fs::write(&arguments.list, report.list()).expect("the list can be written");
    print!("{report}");
    let is_high = report.lines() >= LEAST_LINES && report.branches() >= LEAST_BRANCHES;
    if is_high && (report.is_argued() || !arguments.has_to_argue) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
