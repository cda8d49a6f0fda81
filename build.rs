//! Generates `include/vconnpool.h` from the C functions in `src/ffi` and names the shared library.
//!
//! The header is committed. It is written only when the generated text differs from it, and never
//! when this package is built as a dependency of another one, or without the feature `header`.
//! Where it cannot be generated, the build warns and the committed one stays. The version macros
//! come from Cargo.toml alone. With the feature `capi` it also fills in what cargo-c installs.

// Without the feature all that prints the header is left out.
#![cfg_attr(not(feature = "header"), allow(dead_code, unused_imports))]

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=include/vconnpool.h");
    println!("cargo:rerun-if-changed=packaging/install");
    refuse_planted_defects();
    name_the_library();
    if cfg!(feature = "capi") {
        write_packages().expect("what cargo-c installs can be written");
        write_documents().expect("what cargo-c installs can be written");
    }
    // Set by cargo, while it compiles this script, only for the packages that the user named.
    #[cfg(feature = "header")]
    if option_env!("CARGO_PRIMARY_PACKAGE").is_some() {
        match write_header() {
            Ok(()) => println!("cargo:rustc-env=VCP_HEADER=generated"),
            Err(error) => warn_of_the_committed_header(error.as_ref()),
        }
    }
}

/// A tree that cannot be written, or a compiler that cbindgen does not get along with, is no reason
/// to build nothing.
fn warn_of_the_committed_header(error: &dyn Error) {
    let error = error.to_string().replace('\n', " ");
    println!("cargo:warning=include/vconnpool.h is the committed one, none was generated: {error}");
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
fn write_header() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    config.after_includes = Some(version_macros());
    let bindings = cbindgen::Builder::new()
        .with_crate(&root)
        .with_config(config)
        .generate()?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = introduce_groups(&String::from_utf8(text)?);
    let path = root.join("include/vconnpool.h");
    if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        fs::write(&path, text)?;
    }
    Ok(())
}

/// The files of `packaging/install` that cargo-c has no word for (`package.metadata.capi` in
/// Cargo.toml names them). It does not say where it will install, so they find the rest from their
/// own place, which `--libdir=lib` makes right.
fn write_packages() -> Result<(), Box<dyn Error>> {
    let version = env::var("CARGO_PKG_VERSION")?;
    let values = [
        ("@PREFIX@", "${pcfiledir}/../..".to_owned()),
        ("@EXEC_PREFIX@", "${prefix}".to_owned()),
        ("@LIBDIR@", "${exec_prefix}/lib".to_owned()),
        ("@INCLUDEDIR@", "${prefix}/include".to_owned()),
        ("@HEADERS_FROM_HERE@", "../../../include".to_owned()),
        ("@DESCRIPTION@", env::var("CARGO_PKG_DESCRIPTION")?),
        ("URL: @URL@\n", url_line()?),
        ("@LIBRARY@", format!("libvconnpool.so.{version}")),
        ("@VERSION@", version),
        ("@SONAME@", "libvconnpool.so.0".to_owned()),
        ("@SYSTEM_LIBS@", system_libs()?),
    ];
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for file in [
        "vconnpool-static.pc",
        "vconnpoolConfig.cmake",
        "vconnpoolConfigVersion.cmake",
    ] {
        let mut text = fs::read_to_string(format!("packaging/install/{file}.in"))?;
        for (name, value) in &values {
            text = text.replace(name, value);
        }
        fs::write(out.join(file), text)?;
    }
    Ok(())
}

/// The documents, as the Makefile has them: some links lead into the repository only.
fn write_documents() -> Result<(), Box<dyn Error>> {
    let script = "packaging/install/documents";
    let listed = Command::new(script).arg("--list").output()?;
    for document in String::from_utf8(listed.stdout)?.lines() {
        println!("cargo:rerun-if-changed={document}");
    }
    let folder = PathBuf::from(env::var("OUT_DIR")?).join("documents");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let status = Command::new(script).arg(&folder).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{script}: {status}").into())
    }
}

/// As the Makefile has it: the home page, or the repository, or no line.
fn url_line() -> Result<String, Box<dyn Error>> {
    let pages = ["CARGO_PKG_HOMEPAGE", "CARGO_PKG_REPOSITORY"].map(env::var);
    for page in pages {
        let page = page?;
        if !page.is_empty() {
            return Ok(format!("URL: {page}\n"));
        }
    }
    Ok(String::new())
}

/// The libraries of the system that a static library of Rust's needs, as rustc names them.
fn system_libs() -> Result<String, Box<dyn Error>> {
    let archive = PathBuf::from(env::var("OUT_DIR")?).join("empty.a");
    let output = Command::new(env::var("RUSTC")?)
        .args(["--print", "native-static-libs", "--crate-type", "staticlib"])
        .args(["--crate-name", "empty", "--target", &env::var("TARGET")?])
        .arg("-o")
        .args([archive.as_os_str(), "-".as_ref()])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    let mut lines = said.lines();
    let libs = lines.find_map(|line| line.strip_prefix("note: native-static-libs: "));
    Ok(libs.ok_or(said.clone())?.to_owned())
}
