//! The three forms, read back by parsers that are not ours.
#![forbid(unsafe_code)]

use super::*;
use crate::pool::state::counters::Counters;
use crate::values::address::Address;
use crate::values::endpoint::Endpoint;
use crate::values::network::{Family, Network};

const AWKWARD: &str = "a \"quoted\" back\\slash,\nsecond line \u{7} ü";

fn report() -> Report {
    let endpoint = |text: &str| Endpoint::Inet(text.parse().expect("a literal"));
    let destination = |text: &str, tag: &str| {
        Arc::new(Destination::new(
            Address::of_endpoint(Network::Tcp(Family::Any), endpoint(text)),
            tag,
        ))
    };
    let counters = Counters {
        dials: 7,
        wait_us: 1_500_000,
        closed_lifetime: 2,
        ..Counters::default()
    };
    Report {
        name: AWKWARD.into(),
        is_closed: false,
        limits: Limits {
            max_idle_per_address: 8,
            max_idle: None,
            max_conns: Some(10),
            max_conns_per_address: None,
            max_dials_per_address: None,
            max_waiters: Some(3),
        },
        stats: Stats {
            counters,
            idle: 1,
            borrowed: 2,
            dialing: 3,
            waiting: 4,
            releasing: 1,
        },
        rows: vec![
            Numbers {
                destination: destination("127.0.0.1:80", ""),
                idle: 1,
                borrowed: 2,
                dialing: 0,
                waiting: 4,
            },
            Numbers {
                destination: destination("[::1]:65535", AWKWARD),
                idle: 0,
                borrowed: 0,
                dialing: 3,
                waiting: 0,
            },
        ],
        leaks: vec![Leak {
            destination: destination("127.0.0.1:80", ""),
            fd: 12,
            label: Some(AWKWARD.into()),
            lasts: Duration::from_micros(1_234_567),
        }],
    }
}

/// Rule: describe: TEXT is a table of single lines.
#[test]
fn text_is_a_table_of_single_lines() {
    let expected = "\
pool a \"quoted\" back\\slash,\\nsecond line \\u{7} ü: idle 1\x20\
    borrowed 2 (releasing 1) dialing 3 waiting 4
limits: max_idle_per_address 8 max_conns 10 max_waiters 3

network  address       tag                                               idle \x20\
    borrowed  dialing  waiting
tcp      127.0.0.1:80                                                       1        \x20\
    2        0        4
tcp      [::1]:65535   a \"quoted\" back\\slash,\\nsecond line \\u{7} ü     0        \x20\
    0        3        0

borrowed for too long:
  fd 12 tcp 127.0.0.1:80 for 1234 ms by a \"quoted\" back\\slash,\\nsecond line \\u{7} ü

since the pool was made:
  dials 7
  wait_us 1500000
  closed_lifetime 2
";
    let squeezed = |text: &str| {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let text = text::of(&report());
    assert_eq!(squeezed(&text), squeezed(expected));
    let mut table = text
        .lines()
        .skip(3)
        .take(3)
        .map(|line| line.chars().count());
    let first = table.next();
    assert!(table.all(|length| Some(length) == first), "{text}");
}

/// Rule: describe: JSON is JSON, whatever is in the texts.
#[test]
fn json_says_everything() {
    let json: serde_json::Value = serde_json::from_str(&json::of(&report())).expect("JSON");
    assert_eq!(json["name"], AWKWARD);
    assert_eq!(json["drained"], false);
    assert_eq!(
        (
            &json["idle"],
            &json["borrowed"],
            &json["dialing"],
            &json["waiting"]
        ),
        (&1.into(), &2.into(), &3.into(), &4.into())
    );
    assert_eq!(json["limits"]["max_conns"], 10);
    assert_eq!(json["limits"].get("max_idle"), None);
    assert_eq!(json["counters"]["dials"], 7);
    assert_eq!(json["counters"].as_object().map(|all| all.len()), Some(23));
    assert_eq!(json["destinations"][1]["address"], "[::1]:65535");
    assert_eq!(json["destinations"][1]["reuse_tag"], AWKWARD);
    assert_eq!(json["destinations"][0]["waiting"], 4);
    assert_eq!(json["leaks"][0]["label"], AWKWARD);
    assert_eq!(json["leaks"][0]["borrowed_us"], 1_234_567);
}

/// Rule: describe: OPENMETRICS is a valid exposition, whatever is in the name.
#[test]
fn openmetrics_is_a_valid_exposition() {
    let whole = openmetrics::of(&report(), true);
    let exposition = openmetrics_parser::openmetrics::parse_openmetrics(&whole).expect(&whole);
    let value = |family: &str, label: Option<(&str, &str)>| {
        let family = &exposition.families[family];
        // This parser leaves escapes as they are.
        let pool = (
            "pool",
            &*AWKWARD
                .replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace('\n', r"\n"),
        );
        let labels: Vec<_> = std::iter::once(pool).chain(label).collect();
        let sample = family.get_sample_by_label_values(
            &labels
                .iter()
                .map(|(_, value)| (*value).to_owned())
                .collect::<Vec<_>>(),
        );
        format!("{:?}", sample.expect("a sample").value)
    };
    assert!(value("vconnpool_connections", Some(("state", "dialing"))).contains('3'));
    assert!(value("vconnpool_dials", None).contains('7'));
    assert!(value("vconnpool_wait_seconds", None).contains("1.5"));
    assert!(value("vconnpool_closed", Some(("reason", "lifetime"))).contains('2'));
    assert!(whole.ends_with("\n# EOF\n"));
}

/// So that the bodies of several pools, sorted by family, make one exposition.
#[test]
fn a_body_is_the_samples_alone() {
    let whole = openmetrics::of(&report(), true);
    let samples: Vec<&str> = whole
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let body = openmetrics::of(&report(), false);
    assert_eq!(body.lines().collect::<Vec<_>>(), samples);
    assert!(
        samples.len() > 22
            && samples
                .iter()
                .all(|line| line.contains("{pool=\"a \\\"quoted\\\""))
    );
}
