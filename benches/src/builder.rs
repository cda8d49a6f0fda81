//! Builds what is measured: the shipped library, and the C programs against it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use crate::subject::{Found, Over, Package, Program};

const WARNINGS: [&str; 4] = ["-O2", "-Wall", "-Wextra", "-Werror"];
/// What the dynamic linker looks for (build.rs of the library).
const SONAME: &str = "libvconnpool.so.0";

/// Where the programs and the library under test lie.
pub(crate) struct Builder {
    root: PathBuf,
    sources: PathBuf,
    built: PathBuf,
    /// By name: subjects share programs.
    programs: RefCell<HashMap<&'static str, Built>>,
}

/// A program, or why there is none.
#[derive(Clone)]
pub(crate) enum Built {
    Ready(PathBuf),
    /// The Debian package that is not installed.
    Missing(&'static str),
}

impl Builder {
    /// Builds the library, and takes a copy that stays the same while cases run.
    pub(crate) fn open() -> Result<Self> {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = benches
            .parent()
            .context("benches lies in the repository")?
            .to_owned();
        let built = benches.join("target/programs");
        fs::create_dir_all(&built)?;
        fs::copy(build_library(&root)?, built.join(SONAME))?;
        Ok(Self {
            root,
            sources: benches.join("c"),
            built,
            programs: RefCell::default(),
        })
    }

    /// A path for a file of this run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    /// The library under test.
    pub(crate) fn library(&self) -> PathBuf {
        self.file(SONAME)
    }

    /// Once; what was built before is as it was.
    pub(crate) fn build(&self, program: &Program) -> Result<Built> {
        if let Some(built) = self.programs.borrow().get(program.name) {
            return Ok(built.clone());
        }
        let built = match program.over {
            Over::Crates => Built::Ready(self.build_peers(program.name)?),
            _ => self.compile(program)?,
        };
        self.programs
            .borrow_mut()
            .insert(program.name, built.clone());
        Ok(built)
    }

    fn compile(&self, program: &Program) -> Result<Built> {
        let output = self.file(program.name);
        let mut gcc = Command::new("gcc");
        gcc.args(WARNINGS).arg("-o").arg(&output);
        gcc.arg(self.source(program.name)).arg(self.source("bench"));
        gcc.args(program.with.iter().map(|one| self.source(one)));
        gcc.arg("-pthread");
        match &program.over {
            Over::Nothing | Over::Crates => {}
            Over::Libvconnpool => self.link_library(&mut gcc),
            Over::Package(package) => match flags(package) {
                Some(flags) => drop(gcc.args(flags)),
                None => return Ok(Built::Missing(package.debian)),
            },
        }
        let status = gcc.status().context("gcc")?;
        ensure!(status.success(), "{} does not build", program.name);
        Ok(Built::Ready(output))
    }

    fn build_peers(&self, name: &str) -> Result<PathBuf> {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = benches.join("target");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--locked", "--quiet", "--package", name]);
        cargo.arg("--target-dir").arg(&target).current_dir(benches);
        let status = cargo.status().context("cargo")?;
        ensure!(status.success(), "{name} does not build");
        Ok(target.join("release").join(name))
    }

    /// In C++ where its peer is.
    fn source(&self, name: &str) -> PathBuf {
        let source = self.sources.join(name);
        let cpp = source.with_extension("cpp");
        if cpp.exists() {
            cpp
        } else {
            source.with_extension("c")
        }
    }

    fn link_library(&self, gcc: &mut Command) {
        gcc.arg(self.source("pool"))
            .arg("-I")
            .arg(self.root.join("include"))
            .arg(self.library())
            .arg(format!("-Wl,-rpath,{}", self.built.display()));
    }
}

/// What a program that uses the package is compiled with; `None` if it is not installed.
fn flags(package: &Package) -> Option<Vec<String>> {
    match package.found {
        Found::ByPkgConfig(modules) => flags_of_modules(modules),
        Found::ByHeader(header, flags) => {
            let flags = flags.iter().map(|&flag| flag.to_owned());
            has_header(header).then(|| flags.collect())
        }
    }
}

/// What pkg-config says; `None` if it knows none, or is not installed itself.
fn flags_of_modules(modules: &[&str]) -> Option<Vec<String>> {
    let mut command = Command::new("pkg-config");
    command
        .args(["--cflags", "--libs"])
        .args(modules)
        .stderr(Stdio::null());
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let flags = text.split_whitespace().map(str::to_owned).collect();
    output.status.success().then_some(flags)
}

fn has_header(header: &str) -> bool {
    let mut gcc = Command::new("gcc");
    gcc.args(["-xc++", "-fsyntax-only", "-include", header, "/dev/null"]);
    let status = gcc.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Builds the library as it is shipped (CONTRIBUTING.md) and returns the file that cargo names.
fn build_library(root: &Path) -> Result<PathBuf> {
    eprintln!("building the library");
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["rustc", "--release", "--lib", "--crate-type", "cdylib"])
        .args(["--message-format", "json-render-diagnostics", "--quiet"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo")?;
    ensure!(output.status.success(), "the library does not build");
    let text = String::from_utf8(output.stdout)?;
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut libraries = messages.filter_map(|message| shared_library(&message));
    match libraries.next_back() {
        Some(path) => Ok(path),
        None => bail!("cargo names no shared library"),
    }
}

fn shared_library(message: &Value) -> Option<PathBuf> {
    let files = message.get("filenames")?.as_array()?;
    let mut paths = files.iter().filter_map(Value::as_str);
    let path = paths.find(|path| path.ends_with("/libvconnpool.so"))?;
    Some(PathBuf::from(path))
}
