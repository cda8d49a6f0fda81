//! A page of docs/guide taken apart: its fenced blocks, its headings, its links.

use std::path::{Path, PathBuf};

use crate::programs::Outcome;
use crate::sources::{files_below, read, root};

/// One fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

impl Block {
    /// The name of the file that it is, if it is a whole one: its first line is a comment that
    /// begins with that name.
    pub(crate) fn file_name(&self) -> Option<&str> {
        let first = self.text.lines().next()?;
        let comment = first
            .strip_prefix("/* ")
            .or_else(|| first.strip_prefix("// "))?;
        let name = comment.split(' ').next()?;
        let end = Path::new(name).extension()?.to_str()?;
        ["c", "cpp"].contains(&end).then_some(name)
    }
}

/// A page, by its path.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            text: read(path),
        }
    }

    /// Its file's name without the extension.
    pub(crate) fn name(&self) -> &str {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str());
        stem.expect("a page has a name")
    }

    pub(crate) fn blocks(&self) -> Outcome<Vec<Block>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in self.text.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    open = Some(Block {
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        match open {
            None => Ok(blocks),
            Some(block) => Err(format!(
                "{}: a block of {} does not end",
                self.name(),
                block.language
            )),
        }
    }

    /// The lines outside of blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_inside = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            is_inside ^= is_fence;
            !is_inside && !is_fence
        })
    }

    /// Where its links lead: `(is a picture, the text, the target)`.
    pub(crate) fn links(&self) -> Vec<(bool, String, String)> {
        let prose: Vec<&str> = self.prose().collect();
        let prose = prose.join(" ");
        let mut found = Vec::new();
        let mut rest = prose.as_str();
        while let Some((before, after)) = rest.split_once("](") {
            let (target, tail) = after.split_once(')').expect("a link ends");
            let (lead, text) = before.rsplit_once('[').expect("a link begins");
            found.push((lead.ends_with('!'), text.to_owned(), target.to_owned()));
            rest = tail;
        }
        found
    }
}

/// The pages of the guide, the index too.
pub(crate) fn all() -> Vec<Page> {
    let files = files_below(&root().join("docs/guide"), &["md"]);
    files.iter().map(|path| Page::at(path)).collect()
}
