//! Compiles every C++ program of tests/cpp and the C++ examples against vconnpool.hpp, as C++17,
//! C++20 and C++23, with every warning an error, by each compiler that is there, and runs the
//! tests.
//!
//! Those of vconnpool/asio.hpp (`asio_*`, `*_asio`) take longer to compile than all others: each
//! compiler and each standard has its turn, but not all pairs. Without Asio they are shown as
//! ignored. With Boost.Asio, where that is installed, they are only compiled.
//!
//! `cargo test --test cpp_programs -- NAME` runs one program, or one TEST.

mod choice;
mod programs;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

use choice::{command_line, Choice, Part};
use libtest_mimic::{Failed, Trial};
use programs::{output_directory, run, stem, Build, Outcome};
use sources::{c_tests, files_below, root};

const WARNINGS: [&str; 6] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
];
const STANDARDS: [&str; 3] = ["c++17", "c++20", "c++23"];

/// A compiler and a standard.
type Language = (&'static str, &'static str);

/// clang++ where it is installed; `.ci/run` installs it.
fn compilers() -> Vec<&'static str> {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["c++", "clang++"].into_iter().filter(is_there).collect()
}

fn compiles(language: Language, flags: &[&str], source: &Path) -> bool {
    let mut command = Command::new(language.0);
    command.arg(format!("-std={}", language.1)).args(flags);
    command.arg("-I").arg(root().join("include"));
    command.args(["-fsyntax-only", "-x", "c++"]).arg(source);
    command.output().is_ok_and(|output| output.status.success())
}

/// Each compiler with each standard that it knows.
fn languages() -> Vec<Language> {
    let with_each = |compiler| STANDARDS.map(|standard| (compiler, standard));
    let all = compilers().into_iter().flat_map(with_each);
    all.filter(|language| compiles(*language, &[], Path::new("/dev/null")))
        .collect()
}

fn build(language: Language, source: &Path, directory: &Path) -> Outcome<PathBuf> {
    let (compiler, standard) = language;
    let program = directory.join(format!("{}-{compiler}-{standard}", stem(source)));
    let standard = format!("-std={standard}");
    let flags = [&[standard.as_str()][..], &WARNINGS[..]].concat();
    let headers = &root().join("tests/c/support");
    let compiler = compiler.into();
    Build {
        compiler,
        flags: &flags,
        source,
        headers,
        program: &program,
    }
    .run()?;
    Ok(program)
}

/// What the preprocessor says where Asio is, Boost.Asio is, and Asio has coroutines.
const HAS_ASIO: &str = "__has_include(<asio.hpp>)";
const HAS_BOOST_ASIO: &str = "__has_include(<boost/asio.hpp>)";
const HAS_ASIO_COROUTINES: &str = "HAS_ASIO_COROUTINES";

/// Whether a condition of the preprocessor holds.
fn holds(condition: &str, language: Language, directory: &Path) -> bool {
    let (compiler, standard) = language;
    let probe = directory.join(format!("probe-{compiler}-{standard}.hpp"));
    let coroutines = "#include <asio/detail/config.hpp>
#ifdef ASIO_HAS_CO_AWAIT
#define HAS_ASIO_COROUTINES 1
#endif";
    let facts = match condition {
        HAS_ASIO_COROUTINES if holds(HAS_ASIO, language, directory) => coroutines,
        _ => "",
    };
    let text = format!("{facts}\n#if !{condition}\n#error\n#endif\n");
    std::fs::write(&probe, text).expect("a probe can be written");
    compiles(language, &[], &probe)
}

/// What a program needs beside the library, as a condition of the preprocessor.
fn need(source: &Path) -> Option<&'static str> {
    let name = stem(source);
    let coroutines = name.ends_with("_asio").then_some(HAS_ASIO_COROUTINES);
    coroutines.or(name.starts_with("asio_").then_some(HAS_ASIO))
}

/// The languages that a program is compiled in.
fn languages_of(source: &Path, directory: &Path) -> Vec<Language> {
    let Some(need) = need(source) else {
        return languages();
    };
    let all = languages().into_iter();
    let mut able = all.filter(|language| holds(need, *language, directory));
    // Every standard and every compiler, not every pair of them.
    let is_chosen = |language: &Language| (language.1 == "c++20") == (language.0 != "c++");
    let first = able.next();
    let others = able.filter(is_chosen);
    first.into_iter().chain(others).collect()
}

/// One test of this runner for each compiler and standard: those TESTs of a program, or all.
fn trials(source: &Path, tests: &[String], directory: &Path) -> Vec<Trial> {
    in_languages(source, languages_of(source, directory), |language| {
        let (source, directory) = (source.to_owned(), directory.to_owned());
        let tests = tests.to_owned();
        Box::new(move || {
            run(&build(language, &source, &directory)?, &tests)?;
            Ok(())
        })
    })
}

/// An example is only compiled: it wants a server.
fn builds(source: &Path, directory: &Path) -> Vec<Trial> {
    in_languages(source, languages_of(source, directory), |language| {
        let (source, directory) = (source.to_owned(), directory.to_owned());
        Box::new(move || {
            build(language, &source, &directory)?;
            Ok(())
        })
    })
}

/// All tests of a program.
fn whole(source: &Path, directory: &Path) -> Vec<Trial> {
    let is_of_asio = need(source) == Some(HAS_ASIO);
    let boost = is_of_asio.then(|| with_boost(source, directory)).flatten();
    let mut all = trials(source, &[], directory);
    all.extend(boost);
    all
}

