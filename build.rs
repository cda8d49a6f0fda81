//! Generates `include/vconnpool.h` from the C functions in `src/ffi` and names the shared library.
//!
//! The header is committed. It is written only when the generated text differs from it, and never
//! when this package is built as a dependency of another one, or without the feature `header`. The
//! version macros come from Cargo.toml alone.

// Without the feature all that prints the header is left out.
#![cfg_attr(not(feature = "header"), allow(dead_code, unused_imports))]

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=include/vconnpool.h");
    refuse_planted_defects();
    name_the_library();
    // Set by cargo, while it compiles this script, only for the packages that the user named.
    #[cfg(feature = "header")]
    if option_env!("CARGO_PRIMARY_PACKAGE").is_some() {
        write_header();
    }
}

/// What tests/planted builds in must never be shipped.
fn refuse_planted_defects() {
    let is_planted = |name: &String| name.starts_with("CARGO_FEATURE_PLANT_");
    let planted: Vec<String> = env::vars()
        .map(|(name, _)| name)
        .filter(is_planted)
        .collect();
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    assert!(
        planted.is_empty() || !is_release,
        "a release build with {planted:?}"
    );
}

fn version_part(name: &str) -> u32 {
    let text = env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is a number: {text}"))
}

fn name_the_library() {
    // The ABI number: raised only by a change that programs linked against the old library do not
    // survive.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libvconnpool.so.0");
    // A background thread may be running library code at any moment, so the code must stay mapped
    // (dlclose(3)).
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}

fn version_macros() -> String {
    let [major, minor, patch] = [
        "CARGO_PKG_VERSION_MAJOR",
        "CARGO_PKG_VERSION_MINOR",
        "CARGO_PKG_VERSION_PATCH",
    ]
    .map(version_part);
    let text = env::var("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    let number = (major << 16) | (minor << 8) | patch;
    format!(
        "\n/* The version of this header; vcp_version_number() has that of the loaded library. */\n\
         #define VCP_VERSION_MAJOR {major}\n\
         #define VCP_VERSION_MINOR {minor}\n\
         #define VCP_VERSION_PATCH {patch}\n\
         #define VCP_VERSION_NUMBER {number:#08x} /* 0xMMmmpp */\n\
         #define VCP_VERSION_STRING \"{text}\""
    )
}

/// A doc comment that begins with a line `---- NAME ----` introduces a group: what stands above its
/// line `----` becomes a comment of its own, before that of the item.
fn introduce_groups(text: &str) -> String {
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push(line.to_owned());
        if line.trim() != "/**" {
            continue;
        }
        let comment: Vec<&str> = lines.by_ref().take_while(|l| l.trim() != "*/").collect();
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = comment.iter().position(|l| l.trim() == "* ----");
        if let Some(end) = end {
            out.pop();
            let is_field = !indent.is_empty();
            out.extend(is_field.then(String::new));
            out.push(format!("{indent}/*"));
            out.extend(without_ends(&comment[..end]));
            out.push(format!("{indent} */\n\n{line}"));
        }
        out.extend(without_ends(&comment[end.map_or(0, |end| end + 1)..]));
        out.push(format!("{indent} */"));
    }
    out.push(String::new());
    out.join("\n")
}

/// Lines of a comment, without the empty ones at both ends.
fn without_ends(lines: &[&str]) -> Vec<String> {
    let is_full = |line: &&str| line.trim() != "*";
    let first = lines.iter().position(is_full).unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(is_full)
        .map_or(first, |last| last + 1);
    let kept = lines[first..last].iter();
    kept.map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(feature = "header")]
fn write_header() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&root);
    let mut config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml can be read");
    config.after_includes = Some(version_macros());
    let bindings = cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .expect("cbindgen reads src");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("cbindgen writes UTF-8");
    let text = introduce_groups(&text);
    let path = root.join("include/vconnpool.h");
    if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        fs::write(&path, text).expect("include/vconnpool.h can be written");
    }
}
