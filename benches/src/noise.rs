//! What others had of the CPUs while a case ran: times taken on a busy machine are no figures.

use std::fs;

use anyhow::{Context, Result};

/// More than this share of all CPUs, and the figures do not count.
pub(crate) const MOST: f64 = 0.05;

/// The counters of proc(5), in clock ticks, at one moment.
pub(crate) struct Noise {
    all: u64,
    busy: u64,
    own: u64,
}

impl Noise {
    pub(crate) fn begin() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let cpus = stat.lines().next().context("/proc/stat begins with cpu")?;
        let [user, nice, system, idle, wait, hard, soft, stolen] = numbers(cpus, 1)?;
        // This process and its children that have ended: utime, stime, cutime, cstime. The name in
        // brackets may hold spaces.
        let own = fs::read_to_string("/proc/self/stat")?;
        let (_, own) = own.rsplit_once(')').context("/proc/self/stat has a name")?;
        let own: [u64; 4] = numbers(own, 11)?;
        Ok(Self {
            all: user + nice + system + idle + wait + hard + soft + stolen,
            busy: user + nice + system + stolen,
            own: own.iter().sum(),
        })
    }

    /// The share of others since then. To be asked when the children have ended.
    pub(crate) fn share(&self) -> Result<f64> {
        let now = Self::begin()?;
        let others = (now.busy - self.busy).saturating_sub(now.own - self.own);
        Ok(others as f64 / (now.all - self.all).max(1) as f64)
    }
}

fn numbers<const N: usize>(line: &str, skip: usize) -> Result<[u64; N]> {
    let words = line.split_whitespace().skip(skip).take(N);
    let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().ok().context("proc(5) has more numbers")
}
