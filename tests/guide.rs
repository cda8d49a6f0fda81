//! The guide (docs/guide) says what is so: its C and C++ compiles and works, its commands run, what
//! it shows is what is printed, its links lead somewhere, its pages are short.
//!
//! Whole programs of a page begin with a comment that has their name (`/* hello.c - ...`); its
//! commands build and run them, with a web server at localhost:8080. Its other pieces of C take the
//! place of `#include "PAGE.h"` in tests/pages/PAGE.c, those of C++ that of `#include "PAGE.hpp"`
//! in PAGE.cpp. Each block of text must be printed by either, numbers and blanks aside; a line
//! "..." stands for lines that are left out.
//!
//! `cargo test --test guide -- PAGE` checks one page. A page whose packages are missing is shown as
//! ignored; with VCP_NEEDS_ALL=1 it fails.

#[path = "guide/code.rs"]
mod code;
#[path = "guide/page.rs"]
mod page;
#[path = "guide/reports.rs"]
mod reports;
#[path = "guide/server.rs"]
mod server;

mod programs;
#[allow(dead_code)] // other runners list the TESTs of a source
mod sources;

use std::collections::BTreeSet;
use std::env;
use std::process::Command;

use libtest_mimic::{Arguments, Trial};
use page::Page;
use programs::Outcome;
use sources::{files_below, read, root};

/// A page is read in one go.
const MOST_LINES: usize = 155;
/// Of code.
const WIDEST_LINE: usize = 100;
/// What a block may be. Go is shown only: it is what a reader comes from.
const LANGUAGES: [&str; 5] = ["c", "cpp", "sh", "text", "go"];
/// What newcomers ask first: the index leads to these.
const ANSWERS: [&str; 5] = [
    "limits.md#how-to-bound-connections",
    "not-reused.md#from-the-symptom-to-the-remedy",
    "database-sessions.md",
    "prefork.md#what-a-thread-may-call",
    "prefork.md#what-happens-at-fork",
];
/// What pages need beside the library, as pkg-config calls it.
const NEEDS: [(&str, &[&str]); 4] = [
    ("database-sessions", &["libpq"]),
    ("moving", &["apr-util-1", "apr-1"]),
    ("moving-http-sql", &["libcurl", "libpq", "zdb"]),
    ("tls", &["openssl"]),
];

/// What a page needs that pkg-config does not know: a header for C++.
const NEEDS_HEADER: [(&str, &str); 1] = [("cpp", "asio.hpp")];

fn has_header(header: &str) -> bool {
    let probe = ["-fsyntax-only", "-xc++", "-include", header, "/dev/null"];
    let output = Command::new("c++").args(probe).output();
    output.is_ok_and(|output| output.status.success())
}

/// How to compile and link with the packages that a page needs; `None`: one of them is missing.
fn packages_of(page: &Page) -> Option<Vec<String>> {
    let header = NEEDS_HEADER.iter().find(|(name, _)| *name == page.name());
    if header.is_some_and(|(_, header)| !has_header(header)) {
        return None;
    }
    let needed = NEEDS.iter().find(|(name, _)| *name == page.name());
    let Some((_, packages)) = needed else {
        return Some(Vec::new());
    };
    let output = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(*packages)
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    let flags = String::from_utf8(output.stdout).expect("flags are text");
    Some(flags.split_whitespace().map(str::to_owned).collect())
}

fn page_trial(page: Page) -> Trial {
    let packages = packages_of(&page);
    let may_be_ignored = env::var_os("VCP_NEEDS_ALL").is_none();
    let is_ignored = packages.is_none() && may_be_ignored;
    let name = page.name().to_owned();
    let trial = Trial::test(name, move || {
        let packages = packages.ok_or("pkg-config does not know all that it needs")?;
        let printed = code::check(&page, &packages)?;
        match page.name() {
            "not-reused" => reports::the_symptoms_agree(&page)?,
            "states" => reports::the_table_is_proved(&page, &printed)?,
            "observing" => reports::the_dashboard_is_right(&printed)?,
            _ => (),
        }
        Ok(())
    });
    trial.with_kind("page").with_ignored_flag(is_ignored)
}

fn fails_unless_empty(wrong: Vec<String>) -> Outcome<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}

fn pictures_have_words(pages: &[Page]) -> Outcome<()> {
    let mut wrong = Vec::new();
    for page in pages {
        for (is_picture, text, target) in page.links() {
            if is_picture && text.len() < 40 {
                wrong.push(format!("{}: no words for {target}", page.name()));
            }
        }
    }
    fails_unless_empty(wrong)
}

fn the_index_has_every_page(pages: &[Page]) -> Outcome<()> {
    let index = pages.iter().find(|page| page.name() == "index");
    let links = index.ok_or("there is no index")?.links();
    let listed: BTreeSet<String> = links.into_iter().map(|(.., target)| target).collect();
    let wanted = pages.iter().map(|page| format!("{}.md", page.name()));
    let wanted = wanted.chain(ANSWERS.map(str::to_owned));
    let missing = wanted.filter(|one| one != "index.md" && !listed.contains(one));
    fails_unless_empty(missing.collect())
}

fn pages_are_short(pages: &[Page]) -> Outcome<()> {
    let mut wrong = Vec::new();
    for page in pages {
        let lines = page.text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{}: {lines} lines", page.name()));
        }
        for block in page.blocks()? {
            if !LANGUAGES.contains(&block.language.as_str()) {
                wrong.push(format!(
                    "{}: a block of \"{}\"",
                    page.name(),
                    block.language
                ));
            }
            let is_wide = |line: &&str| line.chars().count() > WIDEST_LINE;
            let wide = block.text.lines().filter(is_wide);
            let code = wide.filter(|_| block.language != "text");
            wrong.extend(code.map(|line| format!("{}: wide: {line}", page.name())));
        }
    }
    fails_unless_empty(wrong)
}

/// Each command that is not run stands in a page, each companion has one, each picture is shown.
fn nothing_is_left_over(pages: &[Page]) -> Outcome<()> {
    let mut wrong = Vec::new();
    let stands = |line: &str| pages.iter().any(|p| p.text.lines().any(|one| one == line));
    let commands = code::NOT_RUN.iter().map(|(command, _)| *command);
    wrong.extend(commands.filter(|one| !stands(one)).map(str::to_owned));
    let names: BTreeSet<&str> = pages.iter().map(Page::name).collect();
    for companion in files_below(&root().join("tests/pages"), &["c", "cpp"]) {
        if !names.contains(programs::stem(&companion).as_str()) {
            wrong.push(format!("{} has no page", companion.display()));
        }
    }
    for picture in files_below(&root().join("docs/guide/images"), &["svg"]) {
        let file = format!("images/{}.svg", programs::stem(&picture));
        if !pages.iter().any(|page| page.text.contains(&file)) {
            wrong.push(format!("{file} is on no page"));
        }
        if !read(&picture).contains("<title>") {
            wrong.push(format!("{file} has no title"));
        }
    }
    fails_unless_empty(wrong)
}

fn trial_of_all(name: &str, check: fn(&[Page]) -> Outcome<()>) -> Trial {
    Trial::test(name, move || Ok(check(&page::all())?))
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        trial_of_all("pictures_have_words", pictures_have_words),
        trial_of_all("the_index_has_every_page", the_index_has_every_page),
        trial_of_all("pages_are_short", pages_are_short),
        trial_of_all("nothing_is_left_over", nothing_is_left_over),
    ];
    let pages = page::all()
        .into_iter()
        .filter(|page| page.name() != "index");
    trials.extend(pages.map(page_trial));
    libtest_mimic::run(&arguments, trials).exit();
}
