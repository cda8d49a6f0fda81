//! Builds what is measured: the shipped library, and the programs against it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};

use crate::subject::{Found, Over, Package, Program};

const WARNINGS: [&str; 4] = ["-O2", "-Wall", "-Wextra", "-Werror"];
/// What the dynamic linker looks for (build.rs of the library).
const SONAME: &str = "libvconnpool.so.0";

/// Where the programs and the libraries lie.
pub(crate) struct Builder {
    root: PathBuf,
    sources: PathBuf,
    built: PathBuf,
    /// The directory of another build of the library.
    baseline: Option<PathBuf>,
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
    /// Builds the library and copies it: the copy stays as it is while cases run. `against` is
    /// another build, to be copied.
    pub(crate) fn open(against: Option<&Path>) -> Result<Self> {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = benches.parent().context("benches has a parent")?.to_owned();
        let built = benches.join("target/programs");
        fs::create_dir_all(&built)?;
        let baseline = against.map(|library| copy_baseline(library, &built));
        let builder = Self {
            sources: benches.join("c"),
            built,
            baseline: baseline.transpose()?,
            programs: RefCell::default(),
            root,
        };
        builder.build_library()?;
        Ok(builder)
    }

    /// The repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path for a file of this run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    /// The library under test.
    pub(crate) fn library(&self) -> PathBuf {
        self.file(SONAME)
    }

    /// The archive that is installed beside it.
    pub(crate) fn archive(&self) -> PathBuf {
        self.stage().join("libvconnpool.a")
    }

    pub(crate) fn has_baseline(&self) -> bool {
        self.baseline.is_some()
    }

    /// The directory of the library that `--against` names.
    pub(crate) fn baseline(&self) -> Option<&Path> {
        self.baseline.as_deref()
    }

    /// The program as a file. It is built once in a run.
    pub(crate) fn build(&self, program: &Program) -> Result<Built> {
        if let Some(built) = self.programs.borrow().get(program.name) {
            return Ok(built.clone());
        }
        let built = match program.over {
            Over::Crates => Built::Ready(self.build_peers(program.name)?),
            _ => self.compile(program)?,
        };
        let mut programs = self.programs.borrow_mut();
        programs.insert(program.name, built.clone());
        Ok(built)
    }

    fn stage(&self) -> PathBuf {
        self.root.join("target/stage")
    }

    /// By `make`: what is measured is what `make install` installs.
    fn build_library(&self) -> Result<()> {
        eprintln!("building the library");
        let mut make = Command::new("make");
        make.arg("--silent").current_dir(&self.root);
        ensure!(make.status()?.success(), "the library does not build");
        fs::copy(self.stage().join("libvconnpool.so"), self.library())?;
        Ok(())
    }

    fn compile(&self, program: &Program) -> Result<Built> {
        let output = self.file(program.name);
        let mut gcc = Command::new("gcc");
        gcc.args(WARNINGS).arg("-pthread").arg("-o").arg(&output);
        gcc.args(self.sources_of(program.name)?);
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
        cargo.args(["build", "--release", "--locked", "--quiet"]);
        cargo.args(["--package", name]).arg("--target-dir");
        cargo.arg(&target).current_dir(benches);
        let status = cargo.status().context("cargo")?;
        ensure!(status.success(), "{name} does not build");
        Ok(target.join("release").join(name))
    }

    /// The program's own, and those of the headers that it includes, directly or through one of
    /// them.
    fn sources_of(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut names = vec![name.to_owned()];
        let mut next = 0;
        while next < names.len() {
            let header = self.sources.join(&names[next]).with_extension("h");
            let files = [self.source(&names[next]), header];
            for file in files.iter().filter(|file| file.exists()) {
                let text = fs::read_to_string(file)?;
                let included = own_includes(&text).filter(|one| !names.contains(one));
                let included: Vec<String> = included.collect();
                names.extend(included);
            }
            next += 1;
        }
        Ok(names.iter().map(|name| self.source(name)).collect())
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

    /// By DT_RUNPATH, which gives way to LD_LIBRARY_PATH: so a program runs over the baseline too
    /// (ld.so(8)).
    fn link_library(&self, gcc: &mut Command) {
        gcc.arg("-I")
            .arg(self.root.join("include"))
            .arg(self.library())
            .arg("-Wl,--enable-new-dtags")
            .arg(format!("-Wl,-rpath,{}", self.built.display()));
    }
}

fn copy_baseline(library: &Path, built: &Path) -> Result<PathBuf> {
    let directory = built.join("baseline");
    fs::create_dir_all(&directory)?;
    let what = || library.display().to_string();
    fs::copy(library, directory.join(SONAME)).with_context(what)?;
    Ok(directory)
}

/// Of `#include "name.h"`, the names.
fn own_includes(text: &str) -> impl Iterator<Item = String> + '_ {
    let rests = text
        .lines()
        .filter_map(|line| line.strip_prefix("#include \""));
    rests.filter_map(|rest| Some(rest.split_once(".h\"")?.0.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_includes_in_quotes_are_ours() {
        let text = "#include \"bench.h\"\n\n#include <stdio.h>\nint x; /* #include \"no.h\" */\n";
        assert_eq!(own_includes(text).collect::<Vec<_>>(), ["bench"]);
    }
}
