//! `iterate` as a loop of the graph: the block is lowered once, for every step.
//!
//! Which are loops: those with more than [`MAX_STATE_STEPS`] steps or a number of steps that is known at the call only, and of the
//! others those of more than [`FEW`] steps whose block reduces over what is not unrolled or would become more than
//! [`MANY`] nodes, or which reads the state along other dimensions. Where the block can't be the same for every step (it reads a value at the step, or the type of the state
//! changes from step to step), all steps are written out, if there are few enough.
//!
//! The type of the state is that which a step leaves as it is: its dimensions are those of the first value and of what a step
//! makes of them; a number without a type takes that of what a step makes of it.

use std::rc::Rc;

use rustc_hash::FxHashSet;

use super::lower::{Lowerer, Operand, Value};
use super::number::Number;
use super::repeat::{Along, Count, State};
use super::{MAX_STATE_STEPS, MAX_UNROLLED_SIZE};
use crate::diag::{Diagnostic, Diagnostics, Span, codes};
use crate::graph::{NodeId, Op, RepeatId, Steps};
use crate::syntax::ast;
use crate::types::{DType, Dim, DimId, DimSet};

/// So few steps are always written out.
const FEW: i64 = 4;

/// A repetition that makes more nodes becomes a loop.
const MANY: u64 = 2048;

/// The type is looked for so many times.
const MAX_ROUNDS: usize = 16;

