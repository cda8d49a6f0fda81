//! vcp-probe against servers of this test: what it measures, what it prints, how it ends.
//!
//! It is compiled as examples/c/Makefile does it, with the library that cargo built for this test.

mod printing;
mod program;
mod server;
mod signals;

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use program::{empty_directory, histogram, probe, text_of, Run};
use serde_json::Value;
use server::{Answers, Server};

const PING: [&str; 4] = ["--send", r"PING\r\n", "--expect", r"\x2bPONG\r\n"];

/// A short run against that address, with the options and `--json`.
fn measured(address: &str, options: &[&str]) -> (Value, Run) {
    let short = ["--json", "--seconds", "0.5", "--rate", "400", address];
    let run = probe(&[options, &short].concat());
    let json = serde_json::from_str(&run.out)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", run.out, run.err));
    (json, run)
}

fn count(json: &Value, path: &str) -> u64 {
    let found = json.pointer(path);
    found
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("no number at {path} of {json}"))
}

fn number(json: &Value, path: &str) -> f64 {
    let found = json.pointer(path);
    found
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {path} of {json}"))
}

#[test]
fn each_fresh_request_has_a_connection_and_pooled_ones_share_a_few() {
    let server = Server::start(Answers::All);
    let (json, run) = measured(&server.address, &[&PING[..], &["--threads", "2"]].concat());
    assert_eq!(run.status, Some(0), "{}", run.err);
    let requests = |kind: &str| count(&json, &format!("/kinds/{kind}/requests"));
    let (fresh, reused, missed) = (requests("fresh"), requests("reused"), requests("missed"));
    assert!(fresh > 10, "{json}");
    assert_eq!(fresh, reused + missed, "{json}");
    // The pool dials once for each thread, and sometimes goes on with a dial that was not needed.
    let dials = count(&json, "/pool/dials");
    assert!((1..=4).contains(&dials), "{json}");
    assert_eq!(count(&json, "/pool/reuses"), reused);
    let saved = number(&json, "/saved_per_request/connections");
    let expected = 1.0 - dials as f64 / (reused + missed) as f64;
    assert!((saved - expected).abs() < 1e-3, "{json}");
    // One request before the run looks whether the server is there.
    server.await_accepted(fresh + dials + 1);
    assert_eq!(server.answered(), fresh + reused + missed + 1);
    assert_eq!(json["failures"], Value::Array(vec![]));
}

#[test]
fn percentiles_are_those_of_the_buckets() {
    let server = Server::start(Answers::All);
    let (json, _) = measured(&server.address, &PING);
    for kind in ["fresh", "reused"] {
        for name in ["request_ns", "dial_ns"] {
            let times = &json["kinds"][kind][name];
            let buckets: Vec<(u64, u64)> =
                serde_json::from_value(times["buckets"].clone()).expect("pairs of numbers");
            let total: u64 = buckets.iter().map(|(_, count)| count).sum();
            assert_eq!(total, count(&json["kinds"][kind], "/requests"));
            for (key, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)] {
                let wanted = (share * total as f64).ceil() as u64;
                let mut seen = 0;
                let bucket = buckets.iter().find(|(_, count)| {
                    seen += count;
                    seen >= wanted
                });
                let end = bucket.expect("a bucket has it").0;
                let max = times["max"].as_u64().expect("a number");
                assert_eq!(
                    times[key].as_u64(),
                    Some(end.min(max)),
                    "{kind} {key}: {times}"
                );
            }
        }
        let mean = |name: &str| number(&json["kinds"][kind], &format!("/{name}/mean"));
        assert!(mean("dial_ns") < mean("request_ns"), "{json}");
    }
}

#[test]
fn times_have_as_many_looks_at_the_clock_in_them_as_is_said() {
    let all = Server::start(Answers::All);
    let first_of_each = Server::start(Answers::OneThenNone);
    let looks = program::looks_at_the_clock(&all.address);
    assert_eq!(looks, "1 2\n1 2\n1 2\n1 2\n");
    let with_a_retry = program::looks_at_the_clock(&first_of_each.address);
    assert_eq!(with_a_retry, "1 2\n1 2\n2 4\n2 4\n");
    let said = program::printed("text", "fresh 5\nreused 5\n");
    assert!(said.contains(" A dial's time has one in it, a request's two.\n"));
}

