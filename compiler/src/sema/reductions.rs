//! `reduction` items: their parts become a [`Fold`] for the dtypes of the operands, a call becomes the nodes of its state.
//!
//! A part is lowered like any other text, into a graph of its own in which the elements are numbers without dimensions. The dtypes
//! of the state are those that `lift` gives, or what these become by themselves where `merge` or `step` gives more: an integer
//! becomes a float, `f32` widens to `f64`.

use std::rc::Rc;

use super::filter::Found;
use super::lower::{Frame, Lowerer, Operand, Value};
use super::number::Number;
use super::{MAX_PART, MAX_STATES, list, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::folds::{self, Fold};
use crate::graph::{Constant, FoldId, Graph, NodeId, Op};
use crate::syntax::ast::{self, ReductionDecl, ReductionPart};
use crate::types::{DType, DimSet};

/// A definition for operands of certain dtypes, and the names of its state; none if it has mistakes.
pub(super) type Made<'a> = Option<(FoldId, Rc<[&'a str]>)>;

/// The state as its parts agree on it.
struct State<'a> {
    names: Vec<&'a str>,
    dtypes: Vec<DType>,
    /// Numbers that a part gives in a wider dtype.
    wider: Vec<(usize, DType)>,
}

impl State<'_> {
    fn new(known: &[(usize, DType)]) -> Self {
        State { names: Vec::new(), dtypes: Vec::new(), wider: known.to_vec() }
    }
}

/// The part of that name.
pub(super) fn part_of<'a>(decl: &'a ReductionDecl, name: &str) -> Option<&'a ReductionPart> {
    decl.parts.iter().find(|part| part.name.name == name)
}

