//! SIGINT and SIGTERM.

use serde_json::Value;

use crate::program::{has_thread_sanitizer, Running};
use crate::server::{Answers, Server};
use crate::{number, PING};

#[test]
fn sigint_ends_it_with_the_results_so_far() {
    // Threads that pause, most of them for half a minute and more; and threads that wait for an
    // answer.
    for (answers, rate, requests) in [
        (Answers::All, "1", 4),
        (Answers::OnlyOnTheFirstThenSilent(2), "1000", 5),
    ] {
        let server = Server::start(answers);
        let minutes = ["--json", "--seconds", "60", "--timeout", "50000"];
        let arguments = [&minutes[..], &["--threads", "60", "--rate", rate]].concat();
        let all = [&arguments[..], &PING[..], &[&server.address]].concat();
        let running = Running::start(&all);
        server.await_requests(requests);
        running.send(libc::SIGINT);
        let run = running.end();
        let json: Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!(run.status, Some(0), "{json} {}", run.err);
        assert_eq!(json["was_interrupted"], true);
        assert_eq!(json["failures"], Value::Array(vec![]));
        assert!(number(&json, "/seconds") < 30.0, "{json}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let both = [libc::SIGINT, libc::SIGTERM];
    for (first, second) in both.iter().flat_map(|one| both.map(|other| (*one, other))) {
        let server = Server::start(Answers::All);
        let arguments = [&PING[..], &["--seconds", "60", &server.address]].concat();
        let (running, terminal) = Running::start_before_a_stopped_terminal(&arguments);
        server.await_requests(1);
        running.send(first);
        running.await_no_handler(first);
        running.await_no_handler(second);
        running.send(second);
        let run = running.end();
        assert_eq!(
            (run.status, run.out.as_str()),
            (None, ""),
            "{first} {second}"
        );
        drop(terminal);
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    for ignored in [libc::SIGINT, libc::SIGTERM] {
        let server = Server::start(Answers::All);
        let arguments = [&PING[..], &["--json", "--seconds", "1", &server.address]].concat();
        let running = Running::start_ignoring(ignored, &arguments);
        server.await_requests(1);
        running.send(ignored);
        let run = running.end();
        let json: Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!(json["was_interrupted"], false);
    }
}

#[test]
fn threads_hear_of_a_signal_without_a_data_race() {
    if !has_thread_sanitizer() {
        eprintln!("not tested: cc has no ThreadSanitizer");
        return;
    }
    let server = Server::start(Answers::All);
    let many = [
        "--json",
        "--seconds",
        "60",
        "--threads",
        "8",
        &server.address,
    ];
    let running = Running::start_watched(&[&PING[..], &many].concat());
    server.await_requests(100);
    running.send(libc::SIGINT);
    let run = running.end();
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    let json: Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(json["was_interrupted"], true);
}