#[test]
fn the_histogram_keeps_to_its_error() {
    // Numbers of all sizes, by a generator whose sequence is known (Knuth's MMIX).
    let mut state: u64 = 7;
    let mut numbers = vec![0, 1, 127, 128, 255, 256, 257, 511, 512, 1 << 40, 1 << 41];
    for i in 0..20_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        numbers.push(state >> (24 + i % 40));
    }
    let said = histogram(&numbers);
    numbers
        .iter_mut()
        .for_each(|one| *one = (*one).min((1 << 41) - 1));
    numbers.sort_unstable();
    let last = numbers.len() - 1;
    assert_eq!(said[0], numbers.len() as u64);
    assert_eq!((said[1], said[6]), (numbers[0], numbers[last]));
    for (found, share) in said[2..6].iter().zip([0.5, 0.9, 0.99, 0.999]) {
        let rank = (share * numbers.len() as f64).ceil() as usize;
        let exact = numbers[rank - 1];
        assert!(*found >= exact, "{share}: {found} is below {exact}");
        assert!(found - exact <= exact / 128, "{share}: {found} for {exact}");
    }
    assert_eq!(histogram(&[]), [0; 7]);
    assert_eq!(histogram(&[300]), [1, 300, 300, 300, 300, 300, 300]);
    // One in each of the two that are joined.
    assert_eq!(histogram(&[500, 300]), [2, 300, 301, 500, 500, 500, 500]);
}

