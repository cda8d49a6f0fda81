//! The shape of the source: where imports may point, how long a file may be, what a name may say.
//!
//! Each test prints what it counted (`cargo test --test shape -- --nocapture`). The orders are the
//! ones that docs/architecture.md draws: a room imports only what stands before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprLit, ItemMod, ItemUse, Lit, Meta, Signature, UseName, UseRename, UseTree,
};

/// The layers, lowest first (lib.rs draws them).
const LAYERS: [&str; 8] = [
    "values",
    "sync",
    "sys",
    "handle",
    "thread_pool",
    "dial",
    "pool",
    "ffi",
];

/// The rooms inside a layer, lowest first. `mod` is the layer's own mod.rs.
const ROOMS: [(&str, &[&str]); 3] = [
    (
        "pool",
        &[
            "state",
            "errors",
            "settings",
            "callbacks",
            "engine",
            "conn",
            "mod",
            "runtime",
            "events",
            "transition",
            "thread_cache",
            "report",
            "lend",
            "dialing",
            "background",
            "entry",
        ],
    ),
    ("dial", DIAL_ROOMS),
    ("ffi", FFI_ROOMS),
];
const DIAL_ROOMS: &[&str] = &[
    "bounded",
    "callbacks",
    "caller",
    "resolve",
    "race",
    "dialer",
    "drive",
    "mod",
];
const FFI_ROOMS: &[&str] = &[
    "basics",
    "handles",
    "fork",
    "guard",
    "arguments",
    "callback_types",
    "callbacks",
    "session",
    "callback_adapter",
    "cancel",
    "conn",
    "dial",
    "pool",
    "queue",
    "mod",
];
/// A connection lives in its pool and names it; nothing else looks up.
const NAMED_PAIRS: [(&str, &str); 1] = [("conn", "mod")];