/// Where lowering goes back to.
struct Mark {
    nodes: usize,
    repeats: usize,
    dims: Vec<Dim>,
    order: Vec<DimId>,
    diagnostics: Diagnostics,
    reported: FxHashSet<(&'static str, Span, String)>,
    stopped: bool,
}

/// Why there is no loop.
enum Fails {
    /// The message is given.
    Reported,
    /// That part of the state has another type after a step.
    Type(usize, DType, DType),
}

impl<'a> Lowerer<'_, 'a> {
    /// The last state as the end of a loop; none if all steps are better written out.
    pub(super) fn looped(
        &mut self,
        repeat: &'a ast::Iterate,
        state: &State<'a>,
        (count, dim): (Count, Option<DimId>),
    ) -> Option<Value<'a>> {
        let must = match count {
            Count::Number(count) if count <= FEW => return None,
            Count::Number(count) => count > MAX_STATE_STEPS,
            Count::Size(_) => true,
        };
        let mark = self.mark_place();
        match self.looped_state(repeat, state, (count, dim), must) {
            Ok(Some(value)) => Some(value),
            Err(Fails::Reported) if must => Some(Value::Poison),
            Err(Fails::Type(at, from, to)) if must => {
                let (name, first) = &state[at];
                let message = format!("the state `{name}` is {from} before a step and {to} after it");
                let mut error = Diagnostic::error(codes::STATE, first.span, message)
                    .with_note("the steps are a loop, and its state has one type");
                if from != DType::Bool && to != DType::Bool {
                    error = error.with_help(format!("convert what a step gives: `{from}(…)`"));
                }
                self.report(error);
                Some(Value::Poison)
            }
            Ok(None) | Err(_) => {
                self.return_to(&mark);
                None
            }
        }
    }

    fn looped_state(
        &mut self,
        repeat: &'a ast::Iterate,
        state: &State<'a>,
        (count, dim): (Count, Option<DimId>),
        must: bool,
    ) -> Result<Option<Value<'a>>, Fails> {
        let steps = match count {
            Count::Number(count) => Steps::Number(u32::try_from(count).map_err(|_| Fails::Reported)?),
            Count::Size(dim) => Steps::Size(dim),
        };
        let id = self.graph.repeats.push(steps);
        let place = dim.map(|dim| (dim, Along::Loop(id)));
        let mark = self.mark_place();
        // A first step from the first values tells what it is made of.
        let next = self.checked_step(repeat, state, place)?;
        let large = match count {
            Count::Number(count) => must || self.is_large(mark.nodes, count),
            Count::Size(_) => true,
        };
        let mut types = Vec::with_capacity(state.len());
        for (at, ((_, init), (_, next))) in state.iter().zip(&next).enumerate() {
            let dtype = match (self.dtype_of_state(init), self.dtype_of_state(next)) {
                (Some(from), Some(to)) => one_type(at, from, to)?,
                (Some(dtype), None) | (None, Some(dtype)) => dtype,
                (None, None) if is_whole(init) && is_whole(next) => DType::I32,
                (None, None) => self.arithmetic,
            };
            types.push((dtype, self.dims_of_state(init).union(self.dims_of_state(next))));
        }
        // The parts of the state that are read along other dimensions: each is carried once more, for that.
        let mut across: Vec<usize> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            self.return_to(&mark);
            let all: Vec<(usize, u32)> = (0..state.len()).chain(across.iter().copied()).zip(0..).collect();
            let mut carries = Vec::with_capacity(all.len());
            for (at, index) in all {
                carries.push(self.carry((id, index), &state[at].1, types[at]).ok_or(Fails::Reported)?);
            }
            self.twins.extend(across.iter().map(|&at| carries[at]).zip(carries[state.len()..].to_vec()));
            let carried: State<'a> = state
                .iter()
                .zip(&carries)
                .map(|((name, init), &carry)| (*name, Operand { value: Value::Node(carry), span: init.span }))
                .collect();
            let next = self.checked_step(repeat, &carried, place);
            self.twins.retain(|carry, _| !carries.contains(carry));
            let next = next?;
            let before = across.len();
            across.extend((0..state.len()).filter(|&at| self.is_renamed(mark.nodes, carries[at])));
            let mut stable = across.len() == before;
            for (at, ((_, next), (dtype, dims))) in next.iter().zip(&mut types).enumerate() {
                let after =
                    self.dtype_of_state(next).map_or(Ok(*dtype), |after| one_type(at, *dtype, after))?;
                let wider = dims.union(self.dims_of_state(next));
                stable &= after == *dtype && wider == *dims;
                (*dtype, *dims) = (after, wider);
            }
            // Written out, each step that reads the one before along other dimensions would compute it anew.
            if stable && !large && across.is_empty() {
                return Ok(None);
            }
            if stable {
                let ends = self.ends(id, (&carries, &across), &next, &types);
                return Ok(Some(ends.unwrap_or(Value::Poison)));
            }
        }
        Err(Fails::Reported)
    }

    /// Lowers the block once; fails if it has a mistake.
    fn checked_step(
        &mut self,
        repeat: &'a ast::Iterate,
        state: &State<'a>,
        place: Option<(DimId, Along)>,
    ) -> Result<State<'a>, Fails> {
        let before = self.session.diagnostics.error_count();
        let next = self.step(repeat, state, place).ok_or(Fails::Reported)?;
        let dim = place.map(|(dim, _)| dim);
        let sound = self.state_lacks(&next, dim) && self.session.diagnostics.error_count() == before;
        if sound { Ok(next) } else { Err(Fails::Reported) }
    }

    /// The node of a part of the state at the beginning of a step.
    fn carry(
        &mut self,
        (repeat, index): (RepeatId, u32),
        init: &Operand<'a>,
        (dtype, dims): (DType, DimSet),
    ) -> Option<NodeId> {
        let span = init.span;
        let init = self.typed(init, dtype, dims)?;
        let dtype = self.graph.nodes[init].dtype;
        match self.node(Op::Carry { repeat, index, init }, dtype, span) {
            Value::Node(carry) => Some(carry),
            Value::Number(_) | Value::Bool(_) | Value::Tuple(_) | Value::Poison => None,
        }
    }

    /// Whether a node from `first` on reads a carried value along other dimensions.
    fn is_renamed(&self, first: usize, carry: NodeId) -> bool {
        let reads = |op: &Op| matches!(op, Op::Rename { value, .. } if *value == carry);
        self.graph.nodes.values().skip(first).any(|node| reads(&node.op))
    }

    /// The state after the last step.
    fn ends(
        &mut self,
        repeat: RepeatId,
        (carries, across): (&[NodeId], &[usize]),
        next: &State<'a>,
        types: &[(DType, DimSet)],
    ) -> Option<Value<'a>> {
        let mut values = carries.to_vec();
        for ((_, next), &(dtype, dims)) in next.iter().zip(types) {
            values.push(self.typed(next, dtype, dims)?);
        }
        let twins: Vec<NodeId> = across.iter().map(|at| values[carries.len() + at]).collect();
        values.extend(twins);
        let mut fields = Vec::with_capacity(next.len());
        for (index, ((name, operand), &(dtype, dims))) in next.iter().zip(types).enumerate() {
            let op = Op::Final { repeat, index: index as u32, values: values.clone() };
            fields.push((*name, self.node_with_dims(op, dtype, dims, operand.span)));
        }
        Some(Value::Tuple(Rc::new(fields)))
    }

    /// The node of a value with a type.
    fn typed(&mut self, value: &Operand<'a>, dtype: DType, dims: DimSet) -> Option<NodeId> {
        let node = self.materialize(value, dtype)?;
        match self.broadcast(node, dims, value.span) {
            Value::Node(node) => Some(node),
            Value::Number(_) | Value::Bool(_) | Value::Tuple(_) | Value::Poison => None,
        }
    }

    /// The dtype that a part of the state is carried in, if it is no number without one.
    fn dtype_of_state(&self, value: &Operand<'a>) -> Option<DType> {
        match value.value {
            Value::Node(node) => Some(self.graph.nodes[node].dtype.arithmetic()),
            Value::Bool(_) => Some(DType::Bool),
            Value::Number(_) | Value::Tuple(_) | Value::Poison => None,
        }
    }

    fn dims_of_state(&self, value: &Operand<'a>) -> DimSet {
        match value.value {
            Value::Node(node) => self.graph.nodes[node].dims,
            Value::Number(_) | Value::Bool(_) | Value::Tuple(_) | Value::Poison => DimSet::EMPTY,
        }
    }

    /// Whether the nodes from `first` on, once for each step, are better a loop.
    fn is_large(&self, first: usize, count: i64) -> bool {
        let small = |dim: DimId| self.graph.dims[dim].fixed().filter(|&size| size <= MAX_UNROLLED_SIZE);
        let mut total = 0u64;
        for node in self.graph.nodes.values().skip(first) {
            let reduced = match &node.op {
                Op::Reduce { dims, .. } | Op::Fold { dims, .. } => *dims,
                _ => DimSet::EMPTY,
            };
            let mut copies = 1u64;
            for dim in reduced.iter() {
                let Some(size) = small(dim) else { return true };
                copies = copies.saturating_mul(size as u64);
            }
            total = total.saturating_add(copies);
        }
        total.saturating_mul(count as u64) > MANY
    }

    fn mark_place(&self) -> Mark {
        Mark {
            nodes: self.graph.nodes.len(),
            repeats: self.graph.repeats.len(),
            dims: self.graph.dims.values().cloned().collect(),
            order: self.order.clone(),
            diagnostics: self.session.diagnostics.clone(),
            reported: self.session.reported.clone(),
            stopped: self.stopped,
        }
    }

    /// Takes back all that was made since.
    fn return_to(&mut self, mark: &Mark) {
        let nodes = std::mem::take(&mut self.graph.nodes);
        self.graph.nodes = nodes.into_iter().take(mark.nodes).map(|(_, node)| node).collect();
        let repeats = std::mem::take(&mut self.graph.repeats);
        self.graph.repeats = repeats.into_iter().take(mark.repeats).map(|(_, steps)| steps).collect();
        self.graph.dims = mark.dims.iter().cloned().collect();
        self.order.clone_from(&mark.order);
        self.session.diagnostics = mark.diagnostics.clone();
        self.session.reported.clone_from(&mark.reported);
        self.stopped = mark.stopped;
    }
}

/// The type of a part of the state that has these before and after a step.
fn one_type(at: usize, from: DType, to: DType) -> Result<DType, Fails> {
    if from == to {
        Ok(from)
    } else if from.is_float() && to.is_float() {
        Ok(from.max(to))
    } else {
        Err(Fails::Type(at, from, to))
    }
}

fn is_whole(value: &Operand<'_>) -> bool {
    matches!(value.value, Value::Number(Number::Int(_)))
}
