//! `reduction` items: which parts there are, with which parameters, and the names in them.

use super::{Checker, DimScope, count};
use crate::diag::{Diagnostic, Span, codes};
use crate::sema::reductions::part_of;
use crate::sema::{list, suggest};
use crate::syntax::ast;

/// The parts of a reduction; `step` may be left out.
const PARTS: [&str; 4] = ["empty", "lift", "merge", "step"];

impl<'a> Checker<'_, 'a> {
    /// Checks an item.
    pub(super) fn reduction(&mut self, reduction: &'a ast::ReductionDecl) {
        self.part_names(reduction);
        for part in &reduction.parts {
            if PARTS.contains(&part.name.as_str()) {
                self.part_params(reduction, part);
            }
            self.dims = DimScope::Part(part);
            self.check_unique("parameter", &part.name, part.params.iter());
            for param in &part.params {
                self.bind(param, true);
            }
            match &part.body {
                ast::Body::Block(block) => self.block(block),
                ast::Body::Expr(expr) => self.expr(expr),
            }
            self.unbind(0);
        }
    }

    fn part_names(&mut self, reduction: &'a ast::ReductionDecl) {
        let name = &reduction.name;
        for (at, part) in reduction.parts.iter().enumerate() {
            let own = part.name.as_str();
            if !PARTS.contains(&own) {
                let message = format!("a reduction has no part `{own}`");
                let error = Diagnostic::error(codes::REDUCTION_PART, part.name.span, message);
                self.diagnostics.push(match suggest::nearest(own, PARTS) {
                    Some(near) => error.with_fix(format!("did you mean `{near}`?"), part.name.span, near),
                    None => error.with_note(format!("its parts are {}", list(PARTS.into_iter()))),
                });
            } else if let Some(first) = reduction.parts[..at].iter().find(|first| first.name.name == own) {
                let message = format!("the reduction `{}` has two parts `{own}`", name.name);
                let error = Diagnostic::error(codes::REDUCTION_PART, part.name.span, message);
                self.diagnostics.push(error.with_other(first.name.span, "the first one"));
            }
        }
        let needed = [
            ("empty", "the state over nothing: `empty = (m = -inf, s = 0);`"),
            ("lift", "the state of one element: `lift(x) = (m = x, s = 1);`"),
            ("merge", "two states as one: `merge(a, b) = (s = a.s + b.s);`"),
        ];
        for (part, what) in needed {
            if part_of(reduction, part).is_none() {
                let message = format!("the reduction `{}` has no `{part}`", name.name);
                let error = Diagnostic::error(codes::REDUCTION_PART, name.span, message);
                self.diagnostics.push(error.with_help(format!("it is {what}")));
            }
        }
    }

    fn part_params(&mut self, reduction: &'a ast::ReductionDecl, part: &'a ast::ReductionPart) {
        let (own, have) = (part.name.as_str(), part.params.len());
        let lift = part_of(reduction, "lift").filter(|lift| !lift.params.is_empty());
        let operands: Vec<&str> = match lift {
            Some(lift) => lift.params.iter().map(|param| param.as_str()).collect(),
            None => vec!["x"],
        };
        let place = part.params.iter().fold(part.name.span, |all, param| all.to(param.span));
        let (holds, wanted) = match own {
            "empty" => (have == 0, "takes nothing: `empty = (m = -inf, s = 0);`".to_owned()),
            "lift" => (have > 0, "takes the operands of an element: `lift(x)`".to_owned()),
            "merge" => (have == 2, "takes two states: `merge(a, b)`".to_owned()),
            _ => {
                let wanted =
                    format!("takes a state and what `lift` takes: `step(a, {})`", operands.join(", "));
                (have == operands.len() + 1, wanted)
            }
        };
        if !holds {
            let message = format!("`{own}` {wanted}");
            self.diagnostics.push(Diagnostic::error(codes::REDUCTION_PART, place, message));
        }
    }

    /// The arguments of a call.
    pub(super) fn reduction_args(&mut self, reduction: &'a ast::ReductionDecl, call: &'a ast::Call) {
        let name = &call.callee.name;
        if let Some(named) = call.args.iter().find_map(|arg| arg.name.as_ref()) {
            let message = format!("the arguments of `{name}` have no names");
            let error = Diagnostic::error(codes::UNKNOWN_ARGUMENT, named.span, message)
                .with_note("it is a reduction, and takes them by place");
            self.diagnostics.push(error);
        }
        let Some(lift) = part_of(reduction, "lift") else { return };
        let (have, want) = (call.args.len(), lift.params.len());
        if have != want && want > 0 {
            let message = format!("`{name}` takes {}, but is given {have}", count(want));
            let error = Diagnostic::error(codes::ARGUMENT_COUNT, call.callee.span, message);
            self.diagnostics.push(error.with_other(lift.name.span, "its `lift`"));
        }
    }

    /// The message about a dimension in a part.
    pub(super) fn dim_in_part(&mut self, part: &ast::ReductionPart, text: &str, span: Span) {
        let message = format!("`{}` sees single numbers, and no dimension `{text}`", part.name.name);
        let error = Diagnostic::error(codes::REDUCTION_VALUE, span, message);
        self.diagnostics.push(error.with_help(format!(
            "what depends on a dimension is an argument: `lift(x, i)`, called as `name[{text}](x, index({text}))`"
        )));
    }
}
