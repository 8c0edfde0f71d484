//! The prelude: the library written in the language. Its texts are indexed by name once per process; an item is
//! parsed when it is first used, so that a kernel pays only for what it calls.
//!
//! What the index relies on, and a test checks: items begin in the first column, and what follows an item (a comment,
//! documentation) does too.

use std::sync::OnceLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diag::{FileId, Span};
use crate::syntax::{self, ast};

/// The texts, with their names.
pub const FILES: [(&str, &str); 7] = [
    ("<prelude/math.act>", include_str!("../../prelude/math.act")),
    ("<prelude/reduce.act>", include_str!("../../prelude/reduce.act")),
    ("<prelude/activation.act>", include_str!("../../prelude/activation.act")),
    ("<prelude/glu.act>", include_str!("../../prelude/glu.act")),
    ("<prelude/softmax.act>", include_str!("../../prelude/softmax.act")),
    ("<prelude/norm.act>", include_str!("../../prelude/norm.act")),
    ("<prelude/loss.act>", include_str!("../../prelude/loss.act")),
];

/// The text of the reductions: functions that use the dimensions in their brackets only to reduce over all of them, or to
/// ask for their size or a position. They take a filter, `mean[d where c](x)`.
const REDUCTIONS: &str = "<prelude/reduce.act>";

/// The file that spans in the prelude name. It is in no `Sources`; no message ends there.
const FILE: FileId = FileId(u32::MAX - 1);

/// Whether a place lies in the prelude.
pub(super) fn holds(span: Span) -> bool {
    span.file == FILE
}

struct Entry {
    text: &'static str,
    item: OnceLock<ast::Item>,
}

impl Entry {
    fn item(&self) -> &ast::Item {
        self.item.get_or_init(|| {
            let mut file = syntax::parse(self.text, FILE)
                .unwrap_or_else(|errors| panic!("the prelude does not parse: {errors:?}\n{}", self.text));
            file.items.pop().unwrap_or_else(|| panic!("no item in this part of the prelude:\n{}", self.text))
        })
    }
}

/// Items by name.
struct Index {
    /// Functions: first those without dimensions in brackets, then those with.
    functions: [FxHashMap<&'static str, Entry>; 2],
    consts: FxHashMap<&'static str, Entry>,
    /// `reduction` items.
    folds: FxHashMap<&'static str, Entry>,
    /// The functions of [`REDUCTIONS`].
    reductions: FxHashSet<&'static str>,
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index {
            functions: Default::default(),
            consts: FxHashMap::default(),
            folds: FxHashMap::default(),
            reductions: FxHashSet::default(),
        };
        for (file, text) in FILES {
            chunks(text).for_each(|chunk| index.add(chunk, file == REDUCTIONS));
        }
        index
    })
}

impl Index {
    fn add(&mut self, text: &'static str, is_reduction: bool) {
        let entry = Entry { text, item: OnceLock::new() };
        if let Some(rest) = text.strip_prefix("fn ") {
            let end = rest.find(['[', '(']).unwrap_or(rest.len());
            if is_reduction {
                self.reductions.insert(&rest[..end]);
            }
            self.functions[usize::from(rest[end..].starts_with('['))].insert(&rest[..end], entry);
        } else if let Some(rest) = text.strip_prefix("const ") {
            self.consts.insert(rest.split([' ', '=']).next().unwrap_or(rest), entry);
        } else if let Some(rest) = text.strip_prefix("reduction ") {
            self.folds.insert(rest.split([' ', '{']).next().unwrap_or(rest), entry);
        }
    }
}

/// The items of a text: each from its keyword up to the next line that begins in the first column with anything but
/// a closing brace.
fn chunks(text: &'static str) -> impl Iterator<Item = &'static str> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '}', '\n', ')']) {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    let parts: Vec<&'static str> = starts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
    parts.into_iter()
}

/// The function of that name, with or without dimensions in brackets.
pub(super) fn function(name: &str, with_dims: bool) -> Option<&'static ast::FnDecl> {
    match &index().functions[usize::from(with_dims)].get(name)?.item().kind {
        ast::ItemKind::Fn(function) => Some(function),
        other => panic!("`{name}` in the prelude is {other:?}"),
    }
}

/// The reduction of that name.
pub(super) fn reduction(name: &str) -> Option<&'static ast::ReductionDecl> {
    match &index().folds.get(name)?.item().kind {
        ast::ItemKind::Reduction(reduction) => Some(reduction),
        other => panic!("`{name}` in the prelude is {other:?}"),
    }
}

/// The constant of that name.
pub(super) fn constant(name: &str) -> Option<&'static ast::Const> {
    match &index().consts.get(name)?.item().kind {
        ast::ItemKind::Const(constant) => Some(constant),
        other => panic!("`{name}` in the prelude is {other:?}"),
    }
}

/// Whether the function of that name, with dimensions in brackets, takes a filter.
pub(super) fn takes_filter(name: &str) -> bool {
    index().reductions.contains(name)
}

/// The names of all functions that take a filter.
pub(super) fn filtered_names() -> impl Iterator<Item = &'static str> {
    index().reductions.iter().copied()
}

/// The names of all functions, with or without dimensions in brackets.
pub fn function_names(with_dims: bool) -> impl Iterator<Item = &'static str> {
    index().functions[usize::from(with_dims)].keys().copied()
}
