//! The table of a file's items, by name.

use rustc_hash::FxHashMap;

use super::MAX_PARAMS;
use crate::diag::{Diagnostic, Diagnostics, Span, codes};
use crate::syntax::ast::{self, ItemKind};

/// The items of the user's file.
pub(super) struct Items<'a> {
    /// Functions; those with and without dimensions in brackets are apart.
    pub(super) functions: FxHashMap<(&'a str, bool), &'a ast::FnDecl>,
    /// Constants.
    pub(super) consts: FxHashMap<&'a str, &'a ast::Const>,
    /// Constants in the order of the text.
    pub(super) const_list: Vec<&'a ast::Const>,
    /// Kernels in the order of the text, each name once.
    pub(super) kernels: Vec<(&'a ast::Item, &'a ast::Kernel)>,
    /// Examples in the order of the text.
    pub(super) examples: Vec<(&'a ast::Item, &'a ast::ExampleDecl)>,
    /// Schedules in the order of the text.
    pub(super) schedules: Vec<&'a ast::ScheduleDecl>,
    /// Reductions.
    pub(super) reductions: FxHashMap<&'a str, &'a ast::ReductionDecl>,
}

impl<'a> Items<'a> {
    /// Collects the items; says which names are given twice and which items are not supported yet.
    pub(super) fn collect(file: &'a ast::File, diagnostics: &mut Diagnostics) -> Items<'a> {
        let mut items = Items {
            functions: FxHashMap::default(),
            consts: FxHashMap::default(),
            const_list: Vec::new(),
            kernels: Vec::new(),
            examples: Vec::new(),
            schedules: Vec::new(),
            reductions: FxHashMap::default(),
        };
        let mut kernel_spans: FxHashMap<&'a str, Span> = FxHashMap::default();
        for item in &file.items {
            match &item.kind {
                ItemKind::Fn(function) => items.add_function(function, diagnostics),
                ItemKind::Const(constant) => items.add_const(constant, diagnostics),
                ItemKind::Kernel(kernel) => {
                    check_param_count(&kernel.name, kernel.params.len(), diagnostics);
                    match kernel_spans.insert(kernel.name.as_str(), kernel.name.span) {
                        None => items.kernels.push((item, kernel)),
                        Some(first) => diagnostics.push(duplicate("kernel", &kernel.name, first)),
                    }
                }
                ItemKind::Derived(derived) => {
                    diagnostics.push(not_yet(&format!("`{}`", derived.transform.name), item.span));
                }
                ItemKind::Reduction(reduction) => match items.reductions.get(reduction.name.as_str()) {
                    Some(first) => diagnostics.push(duplicate("reduction", &reduction.name, first.name.span)),
                    None => drop(items.reductions.insert(reduction.name.as_str(), reduction)),
                },
                ItemKind::Schedule(schedule) => items.schedules.push(schedule),
                ItemKind::Example(example) => items.examples.push((item, example)),
                // `syntax::uses` has put the items of the file beside those of this one.
                ItemKind::Use(_) => {}
            }
        }
        for item in &file.items {
            if let ItemKind::Reduction(reduction) = &item.kind
                && let Some(function) = items.functions.get(&(reduction.name.as_str(), true))
            {
                let message =
                    format!("`{}` is a reduction and a function of dimensions", reduction.name.name);
                let error = Diagnostic::error(codes::DUPLICATE_ITEM, reduction.name.span, message);
                diagnostics.push(error.with_other(function.name.span, "the function"));
            }
        }
        items
    }

    fn add_function(&mut self, function: &'a ast::FnDecl, diagnostics: &mut Diagnostics) {
        check_param_count(&function.name, function.params.len(), diagnostics);
        let key = (function.name.as_str(), !function.dims.is_empty());
        match self.functions.get(&key) {
            Some(first) => diagnostics.push(duplicate("function", &function.name, first.name.span)),
            None => drop(self.functions.insert(key, function)),
        }
    }

    fn add_const(&mut self, constant: &'a ast::Const, diagnostics: &mut Diagnostics) {
        match self.consts.get(constant.name.as_str()) {
            Some(first) => diagnostics.push(duplicate("constant", &constant.name, first.name.span)),
            None => {
                self.consts.insert(constant.name.as_str(), constant);
                self.const_list.push(constant);
            }
        }
    }
}

fn check_param_count(name: &ast::Ident, count: usize, diagnostics: &mut Diagnostics) {
    if count > MAX_PARAMS {
        let message = format!("`{}` has {count} parameters; at most {MAX_PARAMS} are allowed", name.name);
        diagnostics.push(Diagnostic::error(codes::TOO_MANY_PARAMS, name.span, message));
    }
}

fn duplicate(what: &str, name: &ast::Ident, first: Span) -> Diagnostic {
    let message = format!("there are two {what}s with the name `{}`", name.name);
    Diagnostic::error(codes::DUPLICATE_ITEM, name.span, message)
        .with_label("the second one")
        .with_other(first, "the first one")
}

/// The message about a part of the language that this compiler does not have yet.
pub(super) fn not_yet(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error(codes::NOT_YET, span, format!("{what} is not supported yet"))
        .with_note("it is part of the language, but this version of the compiler can't compile it")
}
