//! What the results look like, and where they go.

use serde_json::Value;

use crate::number;
use crate::program::{self, printed, probe};
use crate::server::{Answers, Server};

#[test]
fn the_drawing_keeps_to_the_width_of_the_terminal() {
    let server = Server::start(Answers::All);
    let arguments = ["--seconds", "0.5", "--threads", "2", &server.address];
    let (columns, said) = (64, program::in_terminal(64, &arguments));
    // At 0, 0.2 and 0.4 s, and the wiping.
    let progress = said.matches("\u{1b}[K").count();
    assert!(progress >= 3, "no progress was shown: {said:?}");
    let (_, report) = said.rsplit_once("\u{1b}[K").expect("the progress is wiped");
    for line in report.lines().filter(|line| line.contains('\u{2588}')) {
        assert!(line.trim_end().chars().count() < columns, "{line:?}");
    }
    assert!(report.contains('\u{2588}'), "there is a bar: {report}");
    assert!(
        report.contains("Over the pool a request takes "),
        "{report}"
    );
    let plain = probe(&arguments);
    assert!(plain.out.is_ascii(), "the C locale: {}", plain.out);
    assert_eq!(plain.err, "", "progress is for terminals");
    assert!(
        plain.out.lines().any(|line| line.contains("##")),
        "{}",
        plain.out
    );
}

#[test]
fn results_that_cannot_be_written_are_a_failure() {
    let server = Server::start(Answers::All);
    // All at once at the end, and bit by bit.
    for buffer in ["1M", "0"] {
        let arguments = ["--json", "-s", "0.1", &server.address];
        let run = program::with_output_to("/dev/full", buffer, &arguments);
        assert_eq!(run.status, Some(3), "{buffer}");
        assert_eq!(run.err, "vcp-probe: the results cannot be written\n");
    }
}

/// The least that a clock tells may be more than a request takes.
#[test]
fn requests_that_took_no_time_have_no_rate() {
    let times = "fresh 0\nreused 0\n";
    let json = printed("json", times);
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    for kind in ["fresh", "reused", "missed"] {
        assert_eq!(json["kinds"][kind]["per_second_without_pause"], Value::Null);
    }
    assert_eq!(number(&json, "/saved_per_request/ns"), 0.0);
    let text = printed("text", times);
    let rates = text.lines().find(|line| line.starts_with("/s, no pause"));
    assert_eq!(
        rates
            .expect("a line")
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["/s,", "no", "pause", "-", "-"]
    );
    let saved = "\nOver the pool a request takes 0 ns less and opens 0 connections instead of 1.\n";
    assert!(text.contains(saved), "{text}");
}

#[test]
fn the_last_row_of_the_drawing_has_all_longer_times() {
    let last_label = |seconds: u64| {
        let text = printed(
            "text",
            &format!("fresh {}\nreused 1\n", seconds * 1_000_000_000),
        );
        let mut rows = text.lines().filter(|line| line.contains("100.00 %"));
        let last = rows.next_back().expect("a row");
        last[..9].trim().to_owned()
    };
    assert_eq!(last_label(190), "200 s");
    assert_eq!(last_label(300), "longer");
    assert_eq!(last_label(2_000), "longer");
    assert_eq!(last_label(100_000), "longer");
}
