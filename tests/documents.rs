//! What pages say of this repository is so: links lead somewhere, files that are named exist,
//! and versions, dependencies and examples are those that there are.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

fn of_root(name: &str) -> String {
    text(&Path::new(ROOT).join(name))
}

/// The files of a folder whose names end so, in their order.
fn files(folder: &str, ends: &[&str]) -> BTreeSet<PathBuf> {
    let folder = Path::new(ROOT).join(folder);
    let entries = fs::read_dir(&folder).expect("a folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let has_end = |path: &PathBuf| {
        let name = path.to_string_lossy();
        ends.iter().any(|end| name.ends_with(end))
    };
    paths.filter(has_end).collect()
}

/// The pages that stand alone. Those of the guide have a test of their own.
fn pages() -> BTreeSet<PathBuf> {
    let folders = [
        "",
        "abi",
        "benches",
        "docs",
        "docs/guide",
        "examples/c",
        "tests",
    ];
    let found: BTreeSet<_> = folders
        .map(|one| files(one, &[".md"]))
        .into_iter()
        .flatten()
        .collect();
    assert!(found.len() >= 12, "{found:?}");
    found
}

/// A page without its pieces of code, in which brackets mean something else.
fn prose(page: &str) -> String {
    let outside = page.split("```").step_by(2);
    outside.collect()
}

/// What stands in the round brackets of `[...](...)`, but for links that a page shows as code.
fn links(prose: &str) -> Vec<String> {
    let lines = prose.lines();
    let without_code: String = lines.flat_map(|line| line.split('`').step_by(2)).collect();
    let after = without_code.split("](").skip(1);
    let targets = after.map(|rest| rest.split(')').next().expect("split gives one piece"));
    targets.map(str::to_owned).collect()
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Why a link of a page is none, if so.
fn fault(page: &Path, link: &str) -> Option<String> {
    let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.parent().expect("a page has a folder").join(file),
    };
    let shown = page.display();
    if !target.exists() {
        return Some(format!("{shown}: {link} leads nowhere"));
    }
    let is_found = wanted.is_empty() || anchors(&text(&target)).contains(wanted);
    (!is_found).then(|| format!("{shown}: {link} has no such heading"))
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    let mut faults = Vec::new();
    for page in pages() {
        let prose = prose(&text(&page));
        let links = links(&prose);
        let inside = links.iter().filter(|link| !link.contains("://"));
        let inside: Vec<_> = inside.collect();
        count += inside.len();
        faults.extend(inside.iter().filter_map(|link| fault(&page, link)));
    }
    println!("{count} links");
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 60, "{count} links: they are not seen");
}

/// Between backquotes, from the root: `src/sys/wake`.
#[test]
fn files_of_src_that_pages_name_exist() {
    let mut count = 0;
    for page in ["SECURITY.md", "CONTRIBUTING.md", "docs/architecture.md"] {
        let text = of_root(page);
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = word.starts_with("src/") && !word.contains([' ', '*']);
            if is_path {
                count += 1;
                let exists = Path::new(ROOT).join(word).exists();
                assert!(exists, "{page}: {word} does not exist");
            }
        }
    }
    println!("{count} paths");
    assert!(count > 60, "{count} paths: they are not seen");
}

#[test]
fn the_page_of_the_examples_names_each_program() {
    let page = of_root("examples/c/README.md");
    for program in files("examples/c", &[".c", ".cpp"]) {
        let name = program
            .file_name()
            .expect("a file has a name")
            .to_string_lossy();
        let is_part_of_another = name.starts_with("vcp_probe_");
        assert!(
            is_part_of_another || page.contains(&format!("[{name}]({name})")),
            "{name} is missing"
        );
    }
}

/// In the order of `.ci/run`, the longer ones with the word behind their names.
#[test]
fn the_table_of_checks_names_each_step_of_ci() {
    let text = of_root(".ci/run");
    let steps = text.lines().skip_while(|line| *line != "steps=(");
    let mut longer = "";
    let mut wanted = Vec::new();
    for line in steps.take_while(|line| !line.starts_with("packages()")) {
        if line == "longer=(" {
            longer = ", longer";
        }
        if let Some(step) = line.strip_prefix("    \"") {
            let name = step.split_whitespace().next().expect("a step has a name");
            wanted.push(format!("{name}{longer}"));
        }
    }
    let page = of_root("CONTRIBUTING.md");
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| step |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let named = rows.filter_map(|row| row.split('|').nth(1));
    let named: Vec<_> = named
        .map(str::trim)
        .filter(|name| *name != "by hand")
        .collect();
    assert!(
        wanted.len() > 30,
        "{} steps: they are not seen",
        wanted.len()
    );
    assert_eq!(named, wanted);
}

#[test]
fn the_code_of_the_home_page_compiles() {
    let page = of_root("docs/index.md");
    let code = page.split("```c\n").nth(1).expect("a piece of code");
    let code = code.split("```").next().expect("its end");
    let program = format!(
        "#include <stdio.h>\n#include <vconnpool.h>\nint main(void) {{\n{code}return 0;\n}}\n"
    );
    let mut child = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .arg(format!("-I{ROOT}/include"))
        .args(["-x", "c", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("cc can be started");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(program.as_bytes()).expect("cc reads");
    drop(input);
    assert!(child.wait().expect("cc ends").success(), "{program}");
}

#[test]
fn the_readme_is_one_page() {
    let lines = of_root("README.md").lines().count();
    assert!(lines <= 100, "{lines} lines");
}

/// The lines of Cargo.toml below a heading.
fn section(manifest: &str, heading: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_page_about_versions_says_what_the_build_does() {
    let page = of_root("docs/abi.md");
    let manifest = of_root("Cargo.toml");
    let package = section(&manifest, "[package]").join("\n");
    let (_, rest) = package.split_once("rust-version = \"").expect("it has one");
    let rust = rest.split('"').next().expect("split gives one piece");
    assert!(
        page.contains(&format!("| Rust, to build | {rust} ")),
        "another Rust than {rust}"
    );
    let dependencies = section(&manifest, "[dependencies]");
    let names = dependencies
        .iter()
        .filter_map(|line| line.split_once(" = "));
    let named: BTreeSet<_> = names.map(|(name, _)| format!("| `{name}` |")).collect();
    assert!(named.len() >= 2, "{named:?}");
    for name in named {
        assert!(page.contains(&name), "{name} is no dependency of the page");
    }
    let build = of_root("build.rs");
    let (_, rest) = build.split_once("-soname,").expect("it has a soname");
    let soname = rest.split('"').next().expect("split gives one piece");
    assert!(
        page.contains(&format!("`{soname}`")),
        "another soname than {soname}"
    );
}
