//! What pages and files say of the library's reports, against what it reports.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::page::Page;
use crate::programs::Outcome;
use crate::sources::{read, root};

/// The reasons of `vcp_close_reason`, but `VCP_CLOSE_NONE`.
fn reasons() -> BTreeSet<String> {
    let header = read(&root().join("include/vconnpool.h"));
    let names = header.lines().filter_map(|line| {
        let name = line.strip_prefix("#define VCP_CLOSE_")?.split(' ').next()?;
        (name != "NONE").then(|| format!("VCP_CLOSE_{name}"))
    });
    names.collect()
}

/// The cells of the table of docs/guide/states.md, as tests/pages/states.c prints what it proves.
fn cells(page: &Page) -> BTreeSet<String> {
    let rows = page
        .text
        .lines()
        .filter(|line| line.starts_with("| `VCP_CLOSE_"));
    let cells = rows.flat_map(|row| {
        let columns: Vec<&str> = row
            .split('|')
            .map(|one| one.trim().trim_matches('`'))
            .collect();
        let counters = ["idle", "borrow", "return"].into_iter().zip(&columns[2..5]);
        let named = counters.filter(|(_, counter)| !counter.is_empty());
        named
            .map(|(from, counter)| format!("{from} {} {counter}", columns[1]))
            .collect::<Vec<_>>()
    });
    cells.collect()
}

/// The table says what was proved, all of it and nothing else, and the drawing has every reason.
pub(crate) fn the_table_is_proved(page: &Page, printed: &str) -> Outcome<()> {
    let is_proof = |line: &&str| line.contains(" VCP_CLOSE_");
    let proved: BTreeSet<String> = printed
        .lines()
        .filter(is_proof)
        .map(str::to_owned)
        .collect();
    let cells = cells(page);
    let differ: Vec<&String> = cells.symmetric_difference(&proved).collect();
    if !differ.is_empty() {
        return Err(format!("either said or proved, not both: {differ:#?}"));
    }
    let drawing = read(&root().join("docs/guide/images/states.svg"));
    for reason in reasons() {
        let words = reason["VCP_CLOSE_".len()..]
            .to_lowercase()
            .replace('_', " ");
        let is_said = cells
            .iter()
            .any(|cell| cell.contains(&format!(" {reason} ")));
        if !is_said || !drawing.contains(&format!(">{words}<")) {
            return Err(format!(
                "{reason} is not in the table, or \"{words}\" not in the drawing"
            ));
        }
    }
    Ok(())
}

/// The words of a text that are code.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Each symptom names reasons and counters that belong together, and every reason has a symptom,
/// but that of a closed pool.
pub(crate) fn the_symptoms_agree(page: &Page) -> Outcome<()> {
    let states = cells(&Page::at(&root().join("docs/guide/states.md")));
    let belong = |reason: &str, counter: &str| {
        let is_cell = |cell: &String| cell.ends_with(&format!(" {reason} {counter}"));
        states.iter().any(is_cell)
    };
    let mut told = BTreeSet::from(["VCP_CLOSE_POOL_CLOSED".to_owned()]);
    let rows = page.text.lines().filter(|line| line.starts_with("| "));
    for row in rows.filter(|row| row.contains("(`VCP_CLOSE_")) {
        let column = row.split('|').nth(2).ok_or("a row has columns")?;
        let (reasons, counters): (Vec<&str>, Vec<&str>) =
            codes(column).partition(|code| code.starts_with("VCP_CLOSE_"));
        let has_counter = |reason: &&str| counters.iter().any(|one| belong(reason, one));
        let has_reason = |counter: &&str| reasons.iter().any(|one| belong(one, counter));
        if !reasons.iter().all(has_counter) || !counters.iter().all(has_reason) {
            return Err(format!("they do not belong together: {column}"));
        }
        told.extend(reasons.into_iter().map(str::to_owned));
    }
    if told == reasons() {
        return Ok(());
    }
    Err(format!("not these reasons alone: {told:?}"))
}

/// Every text of a member of that name, anywhere in the value.
fn texts_of<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str() {
                    Some(text) if key == name => found.push(text),
                    _ => texts_of(member, name, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|one| texts_of(one, name, found)),
        _ => {}
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|one: char| !one.is_alphanumeric() && one != '_')
}

/// The queries of docs/grafana/vconnpool.json name samples and labels that the library prints, and
/// there is no sample that no query has.
pub(crate) fn the_dashboard_is_right(printed: &str) -> Outcome<()> {
    let path = root().join("docs/grafana/vconnpool.json");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let dashboard: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut queries = Vec::new();
    texts_of(&dashboard, "expr", &mut queries);
    texts_of(&dashboard, "query", &mut queries);
    let samples = printed
        .lines()
        .filter(|line| line.starts_with("vconnpool_"));
    let printed: BTreeSet<&str> = samples
        .clone()
        .filter_map(|line| words(line).next())
        .collect();
    let asked: BTreeSet<&str> = queries
        .iter()
        .flat_map(|query| words(query))
        .filter(|word| word.starts_with("vconnpool_"))
        .collect();
    let differ: Vec<_> = printed.symmetric_difference(&asked).collect();
    if printed.is_empty() || !differ.is_empty() {
        return Err(format!("either printed or asked for, not both: {differ:?}"));
    }
    // label="value": a label's own values, and not another's.
    let labelled: BTreeSet<&str> = samples.flat_map(pairs).collect();
    let wrong = queries.iter().flat_map(|query| pairs(query));
    let mut wrong = wrong.filter(|pair| !pair.contains('$') && !labelled.contains(pair));
    match wrong.next() {
        None => Ok(()),
        Some(pair) => Err(format!("no sample has {pair}")),
    }
}

/// What stands between the braces: `label="value"`.
fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let braces = text.split('{').skip(1);
    let inside = braces.filter_map(|rest| rest.split('}').next());
    inside.flat_map(|labels| labels.split(','))
}