#[test]
fn a_server_that_closes_after_each_answer_saves_nothing() {
    for liveness in ["strict", "watch"] {
        let server = Server::start(Answers::OneForEachConnection);
        let options = [&PING[..], &["--threads", "1", "--liveness", liveness]].concat();
        let (json, run) = measured(&server.address, &options);
        assert_eq!(run.status, Some(0), "{liveness}: {json}");
        assert_eq!(json["failures"], Value::Array(vec![]), "{liveness}");
        let missed = count(&json, "/kinds/missed/requests");
        // What is borrowed in the moment between the answer and the end may be reused, and is then
        // done once more.
        assert_eq!(
            count(&json, "/kinds/reused/requests"),
            0,
            "{liveness}: {json}"
        );
        assert!(missed > 1, "{liveness}: {json}");
        assert!(
            number(&json, "/saved_per_request/connections") <= 0.0,
            "{json}"
        );
        assert_eq!(json["kinds"]["reused"]["request_ns"], Value::Null);
        assert_eq!(
            server.answered(),
            count(&json, "/kinds/fresh/requests") + missed + 1
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    // A client's own port: taken as long as the client lives, but nobody listens there.
    let client = TcpStream::connect(listener.local_addr().expect("it is bound"));
    let client = client.expect("it listens");
    let address = client.local_addr().expect("it is bound").to_string();
    let began = Instant::now();
    let run = probe(&["--json", &address]);
    assert_eq!(run.status, Some(3));
    assert_eq!(run.out, "");
    assert_eq!(
        run.err,
        format!("vcp-probe: dial tcp {address}: connection refused\n")
    );
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "it ran all of its time"
    );
}

#[test]
fn failures_are_counted_by_their_names() {
    // The first connection is the look before the run.
    let server = Server::start(Answers::OnlyOnTheFirst(1));
    let options = [&PING[..], &["--threads", "1"]].concat();
    let (json, run) = measured(&server.address, &options);
    assert_eq!(run.status, Some(1));
    let failures = json["failures"].as_array().expect("a list");
    for side in ["fresh", "pooled"] {
        let all: Vec<_> = failures.iter().filter(|one| one["side"] == side).collect();
        assert_eq!(all.len(), 1, "{json}");
        assert_eq!(all[0]["status"], "VCP_ERR_IO");
        assert_eq!(
            all[0]["message"],
            "the server hung up before the answer's end"
        );
        assert!(count(all[0], "/count") > 1, "{json}");
    }
    assert_eq!(json["saved_per_request"], Value::Null);
    let text = probe(&[&options[..], &["--seconds", "0.3", &server.address]].concat());
    assert_eq!((text.status, text.out.as_str()), (Some(3), ""));
    let said = "vcp-probe: the server hung up before the answer's end\n";
    assert_eq!(text.err, said);
}

/// Requests over the pool that failed for that reason.
fn failed(json: &Value, is_counted: impl Fn(&str) -> bool) -> u64 {
    let failures = json["failures"].as_array().expect("a list");
    let of_the_pool = failures.iter().filter(|one| one["side"] == "pooled");
    let counted = of_the_pool.filter(|one| is_counted(one["status"].as_str().expect("a name")));
    counted.map(|one| count(one, "/count")).sum()
}

#[test]
fn requests_that_failed_open_no_more_connections_than_others() {
    let half = Server::start(Answers::OneForEverySecondConnection);
    // Then every dial fails.
    let ends = Server::start_for(12, Answers::OneForEachConnection);
    for server in [half, ends] {
        let options = [&PING[..], &["--threads", "1"]].concat();
        let (json, run) = measured(&server.address, &options);
        assert_eq!(run.status, Some(1), "{json}");
        assert!(failed(&json, |_| true) > 0, "{json}");
        let succeeded =
            count(&json, "/kinds/reused/requests") + count(&json, "/kinds/missed/requests");
        let connected = succeeded + failed(&json, |status| status != "VCP_ERR_CONNECT");
        let opened = count(&json, "/pool/dials") - count(&json, "/pool/dial_failures");
        let saved = number(&json, "/saved_per_request/connections");
        // One that was done once more had a connection, even if the dial for that failed.
        let expected = |connected: u64| 1.0 - opened as f64 / connected as f64;
        let most = expected(connected + count(&json, "/retries"));
        assert!(saved > expected(connected) - 1e-5, "{json}");
        assert!(saved < most + 1e-5, "{json}");
        // A dial that was not needed may be among them.
        assert!(saved.abs() < 0.25, "{json}");
    }
}

#[test]
fn an_answer_that_never_comes_costs_the_timeout() {
    let server = Server::start(Answers::OnlyOnTheFirstThenSilent(3));
    let options = [&PING[..], &["--threads", "1", "--timeout", "100"]].concat();
    let (json, run) = measured(&server.address, &options);
    assert_eq!(run.status, Some(1));
    let failures = json["failures"].as_array().expect("a list");
    assert!(!failures.is_empty(), "{json}");
    for failure in failures {
        assert_eq!(failure["status"], "VCP_ERR_TIMEOUT", "{json}");
    }
}

#[test]
fn a_long_answer_is_read_to_its_end() {
    let server = Server::start(Answers::Long);
    let (json, run) = measured(&server.address, &[&PING[..], &["--threads", "1"]].concat());
    assert_eq!(run.status, Some(0), "{json}");
    assert_eq!(count(&json, "/pool/dials"), 1, "{json}");
    assert!(count(&json, "/kinds/reused/requests") > 10, "{json}");
}

/// The most that fits the buffer, and one byte more.
#[test]
fn the_longest_end_of_an_answer_is_found_and_a_longer_one_is_refused() {
    let server = Server::start(Answers::Long);
    let longest = format!("{}+PONG\\r\\n", ".".repeat(65_536 - 7));
    let ping = ["--threads", "1", "--send", r"PING\r\n", "--expect"];
    let (json, run) = measured(&server.address, &[&ping[..], &[&longest]].concat());
    assert_eq!(run.status, Some(0), "{json}");
    assert!(count(&json, "/kinds/reused/requests") > 0, "{json}");
    let longer = format!(".{longest}");
    let refused = probe(&[&ping[..], &[&longer, &server.address]].concat());
    assert_eq!(refused.status, Some(2));
    assert_eq!(
        refused.err,
        "vcp-probe: --expect: a text of more than 65536 bytes\nTry 'vcp-probe --help'.\n"
    );
}

#[test]
fn bytes_that_nobody_asked_for_are_told() {
    let server = Server::start(Answers::Chatty);
    let options = [&PING[..], &["--threads", "1", "--seconds", "0.5"]].concat();
    let run = probe(&[&options[..], &["--rate", "100", &server.address]].concat());
    let hint = "idle connections held bytes that nobody had read";
    assert!(run.out.contains(hint), "{}", run.out);
    assert!(run.out.contains("reused      missed\n"), "{}", run.out);
}

#[test]
fn threads_wait_for_their_turn_at_a_limit() {
    let server = Server::start(Answers::All);
    let options = [
        &PING[..],
        &["--threads", "4", "--max-conns", "1", "--rate", "0"],
    ]
    .concat();
    let run = probe(
        &[
            &options[..],
            &["--json", "--seconds", "0.3", &server.address],
        ]
        .concat(),
    );
    let json: Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(run.status, Some(0), "{json}");
    assert_eq!(count(&json, "/pool/dials"), 1, "{json}");
    assert!(count(&json, "/pool/waits") > 0, "{json}");
    // A connection that is given back while others wait stays one request's on the fresh side.
    server.await_accepted(count(&json, "/kinds/fresh/requests") + 1 + 1);
}

#[test]
fn a_unix_socket_and_no_ping() {
    let directory = empty_directory("probe-unix");
    let path = directory.join("socket");
    let listener = UnixListener::bind(&path).expect("the path is free");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            kept.push(stream);
        }
    });
    let options = ["--network", "unix", "--threads", "1"];
    let (json, run) = measured(path.to_str().expect("UTF-8"), &options);
    assert_eq!(run.status, Some(0), "{json}");
    assert_eq!(json["network"], "unix");
    assert_eq!(json["has_ping"], false);
    assert!(count(&json, "/kinds/reused/requests") > 10, "{json}");
}

