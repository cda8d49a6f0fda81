//! What a pool's state costs from 1,000 to 1,000,000 idle connections: more than there are
//! descriptors, so in the place of sockets stand numbers. The library's files are compiled into
//! this program as they are.
//!
//! All sizes take turns in every round; a figure is the median of the rounds.
#![allow(dead_code)]

#[path = "../../model/fake.rs"]
mod fake;
mod handle;
mod pool;
mod sync;
mod town;
#[path = "../../../src/values/mod.rs"]
mod values;

use std::time::Instant;

use crate::town::Town;

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 7;
const CYCLES: u32 = 100_000;
const EVICTIONS: u32 = 500;
const LOOKS: u32 = 10_000;

/// Nanoseconds for one of so many.
fn per_one(count: u32, work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_nanos() as f64 / f64::from(count)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

struct Row {
    what: &'static str,
    measure: fn(&mut Town) -> f64,
}

const ROWS: [Row; 5] = [
    Row {
        what: "take and give back, at random",
        measure: |town| per_one(CYCLES, || town.cycles(CYCLES)),
    },
    Row {
        what: "the longest idle goes, another comes",
        measure: |town| per_one(EVICTIONS, || town.evictions(EVICTIONS)),
    },
    Row {
        what: "used in place, then the oldest is wanted",
        measure: |town| {
            let began = Instant::now();
            let uses = town.use_all_in_place();
            began.elapsed().as_nanos() as f64 / f64::from(uses)
        },
    },
    Row {
        what: "an idle timeout, and another comes",
        measure: |town| {
            let began = Instant::now();
            let expired = town.expiries();
            began.elapsed().as_nanos() as f64 / f64::from(expired)
        },
    },
    Row {
        what: "a look of the engine when nothing is due",
        measure: |town| {
            town.rest();
            per_one(LOOKS, || town.looks(LOOKS))
        },
    },
];

fn measure(title: &str, mut towns: Vec<Town>) {
    println!("{title}; ns, and how many times the first size's");
    let sizes = towns.iter().map(|town| format!("{:>18}", town.idle()));
    println!("{:<42}{}", "idle connections", sizes.collect::<String>());
    for Row { what, measure } in ROWS {
        let mut samples = vec![Vec::new(); towns.len()];
        for _ in 0..ROUNDS {
            for (town, samples) in towns.iter_mut().zip(&mut samples) {
                samples.push(measure(town));
            }
        }
        let medians: Vec<f64> = samples.into_iter().map(median).collect();
        let cells = medians
            .iter()
            .map(|ns| format!("{ns:>10.1} {:>6.2}x", ns / medians[0]));
        println!("{what:<42}{}", cells.collect::<String>());
    }
}

fn main() {
    let of_one = SIZES.map(|size| Town::new(size, 1));
    measure("One destination", of_one.into());
    let of_many = SIZES.map(|size| Town::new(size, size));
    measure("As many destinations as connections", of_many.into());
}