impl<'a> Lowerer<'_, 'a> {
    /// `name[d](x, y)`: the state as a tuple.
    pub(super) fn reduction_call(
        &mut self,
        decl: &'a ReductionDecl,
        in_prelude: bool,
        call: &'a ast::Call,
        span: Span,
    ) -> Value<'a> {
        if self.frames.iter().any(|frame| frame.is_part) {
            let message = format!("`{}` is called in a part of a reduction", decl.name.name);
            let error = Diagnostic::error(codes::REDUCTION_VALUE, call.callee.span, message)
                .with_note("the parts of a reduction see single numbers, so that there is nothing to reduce");
            self.report(error);
            return Value::Poison;
        }
        let dims = self.call_dims(call);
        let mut args: Vec<Operand<'a>> = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.operand(&arg.value));
        }
        let Some(dims) = dims else { return Value::Poison };
        let set: DimSet = dims.iter().map(|(dim, _)| *dim).collect();
        let filter = match self.filter(call.dims.as_ref(), set) {
            Found::None => self.active_filter(set),
            Found::Some(filter) => Some(filter),
            Found::Poison => return Value::Poison,
        };
        // `resolve` has said what is missing.
        let wanted = part_of(decl, "lift").map(|part| part.params.len());
        if wanted != Some(args.len()) || args.is_empty() || !self.all_values(&args) {
            return Value::Poison;
        }
        let mut nodes = Vec::with_capacity(args.len());
        for arg in &args {
            let dtype = self.dtype_of(arg).map_or(self.arithmetic, DType::arithmetic);
            let Some(node) = self.materialize(arg, dtype) else { return Value::Poison };
            nodes.push(node);
        }
        let dtypes: Vec<DType> = nodes.iter().map(|&node| self.graph.nodes[node].dtype).collect();
        nodes.extend(filter.map(|filter| filter.cond));
        let missing = set.difference(self.graph.operand_dims(&nodes));
        if !missing.is_empty() {
            let spans: Vec<Span> =
                dims.iter().filter(|(dim, _)| missing.contains(*dim)).map(|(_, span)| *span).collect();
            self.array_with(&args[0], missing, &spans);
            return Value::Poison;
        }
        for node in &mut nodes {
            // An operand that has some of the dimensions has them all, so that a run is one line of it.
            let own = self.graph.nodes[*node].dims.intersection(set);
            if !own.is_empty() && own != set {
                match self.broadcast(*node, set, span) {
                    Value::Node(wider) => *node = wider,
                    _ => return Value::Poison,
                }
            }
        }
        let Some((fold, names)) = self.definition(decl, in_prelude, &dtypes, span) else {
            return Value::Poison;
        };
        let mut fields = Vec::with_capacity(names.len());
        for (state, &name) in names.iter().enumerate() {
            let dtype = self.graph.folds[fold].empty[state].dtype;
            let op = Op::Fold { fold, state: state as u32, args: nodes.clone(), dims: set };
            fields.push((name, self.node(op, dtype, span)));
        }
        Value::Tuple(Rc::new(fields))
    }

    /// The definition for operands of some dtypes, made when it is first needed.
    fn definition(
        &mut self,
        decl: &'a ReductionDecl,
        in_prelude: bool,
        dtypes: &[DType],
        call: Span,
    ) -> Made<'a> {
        let key = (std::ptr::from_ref(decl), dtypes.to_vec());
        if let Some(known) = self.folds.get(&key) {
            return known.clone();
        }
        // Until it is made, so that one that needs itself ends here.
        self.folds.insert(key.clone(), None);
        let mut wider = Vec::new();
        let mut made = None;
        // A number widens twice at most.
        for _ in 0..=2 * MAX_STATES {
            let known = wider.len();
            made = self.make(decl, in_prelude, dtypes, call, &mut wider);
            if wider.len() == known {
                break;
            }
        }
        self.folds.insert(key, made.clone());
        made
    }

    fn make(
        &mut self,
        decl: &'a ReductionDecl,
        in_prelude: bool,
        dtypes: &[DType],
        call: Span,
        wider: &mut Vec<(usize, DType)>,
    ) -> Made<'a> {
        let (lift, merge) = (part_of(decl, "lift")?, part_of(decl, "merge")?);
        let (empty, step) = (part_of(decl, "empty")?, part_of(decl, "step"));
        let counts = step.is_none_or(|step| step.params.len() == lift.params.len() + 1);
        if merge.params.len() != 2 || !counts {
            return None;
        }
        let frame = || Frame::part(in_prelude, call);
        let operands = |names: &'a [ast::Ident]| -> Vec<(String, DType)> {
            names.iter().zip(dtypes).map(|(name, &dtype)| (name.name.clone(), dtype)).collect()
        };
        let mut state = State::new(wider);
        let lifted = self.in_part("lift", frame(), operands(&lift.params), |lowerer, params| {
            lowerer.bind_operands(&lift.params, params);
            let value = lowerer.body(&lift.body);
            lowerer.state_of_lift(lift, value, dtypes, &mut state)
        });
        let lifted = self.checked_part(lift, lifted)?;
        let empty = self.empty(empty, &state, lift, frame())?;
        let mut found = Vec::new();
        let named = |of: &str| -> Vec<(String, DType)> {
            let pairs = state.names.iter().zip(&state.dtypes);
            pairs.map(|(name, &dtype)| (format!("{of}.{name}"), dtype)).collect()
        };
        let merged = self.in_part("merge", frame(), [named("a"), named("b")].concat(), |lowerer, params| {
            let (a, b) = params.split_at(state.names.len());
            lowerer.bind_state(&merge.params[0], &state, a);
            lowerer.bind_state(&merge.params[1], &state, b);
            let value = lowerer.body(&merge.body);
            lowerer.state_of(merge, value, &state, lift, &mut found)
        });
        let merged = self.checked_part(merge, merged);
        let names = step.map_or(&lift.params[..], |step| &step.params[1..]);
        let stepped =
            self.in_part("step", frame(), [named("a"), operands(names)].concat(), |lowerer, params| {
                let (a, own) = params.split_at(state.names.len());
                if let Some(step) = step {
                    lowerer.bind_state(&step.params[0], &state, a);
                    lowerer.bind_operands(&step.params[1..], own);
                    let value = lowerer.body(&step.body);
                    return lowerer.state_of(step, value, &state, lift, &mut found);
                }
                // `merge(a, lift(x))`, to be simplified.
                let both = folds::inline(&mut lowerer.graph, &lifted, own, lift.span);
                lowerer.bind_state(&merge.params[0], &state, a);
                lowerer.bind_state(&merge.params[1], &state, &both);
                let value = lowerer.body(&merge.body);
                lowerer.state_of(merge, value, &state, lift, &mut found)
            });
        if !found.is_empty() {
            found.retain(|entry| !wider.contains(entry));
            wider.append(&mut found);
            return None;
        }
        let merged = merged?;
        let stepped = self.checked_part(step.unwrap_or(merge), stepped)?;
        let name = decl.name.name.clone();
        let fold = Fold { name, empty, lift: lifted, step: stepped, merge: merged, stages: Vec::new() };
        Some((self.graph.folds.push(fold), Rc::from(state.names)))
    }

    /// Lowers a part into a graph of its own, whose parameters are numbers; none if there is a mistake.
    fn in_part(
        &mut self,
        name: &str,
        frame: Frame<'a>,
        params: Vec<(String, DType)>,
        lower: impl FnOnce(&mut Self, &[NodeId]) -> Option<()>,
    ) -> Option<Graph> {
        let outside = (
            std::mem::replace(&mut self.graph, folds::part(name)),
            std::mem::take(&mut self.order),
            std::mem::take(&mut self.steps),
        );
        let mut nodes = Vec::with_capacity(params.len());
        for (at, (name, dtype)) in params.into_iter().enumerate() {
            self.graph.params.push(folds::number(name, dtype));
            nodes.push(self.graph.add(Op::Param(at as u32), dtype, Span::NONE));
        }
        self.frames.push(frame);
        let done = lower(self, &nodes);
        self.frames.pop();
        let part = std::mem::replace(&mut self.graph, outside.0);
        (self.order, self.steps) = (outside.1, outside.2);
        done.map(|()| part)
    }

    /// A part that is made of numbers only, and not too long.
    fn checked_part(&mut self, written: &ReductionPart, part: Option<Graph>) -> Option<Graph> {
        let part = part?;
        let name = &written.name.name;
        let plain = |op: &Op| matches!(op, Op::Param(_) | Op::Const(_) | Op::Prim(..) | Op::Convert(_));
        let other = part.nodes.values().find(|node| !plain(&node.op));
        if other.is_some() || !part.dims.is_empty() {
            let place = other.map_or(written.name.span, |node| node.span);
            let message = format!("`{name}` computes with more than single numbers");
            let error = Diagnostic::error(codes::REDUCTION_VALUE, place, message)
                .with_note("the parts of a reduction see one element or two states, and no dimensions");
            self.report(error);
            return None;
        }
        if part.nodes.len() > MAX_PART {
            let message =
                format!("`{name}` has {} operations; at most {MAX_PART} are allowed", part.nodes.len());
            self.report(Diagnostic::error(codes::TOO_LARGE, written.name.span, message));
            return None;
        }
        Some(part)
    }

    fn body(&mut self, body: &'a ast::Body) -> Value<'a> {
        match body {
            ast::Body::Block(block) => self.block(block),
            ast::Body::Expr(expr) => self.expr(expr),
        }
    }

    fn bind_operands(&mut self, names: &'a [ast::Ident], nodes: &[NodeId]) {
        for (name, &node) in names.iter().zip(nodes) {
            self.frame().bind(name.as_str(), Value::Node(node));
        }
    }

    fn bind_state(&mut self, name: &'a ast::Ident, state: &State<'a>, nodes: &[NodeId]) {
        let fields = state.names.iter().zip(nodes).map(|(name, &node)| (*name, Value::Node(node)));
        let tuple = Value::Tuple(Rc::new(fields.collect()));
        self.frame().bind(name.as_str(), tuple);
    }

    /// The fields of what a part gives.
    fn fields(&mut self, part: &'a ReductionPart, value: Value<'a>) -> Option<Rc<Vec<(&'a str, Value<'a>)>>> {
        match value {
            Value::Poison => None,
            Value::Tuple(fields) => Some(fields),
            Value::Number(_) | Value::Bool(_) | Value::Node(_) => {
                let message = format!("`{}` gives a state, which is a tuple", part.name.name);
                let error = Diagnostic::error(codes::REDUCTION_STATE, value_span(part), message)
                    .with_help("give its numbers names, also a single one: `(s = …)`");
                self.report(error);
                None
            }
        }
    }

    /// The state that `lift` gives: its names and dtypes, and its nodes as the results of the graph. A number takes the dtype of
    /// the operands, a float's if there is one.
    fn state_of_lift(
        &mut self,
        lift: &'a ReductionPart,
        value: Value<'a>,
        operands: &[DType],
        state: &mut State<'a>,
    ) -> Option<()> {
        let fields = self.fields(lift, value)?;
        let float = operands.iter().copied().filter(|dtype| dtype.is_float()).max();
        if fields.len() > MAX_STATES {
            let message = format!("the state has {} numbers; at most {MAX_STATES} are allowed", fields.len());
            self.report(Diagnostic::error(codes::TOO_LARGE, value_span(lift), message));
            return None;
        }
        for (at, (name, value)) in fields.iter().enumerate() {
            let own = match value {
                Value::Node(node) => self.graph.nodes[*node].dtype.arithmetic(),
                Value::Number(Number::Int(_)) => float.unwrap_or(DType::I32),
                Value::Number(_) => float.unwrap_or(self.arithmetic),
                Value::Bool(_) => DType::Bool,
                Value::Tuple(_) | Value::Poison => DType::F32,
            };
            let wider = state.wider.iter().filter(|(number, _)| *number == at).map(|(_, dtype)| *dtype);
            let dtype = wider.max().unwrap_or(own);
            if dtype == DType::Bool {
                let message = format!("`{name}` is a condition, and a state is made of numbers");
                let error = Diagnostic::error(codes::REDUCTION_STATE, value_span(lift), message)
                    .with_help("say which numbers are meant: `if c { 1 } else { 0 }`");
                self.report(error);
                return None;
            }
            let operand = Operand { value: value.clone(), span: value_span(lift) };
            if !self.all_values(std::slice::from_ref(&operand)) {
                return None;
            }
            let node = self.materialize(&operand, dtype)?;
            self.graph.results.push((folds::number((*name).to_owned(), dtype), node));
            state.names.push(name);
            state.dtypes.push(dtype);
        }
        Some(())
    }

    /// The state that another part gives, as the results of the graph; `wider` gets the numbers that it gives in a wider dtype.
    fn state_of(
        &mut self,
        part: &'a ReductionPart,
        value: Value<'a>,
        state: &State<'a>,
        lift: &'a ReductionPart,
        wider: &mut Vec<(usize, DType)>,
    ) -> Option<()> {
        let fields = self.same_fields(part, value, state, lift)?;
        let pairs = state.names.iter().zip(&state.dtypes).zip(fields);
        for (at, ((name, &dtype), value)) in pairs.enumerate() {
            let operand = Operand { value, span: value_span(part) };
            if !self.all_values(std::slice::from_ref(&operand)) {
                return None;
            }
            let found = match &operand.value {
                Value::Number(Number::Int(_)) => Some(dtype),
                Value::Number(_) if dtype.is_float() => Some(dtype),
                Value::Number(_) => Some(self.arithmetic),
                _ => self.dtype_of(&operand).map(DType::arithmetic),
            };
            let widens = matches!(
                (found, dtype),
                (Some(DType::I32), DType::F32 | DType::F64) | (Some(DType::F32), DType::F64)
            );
            let grows = matches!(
                (dtype, found),
                (DType::I32, Some(DType::F32 | DType::F64)) | (DType::F32, Some(DType::F64))
            );
            if let (true, Some(found)) = (grows, found) {
                wider.push((at, found));
                continue;
            }
            if found != Some(dtype) && !widens {
                let found = found.map_or("a tuple", DType::name);
                self.report_types(part, name, (found, dtype), lift);
                return None;
            }
            let node = self.materialize(&operand, dtype)?;
            self.graph.results.push((folds::number((*name).to_owned(), dtype), node));
        }
        Some(())
    }

    fn report_types(
        &mut self,
        part: &'a ReductionPart,
        name: &str,
        (found, wanted): (&str, DType),
        lift: &'a ReductionPart,
    ) {
        let message = format!("`{}` gives {found} for `{name}`, which is {wanted} in `lift`", part.name.name);
        let error = Diagnostic::error(codes::REDUCTION_STATE, value_span(part), message)
            .with_other(value_span(lift), "the state as `lift` gives it");
        self.report(error);
    }

    /// The fields of a part in the order of the state, if they are its fields.
    fn same_fields(
        &mut self,
        part: &'a ReductionPart,
        value: Value<'a>,
        state: &State<'a>,
        lift: &'a ReductionPart,
    ) -> Option<Vec<Value<'a>>> {
        let fields = self.fields(part, value)?;
        let own = &part.name.name;
        let unknown = fields.iter().map(|(name, _)| *name).find(|name| !state.names.contains(name));
        let missing = state.names.iter().find(|name| !fields.iter().any(|(field, _)| field == *name));
        let error = match (unknown, missing) {
            (None, None) => {
                let value = |name: &&'a str| {
                    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
                };
                return state.names.iter().map(value).collect();
            }
            (Some(unknown), _) => {
                let message = format!("`{own}` gives `{unknown}`, which the state of `lift` has not");
                let error = Diagnostic::error(codes::REDUCTION_STATE, value_span(part), message);
                match suggest::nearest(unknown, state.names.iter().copied()) {
                    Some(near) => error.with_help(format!("did you mean `{near}`?")),
                    None => error.with_note(format!("it has {}", list(state.names.iter().copied()))),
                }
            }
            (None, Some(missing)) => {
                let message = format!("`{own}` gives no `{missing}`, which the state of `lift` has");
                Diagnostic::error(codes::REDUCTION_STATE, value_span(part), message)
            }
        };
        self.report(error.with_other(value_span(lift), "the state as `lift` gives it"));
        None
    }

    /// The constants of `empty`.
    fn empty(
        &mut self,
        empty: &'a ReductionPart,
        state: &State<'a>,
        lift: &'a ReductionPart,
        frame: Frame<'a>,
    ) -> Option<Vec<Constant>> {
        let mut constants = Vec::new();
        self.in_part("empty", frame, Vec::new(), |lowerer, _| {
            let value = lowerer.body(&empty.body);
            let fields = lowerer.same_fields(empty, value, state, lift)?;
            for ((name, &dtype), value) in state.names.iter().zip(&state.dtypes).zip(fields) {
                let whole = |value: i64| dtype != DType::I32 || i32::try_from(value).is_ok();
                match value {
                    Value::Poison => return None,
                    Value::Number(number @ Number::Int(value)) if whole(value) => {
                        constants.push(number.constant(dtype))
                    }
                    Value::Number(number) if dtype.is_float() => constants.push(number.constant(dtype)),
                    Value::Number(_) | Value::Bool(_) | Value::Node(_) | Value::Tuple(_) => {
                        let message = format!("`{name}` of `empty` is not a number of the dtype {dtype}");
                        let error = Diagnostic::error(codes::REDUCTION_STATE, value_span(empty), message)
                            .with_other(value_span(lift), "the state as `lift` gives it");
                        lowerer.report(error);
                        return None;
                    }
                }
            }
            Some(())
        })?;
        Some(constants)
    }
}

/// Where a part says what it gives.
fn value_span(part: &ReductionPart) -> Span {
    match &part.body {
        ast::Body::Block(block) => block.value.span,
        ast::Body::Expr(expr) => expr.span,
    }
}
