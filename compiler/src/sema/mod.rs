//! Syntax tree → graph: the names are looked up, functions are inlined, dimensions and dtypes are worked out. All
//! mistakes of the user end here: what comes out is a graph that keeps every rule of [`crate::graph`].
//!
//! | file | what it does |
//! |---|---|
//! | `items` | the table of a file's items; duplicates |
//! | `resolve` | checks every name of the user's text, also in functions that nobody calls; unused names |
//! | `dims` | a kernel's declared types → its dimensions, their sizes and their canonical order |
//! | `lower` | expressions → nodes; what stands around them in a kernel |
//! | `calls` | calls: built-ins, inlining |
//! | `examples` | `example` items: which inputs they give, what they expect |
//! | `filter` | `sum[j where c](e)` |
//! | `gather` | indexing with positions that are known while compiling |
//! | `local` | local dimensions, values read along other names |
//! | `repeat` | `iterate`, `unfold` |
//! | `reductions` | `reduction` items |
//! | `infer` | dtypes: what a function's operands become |
//! | `number` | numbers that are known while compiling |
//! | `builtin`, `prelude` | the functions there are |
//! | `schedule` | `schedule` items |
//! | `suggest` | "did you mean" |
//!
//! A kernel is lowered even if another one, or another part of it, is wrong, so that one run reports as many mistakes
//! as it can. What is wrong yields a poisoned value, about which nothing more is said.
//!
//! # Limits
//!
//! Whatever the text, memory and time stay bounded: at most [`MAX_NODES`] nodes for each kernel, [`MAX_STEPS`] expressions
//! for each run, [`MAX_NESTING`] nested expressions with all inlined functions, [`crate::types::MAX_DIMS`] dimensions,
//! [`MAX_PARAMS`] parameters, [`MAX_PART`] operations and [`MAX_STATES`] numbers in a reduction. Each has a message.

mod builtin;
mod calls;
mod computed;
mod dims;
mod examples;
mod filter;
mod gather;
mod infer;
mod items;
mod local;
mod looped;
mod lower;
mod number;
mod order;
pub mod prelude;
mod reductions;
mod repeat;
mod resolve;
mod schedule;
mod suggest;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diag::{Diagnostic, Diagnostics, Severity, Sources, Span, codes};
use crate::graph::Graph;
use crate::syntax::ast;
use crate::types::DType;
pub use examples::{Example, Expected, Given, Relation};
use items::Items;
use lower::Value;

/// The largest number of nodes of one kernel, before fixed-size dimensions are unrolled.
pub const MAX_NODES: usize = 20_000;

/// The largest number of nodes of one kernel with its fixed-size dimensions unrolled.
pub const MAX_UNROLLED: u64 = 100_000;

/// The largest fixed-size dimension that is unrolled.
pub const MAX_UNROLLED_SIZE: i64 = 64;

/// The largest number of steps of `unfold`, and of an `iterate` that is no loop.
pub const MAX_STATE_STEPS: i64 = 64;

/// The largest number of expressions that one run looks at; an expression in a function counts for each call.
pub const MAX_STEPS: usize = 2_000_000;

/// How deep expressions may nest, with the functions inlined into them.
pub const MAX_NESTING: usize = 300;

/// The largest number of operations in a part of a `reduction`.
pub const MAX_PART: usize = 500;

/// The largest number of numbers in the state of a `reduction`.
pub const MAX_STATES: usize = 16;

/// The largest number of parameters of a kernel or a function.
pub const MAX_PARAMS: usize = 256;

/// The largest size of a dimension: sizes and positions are below 2^31.
pub const MAX_SIZE: i64 = i32::MAX as i64;

/// What may be chosen from outside.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Sizes of dimension parameters, instead of their defaults.
    pub dims: Vec<(String, i64)>,
    /// The dtypes of dtype parameters, instead of their defaults.
    pub dtypes: Vec<(String, DType)>,
}

/// Graphs, and what there is to warn of.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The kernels in the order of the text.
    pub graphs: Vec<Graph>,
    /// The examples in the order of the text.
    pub examples: Vec<Example>,
    /// Warnings only.
    pub warnings: Diagnostics,
}

/// Lowers every kernel of a file, or says what is wrong with it. `sources` holds its text, for messages.
pub fn lower(file: &ast::File, sources: &Sources, options: &Options) -> Result<Lowered, Diagnostics> {
    let mut session = Session::new(file, sources);
    let kernels = session.items.kernels.clone();
    session.check_options(&kernels, options);
    session.run(&kernels, options)
}

/// Lowers one kernel of a file; its other items are checked, its other kernels are not lowered.
pub fn lower_kernel(
    file: &ast::File,
    sources: &Sources,
    name: &str,
    options: &Options,
) -> Result<Lowered, Diagnostics> {
    let mut session = Session::new(file, sources);
    let found = session.items.kernels.iter().find(|(_, kernel)| kernel.name.name == name).copied();
    let Some(found) = found else {
        session.unknown_kernel_at(name, Span::NONE);
        return Err(session.diagnostics);
    };
    session.check_options(&[found], options);
    let others: Vec<Span> = session.items.kernels.iter().map(|(item, _)| item.span).collect();
    let mut lowered = session.run(&[found], options)?;
    let inside = |outer: &Span, span: Span| {
        outer.file == span.file && outer.start <= span.start && span.end <= outer.end
    };
    let in_other = |span| others.iter().any(|outer| *outer != found.0.span && inside(outer, span));
    lowered.warnings.retain(|warning| !in_other(warning.span));
    Ok(lowered)
}

