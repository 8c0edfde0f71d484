//! `iterate` and `unfold`: a block that is lowered again and again, each time from the state that it gave before.
//!
//! A repetition becomes the nodes of all its steps here, or a loop of the graph ([`looped`](super::looped)). Along
//! a dimension, a step stands at one position: `index(i)` is its number, and a value that has `i` loses it to that position
//! where its name is read ([`Lowerer::at_step`]). So no value inside the block has the dimension, the state included.

use std::rc::Rc;

use super::lower::{Lowerer, Operand, Value};
use super::number::Number;
use super::{MAX_SIZE, MAX_STATE_STEPS, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{NodeId, Op, RepeatId, Steps};
use crate::syntax::ast::{self, Keep};
use crate::types::{DType, DimId, DimSet};

/// How many steps there are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    /// Known while compiling.
    Number(i64),
    /// The size of a dimension.
    Size(DimId),
}

/// Where the steps along a dimension are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Along {
    /// At the step of that number.
    Number(i64),
    /// Somewhere in the loop.
    Loop(RepeatId),
}

/// A tuple as it goes from step to step.
pub(super) type State<'a> = Vec<(&'a str, Operand<'a>)>;

impl<'a> Lowerer<'_, 'a> {
    /// The value of `iterate` or `unfold`: a tuple.
    pub(super) fn repeat(&mut self, repeat: &'a ast::Iterate, span: Span) -> Value<'a> {
        let count = self.step_count(repeat);
        let mut state: State<'a> = Vec::with_capacity(repeat.state.len());
        for field in &repeat.state {
            state.push((field.name.as_str(), self.operand(&field.value)));
        }
        let Some((count, dim)) = count else { return Value::Poison };
        if !self.state_lacks(&state, dim) {
            return Value::Poison;
        }
        if repeat.keep == Keep::Last
            && let Some(value) = self.looped(repeat, &state, (count, dim))
        {
            return value;
        }
        let Count::Number(count) = count else { return Value::Poison };
        let mut kept: Vec<Vec<Operand<'a>>> = vec![Vec::new(); state.len()];
        for step in 0..count {
            let keeps = repeat.keep == Keep::All;
            if keeps {
                kept.iter_mut().zip(&state).for_each(|(kept, (_, value))| kept.push(value.clone()));
            }
            // The state after the last step is not kept; one step is looked at in any case.
            if keeps && step > 0 && step + 1 == count {
                break;
            }
            match self.step(repeat, &state, dim.map(|dim| (dim, Along::Number(step)))) {
                Some(next) if self.state_lacks(&next, dim) => state = next,
                Some(_) | None => return Value::Poison,
            }
        }
        let fields = match (repeat.keep, dim) {
            (Keep::Last, _) => state.into_iter().map(|(name, operand)| (name, operand.value)).collect(),
            (Keep::All, Some(dim)) => {
                let mut fields = Vec::with_capacity(state.len());
                for ((name, _), values) in state.iter().zip(kept) {
                    fields.push((*name, self.stack_values(dim, values, span)));
                }
                fields
            }
            (Keep::All, None) => return Value::Poison,
        };
        Value::Tuple(Rc::new(fields))
    }

    /// How many steps there are, and along which dimension.
    fn step_count(&mut self, repeat: &'a ast::Iterate) -> Option<(Count, Option<DimId>)> {
        let keyword = repeat.keep.keyword();
        let (count, dim) = match &repeat.count {
            ast::Count::Int(count, _) if repeat.keep == Keep::Last => {
                (i64::try_from(*count).unwrap_or(i64::MAX), None)
            }
            // `resolve` has said that it needs a dimension.
            ast::Count::Int(..) => return None,
            ast::Count::Name(name) => {
                let is_dim = repeat.keep == Keep::All || self.knows_dim(name);
                match if is_dim { None } else { self.find_constant(name) } {
                    Some(value) => (self.constant_count(name, value)?, None),
                    None => {
                        let dim = self.one_dim(name, &format!("`{keyword}`"))?;
                        if repeat.keep == Keep::Last && self.graph.dims[dim].fixed().is_none() {
                            return Some((Count::Size(dim), Some(dim)));
                        }
                        (self.fixed_count(name, dim, keyword)?, Some(dim))
                    }
                }
            }
        };
        let most = if repeat.keep == Keep::All { MAX_STATE_STEPS } else { MAX_SIZE };
        if (0..=most).contains(&count) {
            return Some((Count::Number(count), dim));
        }
        let message = if count < 0 {
            format!("`{keyword}` can't have {count} steps")
        } else {
            format!("`{keyword}` has {count} steps; at most {most} are allowed")
        };
        let mut error = Diagnostic::error(codes::TOO_MANY_STEPS, repeat.count.span(), message);
        if repeat.keep == Keep::All {
            error = error.with_note("every step is written out in the kernel");
        }
        self.report(error);
        None
    }

    fn constant_count(&mut self, name: &ast::Ident, value: Value<'a>) -> Option<i64> {
        match value {
            Value::Number(Number::Int(value)) => Some(value),
            Value::Poison => None,
            Value::Number(_) | Value::Bool(_) | Value::Node(_) | Value::Tuple(_) => {
                let message = format!("the constant `{}` is not an integer", name.name);
                self.report(Diagnostic::error(codes::BAD_SIZE, name.span, message));
                None
            }
        }
    }

    fn fixed_count(&mut self, name: &ast::Ident, dim: DimId, keyword: &str) -> Option<i64> {
        let size = self.graph.dims[dim].fixed();
        if size.is_none() {
            let shown = self.graph.dims[dim].name.clone();
            let message = format!("`{keyword}` needs a dimension of fixed size, and `{shown}` is not");
            let error = Diagnostic::error(codes::NOT_FIXED, name.span, message).with_help(format!(
                "give it a size in the type, `{shown}=4`, or make it a parameter of the kernel: `kernel {}<{shown} = 4>(…)`",
                self.graph.name
            ));
            self.report(error);
        }
        size
    }

    /// Lowers the block once; the state after it.
    pub(super) fn step(
        &mut self,
        repeat: &'a ast::Iterate,
        state: &State<'a>,
        place: Option<(DimId, Along)>,
    ) -> Option<State<'a>> {
        let mark = self.frame().mark();
        for (name, value) in state {
            self.frame().bind(name, value.value.clone());
        }
        self.steps.extend(place);
        let value = self.block(&repeat.body);
        if place.is_some() {
            self.steps.pop();
        }
        self.frame().unbind(mark);
        let span = repeat.body.value.span;
        let fields = match value {
            Value::Poison => return None,
            Value::Tuple(fields) => fields,
            Value::Number(_) | Value::Bool(_) | Value::Node(_) => {
                let fields: Vec<String> = state.iter().map(|(name, _)| format!("{name} = …")).collect();
                let error = Diagnostic::error(codes::STATE, span, "a step gives the next state, a tuple")
                    .with_help(format!("give each part by name: `({})`", fields.join(", ")));
                self.report(error);
                return None;
            }
        };
        self.check_fields(&fields, state, span).then(|| {
            let next = |name: &&'a str| {
                let found = fields.iter().find(|(field, _)| field == name);
                found.map_or(Value::Poison, |(_, value)| value.clone())
            };
            state.iter().map(|(name, _)| (*name, Operand { value: next(name), span })).collect()
        })
    }

    /// Whether a step gives exactly the parts of the state.
    fn check_fields(&mut self, fields: &[(&'a str, Value<'a>)], state: &State<'a>, span: Span) -> bool {
        let names = || state.iter().map(|(name, _)| *name);
        let unknown = fields.iter().map(|(name, _)| *name).find(|name| !names().any(|known| known == *name));
        let missing = names().find(|name| !fields.iter().any(|(field, _)| field == name));
        let error = match (unknown, missing) {
            (None, None) => return true,
            (Some(unknown), _) => {
                let error =
                    Diagnostic::error(codes::STATE, span, format!("the state has no part `{unknown}`"));
                match suggest::nearest(unknown, names()) {
                    Some(near) => error.with_help(format!("did you mean `{near}`?")),
                    None => {
                        let names: Vec<&str> = names().collect();
                        error.with_note(format!("its parts are {}", super::list(names.into_iter())))
                    }
                }
            }
            (None, Some(missing)) => {
                let message = format!("the step gives no value for `{missing}`");
                Diagnostic::error(codes::STATE, span, message)
                    .with_help(format!("if it stays as it is, say so: `{missing} = {missing}`"))
            }
        };
        self.report(error);
        false
    }

    /// Whether no part of the state has the dimension of the steps, and none is a mistake or a tuple.
    pub(super) fn state_lacks(&mut self, state: &State<'a>, dim: Option<DimId>) -> bool {
        let values: Vec<Operand<'a>> = state.iter().map(|(_, value)| value.clone()).collect();
        if !self.all_values(&values) {
            return false;
        }
        let Some(dim) = dim else { return true };
        for (name, operand) in state {
            if let Value::Node(node) = operand.value
                && self.graph.nodes[node].dims.contains(dim)
            {
                let shown = self.graph.dims[dim].name.clone();
                let message = format!(
                    "the state `{name}` has the dimension `{shown}`, along which the steps go: `{}`",
                    self.type_text(&operand.value)
                );
                let error = Diagnostic::error(codes::DIM_PRESENT, operand.span, message)
                    .with_help(format!("begin with one position, such as `[{shown}=0]`"));
                self.report(error);
                return false;
            }
        }
        true
    }

    /// A value as the steps that are under way see it: along their dimensions, at their positions. `except` are dimensions that
    /// it keeps.
    pub(super) fn at_step(&mut self, value: Value<'a>, except: DimSet, span: Span) -> Value<'a> {
        if self.steps.is_empty() {
            return value;
        }
        match value {
            Value::Node(mut node) => {
                for (dim, at) in self.steps.clone().into_iter().rev() {
                    if except.contains(dim) || !self.graph.nodes[node].dims.contains(dim) {
                        continue;
                    }
                    let dtype = self.graph.nodes[node].dtype;
                    let read = match at {
                        Along::Number(at) => {
                            let at = u32::try_from(at).expect("steps are few");
                            self.node(Op::Slice { value: node, dim, at }, dtype, span)
                        }
                        Along::Loop(repeat) => self.at_step_of(repeat, node, dim, span),
                    };
                    match read {
                        Value::Node(read) => node = read,
                        other => return other,
                    }
                }
                Value::Node(node)
            }
            Value::Tuple(fields) => {
                let mut seen = Vec::with_capacity(fields.len());
                for (name, value) in fields.iter() {
                    seen.push((*name, self.at_step(value.clone(), except, span)));
                }
                Value::Tuple(Rc::new(seen))
            }
            Value::Number(_) | Value::Bool(_) | Value::Poison => value,
        }
    }

    /// A value is read at the step of a loop: as `x[t = index(t)]` is. Steps that need not be a loop are written out instead, where
    /// each reads its own position.
    fn at_step_of(&mut self, repeat: RepeatId, node: NodeId, dim: DimId, span: Span) -> Value<'a> {
        if let Steps::Number(count) = self.graph.repeats[repeat]
            && i64::from(count) <= MAX_STATE_STEPS
        {
            let message = format!("`{}` is read at the step of a loop", self.graph.dims[dim].name);
            self.report(Diagnostic::error(codes::TOO_MANY_STEPS, span, message));
            return Value::Poison;
        }
        let step = self.node(Op::Step(repeat), DType::I32, span);
        let base = Operand { value: Value::Node(node), span };
        self.computed_index(&base, (node, dim), &Operand { value: step, span }, None)
    }

    /// The number of the step along a dimension, if steps along it are under way.
    pub(super) fn step_along(&self, dim: DimId) -> Option<Along> {
        self.steps.iter().rev().find(|(along, _)| *along == dim).map(|(_, step)| *step)
    }
}