/// C++: asio: the header and its tests compile with Boost.Asio too.
fn with_boost(source: &Path, directory: &Path) -> Option<Trial> {
    let mut all = languages().into_iter().rev();
    let language = all.find(|language| holds(HAS_BOOST_ASIO, *language, directory))?;
    let source = source.to_owned();
    let name = format!("{} (Boost.Asio)", stem(&source));
    let check = move || {
        let support = format!("-I{}", root().join("tests/c/support").display());
        let flags = [&WARNINGS[..], &["-DVCP_USE_BOOST_ASIO", &support]].concat();
        assert!(compiles(language, &flags, &source));
        Ok(())
    };
    Some(Trial::test(name, check).with_kind(format!("{} {}", language.0, language.1)))
}

type Check = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

fn in_each_language(source: &Path, check: impl Fn(Language) -> Check) -> Vec<Trial> {
    in_languages(source, languages(), check)
}

/// One test for each language. Where there is none, that is shown.
fn in_languages(
    source: &Path,
    languages: Vec<Language>,
    check: impl Fn(Language) -> Check,
) -> Vec<Trial> {
    if languages.is_empty() {
        let name = format!("{}: NOT RUN: Asio is missing (libasio-dev)", stem(source));
        return vec![Trial::test(name, || Ok(())).with_ignored_flag(true)];
    }
    let languages = languages.into_iter();
    languages
        .map(|language| {
            let kind = format!("{} {}", language.0, language.1);
            Trial::test(stem(source), check(language)).with_kind(kind)
        })
        .collect()
}

/// C++: hpp: owners, counts of bytes and errors are nodiscard: where the result of a line of the
/// file is dropped, the compiler warns; where it is used, it does not.
fn nothing_is_dropped(directory: &Path) -> Vec<Trial> {
    let list = root().join("tests/cpp/never_dropped.txt");
    in_each_language(&list, |language| {
        let (list, directory) = (list.clone(), directory.to_owned());
        Box::new(move || {
            let expected = ["static_cast<void>(sizeof(std::expected<int, int>))".to_owned()];
            let has_expected = compile_calls(language, &expected, &directory)?.is_some();
            let listed = std::fs::read_to_string(list)?;
            let is_known = |call: &&str| has_expected || !call.contains("_expected");
            let dropped: Vec<String> = listed.lines().filter(is_known).map(str::to_owned).collect();
            let used: Vec<String> = dropped
                .iter()
                .map(|call| format!("static_cast<void>({call})"))
                .collect();
            assert_eq!(compile_calls(language, &used, &directory)?, Some(vec![]));
            let all = (0..dropped.len()).collect();
            assert_eq!(compile_calls(language, &dropped, &directory)?, Some(all));
            Ok(())
        })
    })
}

/// Compiles a function that makes these calls, one a line; the numbers of those whose dropped
/// result is warned of. `None`: it does not compile.
fn compile_calls(
    (compiler, standard): Language,
    calls: &[String],
    directory: &Path,
) -> std::io::Result<Option<Vec<usize>>> {
    let source = directory.join(format!("never_dropped-{compiler}-{standard}.cpp"));
    let parameters = "vcp::pool &pool, vcp::conn &conn, vcp::queue &queue, char *buffer, \
                      vcp::session_pool<int> &sessions, vcp::session<int> &session";
    let body: String = calls.iter().map(|call| format!("    {call};\n")).collect();
    let text = format!("#include <vconnpool.hpp>\nvoid f({parameters}) {{\n{body}}}\n");
    std::fs::write(&source, text)?;
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).arg("-fsyntax-only");
    command.arg("-I").arg(root().join("include")).arg(&source);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let warnings = said
        .lines()
        .filter(|line| line.contains("[-Wunused-result]"));
    let numbers = warnings.filter_map(|line| line.split(".cpp:").nth(1)?.split(':').next());
    // The calls begin in the third line.
    let warned = numbers.filter_map(|number| number.parse::<usize>().ok()?.checked_sub(3));
    Ok(output.status.success().then(|| warned.collect()))
}

fn main() {
    let (words, arguments) = command_line();
    let mut files = files_below(&root().join("tests/cpp"), &["cpp"]);
    let examples = files_below(&root().join("examples/c"), &["cpp"]);
    files.extend(examples.iter().cloned());
    let named = files.iter().map(|file| (stem(file), c_tests(file)));
    let programs: Vec<_> = named.collect();
    let choice = Choice::new(words, &programs);
    let directory = output_directory("cpp_programs");
    let mut all = Vec::new();
    for (source, (name, tests)) in files.iter().zip(&programs) {
        all.extend(match choice.part_of(name, tests) {
            Part::Whole if examples.contains(source) => builds(source, &directory),
            Part::Whole => whole(source, &directory),
            Part::Tests(chosen) if chosen.is_empty() => Vec::new(),
            Part::Tests(chosen) => {
                let names: Vec<String> = chosen.into_iter().map(|test| test.name).collect();
                trials(source, &names, &directory)
            }
        });
    }
    if matches!(choice.part_of("never_dropped", &[]), Part::Whole) {
        all.extend(nothing_is_dropped(&directory));
    }
    libtest_mimic::run(&arguments, all).exit();
}