const MAY_BE_UNSAFE: [&str; 3] = ["sys", "handle", "ffi"];
/// A file is one noun; longer ones hold two. Its unit tests count.
const LONGEST_FILE: usize = 400;
const MOST_ENTRIES: usize = 16;
const WIDEST_LINE: usize = 100;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory` with one of the extensions; build outputs are left out.
fn files_below(directory: &str, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, extensions: &[&str], found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).expect("a directory can be listed") {
            let path = entry.expect("a directory can be listed").path();
            let name = path
                .file_name()
                .expect("an entry has a name")
                .to_string_lossy();
            if path.is_dir() {
                if !name.starts_with("target") && name != "build" {
                    collect(&path, extensions, found);
                }
            } else if extensions.iter().any(|one| name.ends_with(one)) {
                let text = fs::read_to_string(&path).expect("a source file is text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join(directory), extensions, &mut found);
    for (path, _) in &mut found {
        *path = path.strip_prefix(root()).expect("below root").to_owned();
    }
    found.sort();
    found
}

/// The files of src, by their module's path: `src/pool/conn/io.rs` is `pool::conn::io`,
/// `src/pool/mod.rs` is `pool`.
fn modules() -> BTreeMap<String, String> {
    let files = files_below("src", &[".rs"]);
    assert!(files.len() > 100, "src was found");
    files
        .into_iter()
        .map(|(path, text)| {
            let path = path.strip_prefix("src").expect("below src");
            let path = path.with_extension("").to_string_lossy().replace('/', "::");
            let path = path
                .strip_suffix("::mod")
                .map_or(path.clone(), str::to_owned);
            (path, text)
        })
        .filter(|(path, _)| path != "lib")
        .collect()
}

/// What a file names, and what it defines.
#[derive(Default)]
struct Seen {
    /// The module that is being visited: inline modules are below their file's.
    module: Vec<String>,
    /// Full paths of what is named by `crate::`, `super::` or `self::`.
    named: Vec<Vec<String>>,
    types: Vec<String>,
    /// Functions whose names ask, and which take `&mut self`.
    commands_that_ask: Vec<String>,
    docs: Vec<String>,
}

impl Seen {
    fn of(module: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{module}: {error}"));
        let mut seen = Self {
            module: module.split("::").map(str::to_owned).collect(),
            ..Self::default()
        };
        seen.visit_file(&file);
        seen
    }

    /// Where a path leads that begins at the crate or at the module; `None`: outside.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            _ => return None,
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|one| one == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn name(&mut self, path: &[String]) {
        self.named.extend(self.resolve(path));
    }

    fn name_tree(&mut self, prefix: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.name_tree(prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.name_tree(prefix, tree);
                }
            }
            UseTree::Glob(_) => self.name(prefix),
            UseTree::Name(UseName { ident }) | UseTree::Rename(UseRename { ident, .. }) => {
                let is_self = ident == "self" && !prefix.is_empty();
                let mut path = prefix.clone();
                path.extend((!is_self).then(|| ident.to_string()));
                self.name(&path);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.name_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|one| one.ident.to_string())
            .collect();
        if segments.len() > 1 {
            self.name(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.types.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.types.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.types.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.types.push(item.ident.to_string());
        visit::visit_item_type(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        let name = signature.ident.to_string();
        let asks = name.starts_with("is_") || name.starts_with("has_");
        let changes = signature
            .receiver()
            .is_some_and(|receiver| receiver.mutability.is_some() && receiver.reference.is_some());
        if asks && changes {
            self.commands_that_ask.push(name);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let (true, Meta::NameValue(doc)) = (attribute.path().is_ident("doc"), &attribute.meta) {
            if let Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) = &doc.value
            {
                self.docs.push(text.value().trim().to_owned());
            }
        }
    }
}

fn seen() -> BTreeMap<String, Seen> {
    let modules = modules();
    let seen = modules.iter();
    seen.map(|(module, text)| (module.clone(), Seen::of(module, text)))
        .collect()
}

/// The file in which a path ends.
fn file_of<'a>(path: &[String], files: &'a BTreeMap<String, Seen>) -> Option<&'a str> {
    (1..=path.len()).rev().find_map(|length| {
        let (file, _) = files.get_key_value(&path[..length].join("::"))?;
        Some(file.as_str())
    })
}

/// Every import from one file to another.
fn imports(files: &BTreeMap<String, Seen>) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    for (file, seen) in files {
        let targets = seen.named.iter().filter_map(|path| file_of(path, files));
        found.extend(
            targets
                .filter(|to| to != file)
                .map(|to| (file.as_str(), to)),
        );
    }
    found
}

fn rank(order: &[&str], name: &str, whose: &str) -> usize {
    order
        .iter()
        .position(|one| *one == name)
        .unwrap_or_else(|| panic!("{whose}: {name} has no place in the order of tests/shape.rs"))
}

#[test]
fn layers_import_what_stands_below() {
    let files = seen();
    let layer = |file: &str| file.split("::").next().expect("not empty").to_owned();
    for (from, to) in imports(&files) {
        let (own, other) = (layer(from), layer(to));
        assert!(
            rank(&LAYERS, &other, to) <= rank(&LAYERS, &own, from),
            "{from} imports {to}, which stands above"
        );
    }
}

#[test]
fn rooms_import_what_stands_before_them() {
    let files = seen();
    let imports = imports(&files);
    println!("{} imports between {} files", imports.len(), files.len());
    let mut up = Vec::new();
    for (layer, order) in ROOMS {
        let room = |file: &str| {
            let rest = file.strip_prefix(layer)?;
            let rest = rest.strip_prefix("::").unwrap_or("mod");
            Some(rest.split("::").next().expect("not empty").to_owned())
        };
        for (from, to) in &imports {
            let (Some(own), Some(other)) = (room(from), room(to)) else {
                continue;
            };
            // A layer's mod.rs lists its rooms; what it re-exports is no import.
            let is_down = rank(order, &other, to) <= rank(order, &own, from);
            if !is_down && !NAMED_PAIRS.contains(&(own.as_str(), other.as_str())) {
                up.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(up.is_empty(), "imports that run back up: {up:#?}");
}

/// A folder's mod.rs may name the files that it is made of; apart from that no file imports one
/// that imports it, over any number of files.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = seen();
    let edges: Vec<(&str, &str)> = imports(&files)
        .into_iter()
        .filter(|(from, to)| !to.starts_with(&format!("{from}::")))
        .filter(|(from, to)| !(from.starts_with("pool::conn") && *to == "pool"))
        .collect();
    let mut left: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    loop {
        let free: Vec<&str> = left
            .iter()
            .copied()
            .filter(|file| {
                !edges
                    .iter()
                    .any(|(from, to)| from == file && left.contains(to))
            })
            .collect();
        if free.is_empty() {
            break;
        }
        for file in free {
            left.remove(file);
        }
    }
    let tied: Vec<_> = edges
        .iter()
        .filter(|(from, to)| left.contains(from) && left.contains(to))
        .collect();
    assert!(left.is_empty(), "circles: {tied:#?}");
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    for (file, text) in modules() {
        let layer = file.split("::").next().expect("not empty");
        assert!(
            MAY_BE_UNSAFE.contains(&layer) || text.contains("#![forbid(unsafe_code)]"),
            "{file}: #![forbid(unsafe_code)] is missing"
        );
    }
}

#[test]
fn every_file_says_what_it_does_and_is_short() {
    let mut longest = (0, String::new());
    for (file, text) in modules() {
        assert!(text.starts_with("//!"), "{file} does not open with //!");
        longest = longest.max((text.lines().count(), file));
    }
    println!("longest file: {} lines, {}", longest.0, longest.1);
    assert!(longest.0 <= LONGEST_FILE, "{longest:?}");
}

#[test]
fn no_folder_is_crowded() {
    fn check(folder: &Path, most: &mut (usize, PathBuf)) {
        let entries = fs::read_dir(folder).expect("a folder can be listed");
        let paths: Vec<_> = entries.map(|one| one.expect("an entry").path()).collect();
        *most = (paths.len(), folder.to_owned()).max(most.clone());
        for path in paths.iter().filter(|path| path.is_dir()) {
            check(path, most);
        }
    }
    let mut most = (0, PathBuf::new());
    check(&root().join("src"), &mut most);
    println!("fullest folder: {} entries, {}", most.0, most.1.display());
    assert!(most.0 <= MOST_ENTRIES, "{most:?}");
}

#[test]
fn a_type_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, seen) in seen() {
        for name in seen.types {
            places.entry(name).or_default().push(file.clone());
        }
    }
    println!("{} type names", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "defined more than once: {places:#?}");
}

#[test]
fn a_name_that_asks_changes_nothing() {
    for (file, seen) in seen() {
        let found = seen.commands_that_ask;
        assert!(found.is_empty(), "{file}: {found:?} take &mut self");
    }
}

#[test]
fn a_doc_comment_can_be_read_alone() {
    let hollow = ["The same", "See the module", "From now on", "As above"];
    for (file, seen) in seen() {
        for doc in seen.docs {
            let found = hollow.iter().find(|one| doc.starts_with(**one));
            assert!(found.is_none(), "{file}: \"{doc}\"");
        }
    }
}

#[test]
fn no_line_is_too_wide() {
    let mut wide = Vec::new();
    for (directory, extensions) in [
        ("src", &[".rs"][..]),
        ("tests", &[".rs", ".c", ".h", ".cpp", ".hpp"]),
        ("benches", &[".rs", ".c", ".h", ".cpp"]),
        ("examples", &[".c", ".h", ".cpp"]),
        ("include", &[".h", ".hpp"]),
    ] {
        for (path, text) in files_below(directory, extensions) {
            let lines = text.lines().enumerate();
            let too_wide = lines.filter(|(_, line)| line.chars().count() > WIDEST_LINE);
            wide.extend(too_wide.map(|(at, _)| format!("{}:{}", path.display(), at + 1)));
        }
    }
    let count = wide.len();
    assert!(
        wide.is_empty(),
        "{count} lines over {WIDEST_LINE}: {wide:#?}"
    );
}

#[test]
fn the_fields_words_are_used() {
    let private = [
        "the long way",
        "the short way",
        "SHELVED",
        "Absence",
        "spoil(",
    ];
    for (path, text) in files_below("src", &[".rs"]) {
        for word in private {
            assert!(!text.contains(word), "{}: \"{word}\"", path.display());
        }
    }
}