#[test]
fn wrong_options_are_told_and_end_with_2() {
    let wrong: [&[&str]; 13] = [
        &[],
        &["a:1", "b:1"],
        &["--threads", "0", "a:1"],
        &["--threads", "257", "a:1"],
        &["--seconds", "nan", "a:1"],
        &["--seconds", "1x", "a:1"],
        &["--rate", "-1", "a:1"],
        &["--liveness", "never", "a:1"],
        &["--send", "PING", "a:1"],
        &["--expect", "PONG", "a:1"],
        &["--send", r"a\", "--expect", "b", "a:1"],
        &["--send", r"\x4", "--expect", "b", "a:1"],
        &["--no-such-option", "a:1"],
    ];
    for arguments in wrong {
        let run = probe(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.err);
        assert_eq!(run.out, "", "{arguments:?}");
        assert!(
            run.err.ends_with("Try 'vcp-probe --help'.\n"),
            "{arguments:?}: {}",
            run.err
        );
    }
    let unknown = probe(&["--network", "carrier-pigeon", "coop:1"]);
    assert_eq!(unknown.status, Some(3));
    assert_eq!(
        unknown.err,
        "vcp-probe: dial carrier-pigeon coop:1: unknown network\n"
    );
}

/// What an option's line of the help and a heading of the page begin with: `-t`, `--threads`.
fn options_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_option = |word: &&str| word.starts_with("--") && word.len() > 2;
    let mut found: Vec<_> = words.filter(is_option).map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn the_page_and_the_help_name_the_same_options() {
    let help = probe(&["--help"]);
    assert_eq!((help.status, help.err.as_str()), (Some(0), ""));
    assert!(
        help.out.lines().all(|line| line.chars().count() <= 99),
        "{}",
        help.out
    );
    let page = text_of("docs/vcp-probe.md");
    assert_eq!(options_in(&help.out), options_in(&page));
    let version = probe(&["--version"]);
    let expected = format!("vcp-probe of libvconnpool {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.out, expected);
}

fn names_in(json: &Value, found: &mut BTreeSet<String>) {
    match json {
        Value::Object(members) => {
            found.extend(members.keys().cloned());
            members.values().for_each(|member| names_in(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| names_in(item, found)),
        _ => {}
    }
}

#[test]
fn the_page_names_all_of_the_json() {
    let server = Server::start(Answers::OnlyOnTheFirst(3));
    let (json, _) = measured(&server.address, &[&PING[..], &["--threads", "1"]].concat());
    let mut names = BTreeSet::new();
    names_in(&json, &mut names);
    assert!(
        names.contains("message") && names.contains("p99_9"),
        "{json}"
    );
    let page = text_of("docs/vcp-probe.md");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")),
            "the page has no `{name}`"
        );
    }
}
