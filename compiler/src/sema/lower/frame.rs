//! The names that a piece of text sees.

use rustc_hash::FxHashMap;

use super::{Filter, Value};
use crate::diag::Span;
use crate::syntax::ast;
use crate::types::DimId;
use std::rc::Rc;

/// What a name of a dimension stands for.
#[derive(Clone, Debug)]
pub(in crate::sema) enum DimBinding<'a> {
    /// One dimension or, in a function, the list that the caller gave.
    Dims(Rc<[DimId]>),
    /// A name that the kernel does not have; `stack` may make it.
    Unknown(&'a ast::Ident),
    /// A local dimension whose size is a mistake that has its message.
    Poison,
}

/// The names that a piece of text sees: those of a kernel, of one inlining of a function, or of a constant.
pub(in crate::sema) struct Frame<'a> {
    /// The function that is inlined.
    pub(in crate::sema) function: Option<&'a ast::FnDecl>,
    /// Whether names are those of the prelude alone.
    pub(in crate::sema) in_prelude: bool,
    /// Whether it is a part of a reduction, which sees no dimensions.
    pub(in crate::sema) is_part: bool,
    /// Where it is called.
    pub(in crate::sema) call: Span,
    /// A function's dimensions, and those that a block declares.
    pub(in crate::sema) dims: FxHashMap<&'a str, DimBinding<'a>>,
    /// The filter that a reduction of the prelude is called with.
    pub(in crate::sema) filter: Option<Filter>,
    pub(super) values: FxHashMap<&'a str, Value<'a>>,
    undo: Vec<Undo<'a>>,
}

/// What a name stood for before it was bound.
enum Undo<'a> {
    Value(&'a str, Option<Value<'a>>),
    Dim(&'a str, Option<DimBinding<'a>>),
}

impl<'a> Frame<'a> {
    pub(in crate::sema) fn new(function: Option<&'a ast::FnDecl>, in_prelude: bool, call: Span) -> Frame<'a> {
        let (dims, values) = Default::default();
        let (is_part, filter, undo) = (false, None, Vec::new());
        Frame { function, in_prelude, is_part, call, dims, filter, values, undo }
    }

    /// For a part of a reduction.
    pub(in crate::sema) fn part(in_prelude: bool, call: Span) -> Frame<'a> {
        Frame { is_part: true, ..Frame::new(None, in_prelude, call) }
    }

    pub(in crate::sema) fn bind(&mut self, name: &'a str, value: Value<'a>) {
        let old = self.values.insert(name, value);
        self.undo.push(Undo::Value(name, old));
    }

    pub(in crate::sema) fn bind_dim(&mut self, name: &'a str, dim: DimBinding<'a>) {
        let old = self.dims.insert(name, dim);
        self.undo.push(Undo::Dim(name, old));
    }

    /// What is bound from here on can be forgotten by `unbind`.
    pub(in crate::sema) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Forgets what was bound after the mark.
    pub(in crate::sema) fn unbind(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Value(name, Some(value))) => drop(self.values.insert(name, value)),
                Some(Undo::Value(name, None)) => drop(self.values.remove(name)),
                Some(Undo::Dim(name, Some(dim))) => drop(self.dims.insert(name, dim)),
                Some(Undo::Dim(name, None)) => drop(self.dims.remove(name)),
                None => return,
            }
        }
    }
}