/// Reads the examples of a file; its items are checked, its kernels are not lowered.
pub fn lower_examples(file: &ast::File, sources: &Sources) -> Result<Lowered, Diagnostics> {
    Session::new(file, sources).run(&[], &Options::default())
}

/// The names of a file's kernels, in the order of the text.
pub fn kernel_names(file: &ast::File) -> impl Iterator<Item = &str> {
    file.items.iter().filter_map(|item| match &item.kind {
        ast::ItemKind::Kernel(kernel) => Some(kernel.name.as_str()),
        _ => None,
    })
}

/// An item that is a kernel.
type KernelItem<'a> = (&'a ast::Item, &'a ast::Kernel);

/// What all kernels of one run share.
struct Session<'a> {
    items: Items<'a>,
    sources: &'a Sources,
    diagnostics: Diagnostics,
    reported: FxHashSet<(&'static str, Span, String)>,
    consts: FxHashMap<&'a str, Value<'a>>,
    steps: usize,
}

impl<'a> Session<'a> {
    fn new(file: &'a ast::File, sources: &'a Sources) -> Session<'a> {
        let mut diagnostics = Diagnostics::new();
        let items = Items::collect(file, &mut diagnostics);
        resolve::check(file, &items, &mut diagnostics);
        Session {
            items,
            sources,
            diagnostics,
            reported: FxHashSet::default(),
            consts: FxHashMap::default(),
            steps: 0,
        }
    }

    fn run(mut self, kernels: &[KernelItem<'a>], options: &Options) -> Result<Lowered, Diagnostics> {
        lower::evaluate_consts(&mut self);
        let examples = examples::collect(&mut self);
        let schedules = schedule::collect(&mut self);
        let mut graphs = Vec::new();
        for &(item, kernel) in kernels {
            let graph = lower::lower_kernel(&mut self, (item, kernel), options);
            let asked = schedules.iter().find(|(name, _)| *name == kernel.name.as_str());
            graphs.extend(graph.map(|graph| match asked {
                Some((_, directives)) => Graph { directives: directives.clone(), ..graph },
                None => graph,
            }));
        }
        if self.diagnostics.has_errors() {
            // What is not understood may have been meant as the use of a name.
            self.diagnostics.retain(|found| found.severity == Severity::Error);
            return Err(self.diagnostics);
        }
        assert_eq!(graphs.len(), kernels.len(), "a kernel was lost without a message");
        Ok(Lowered { graphs, examples, warnings: self.diagnostics })
    }

    /// Adds a message, unless the same one was given for another inlining of the same text.
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.reported.len() > 4 * Diagnostics::LIMIT {
            self.reported.clear();
        }
        let key = (diagnostic.code, diagnostic.span, diagnostic.message.clone());
        if self.reported.insert(key) {
            self.diagnostics.push(diagnostic);
        }
    }

    fn unknown_kernel_at(&mut self, name: &str, span: Span) {
        let message = format!("there is no kernel `{name}`");
        let mut error = Diagnostic::error(codes::UNKNOWN_KERNEL, span, message);
        let names: Vec<&str> = self.items.kernels.iter().map(|(_, kernel)| kernel.name.as_str()).collect();
        if let Some(near) = suggest::nearest(name, names.iter().copied()) {
            error = error.with_help(format!("did you mean `{near}`?"));
        } else if !names.is_empty() {
            error = error.with_note(format!("there are {}", list(names.into_iter())));
        }
        self.diagnostics.push(error);
    }

    /// Options must name parameters that one of the kernels has.
    fn check_options(&mut self, kernels: &[KernelItem<'a>], options: &Options) {
        let names = |dtypes: bool| {
            let generics = kernels.iter().flat_map(|(_, kernel)| kernel.generics.iter());
            let wanted = move |generic: &&ast::Generic| {
                matches!(generic.kind, ast::GenericKind::DType { .. }) == dtypes
            };
            generics.filter(wanted).map(|generic| generic.name.as_str())
        };
        for (name, _) in &options.dtypes {
            if !names(true).any(|known| known == name) {
                let message = format!("no kernel has a dtype parameter `{name}`");
                let mut error = Diagnostic::error(codes::UNKNOWN_DTYPE, Span::NONE, message);
                if let Some(near) = suggest::nearest(name, names(true)) {
                    error = error.with_help(format!("did you mean `{near}`?"));
                }
                self.diagnostics.push(error);
            }
        }
        for (name, size) in &options.dims {
            if !names(false).any(|known| known == name) {
                let message = format!("no kernel has a dimension parameter `{name}`");
                let mut error = Diagnostic::error(codes::UNKNOWN_DIM, Span::NONE, message);
                if let Some(near) = suggest::nearest(name, names(false)) {
                    error = error.with_help(format!("did you mean `{near}`?"));
                }
                self.diagnostics.push(error);
            } else if !(1..=MAX_SIZE).contains(size) {
                let message = format!("`{name} = {size}` is not a size: sizes are from 1 to {MAX_SIZE}");
                self.diagnostics.push(Diagnostic::error(codes::BAD_SIZE, Span::NONE, message));
            }
        }
    }
}

/// "`a`, `b` and `c`", at most ten of them.
fn list<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let (count, shown) = (names.len(), 10);
    let mut text = String::new();
    for (at, name) in names.take(shown).enumerate() {
        let separator = match at {
            0 => "",
            _ if at + 1 == count => " and ",
            _ => ", ",
        };
        text.push_str(separator);
        text.push_str(&format!("`{name}`"));
    }
    if count > shown {
        text.push_str(&format!(" and {} more", count - shown));
    }
    text
}
