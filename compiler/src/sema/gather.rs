//! Indexing with positions that are known while compiling: `x[t = index(t) + 1 else 0]`, where the position is made of
//! integers and of positions along dimensions of fixed size. The result is a stack of the values at those positions.
//!
//! Outside of the dimension stands the value after `else`, else NaN (0 for integers, false for conditions).

use rustc_hash::FxHashMap;

use super::lower::{Lowerer, Operand, Value};
use super::number::Number;
use super::{MAX_NODES, MAX_UNROLLED_SIZE};
use crate::graph::{NodeId, Op};
use crate::ops::Prim;
use crate::types::{DType, DimId, DimSet};

/// The largest number of values that one index makes.
const MAX_PLACES: i64 = 4096;

/// The largest number of operations in a position.
const MAX_OPERATIONS: usize = 256;

/// A position along each of some dimensions.
type Place = [(DimId, i64)];

impl<'a> Lowerer<'_, 'a> {
    /// The value of an index along `dim` whose position is known at every place; none if it is not. `base` has `dim`,
    /// which has `size` positions.
    pub(super) fn static_index(
        &mut self,
        base: &Operand<'a>,
        (dim, size): (DimId, i64),
        position: NodeId,
        otherwise: Option<&Operand<'a>>,
    ) -> Option<Value<'a>> {
        let along = self.graph.nodes[position].dims;
        let mut places = 1i64;
        for dim in along.iter() {
            let size = self.graph.dims[dim].fixed().filter(|size| *size <= MAX_UNROLLED_SIZE)?;
            places = places.checked_mul(size).filter(|places| *places <= MAX_PLACES)?;
        }
        if size > MAX_UNROLLED_SIZE {
            return None;
        }
        let operations = self.operations(position)?;
        let mut values = Vec::new();
        for number in 0..places {
            let place = self.place(along, number);
            let at = self.position_at(&operations, &place)?;
            let value = match u32::try_from(at).ok().filter(|_| at < size) {
                Some(at) => self.at_place(base, Some((dim, at)), &place),
                None => match otherwise {
                    Some(value) => self.at_place(value, None, &place),
                    None => self.outside(base),
                },
            };
            values.push(Operand { value, span: base.span });
        }
        for dim in along.iter().rev() {
            let size = self.graph.dims[dim].fixed().and_then(|size| usize::try_from(size).ok())?;
            let mut stacks = Vec::with_capacity(values.len() / size);
            for part in values.chunks(size) {
                let value = self.stack_values(dim, part.to_vec(), base.span);
                stacks.push(Operand { value, span: base.span });
            }
            values = stacks;
        }
        values.pop().map(|only| only.value)
    }

    /// The place of that number, the last dimension running fastest.
    fn place(&self, along: DimSet, mut number: i64) -> Vec<(DimId, i64)> {
        let mut place = Vec::new();
        for dim in along.iter().rev() {
            let size = self.graph.dims[dim].fixed().unwrap_or(1).max(1);
            place.push((dim, number % size));
            number /= size;
        }
        place
    }

    /// A value at a position and at a place, as far as it has those dimensions.
    fn at_place(
        &mut self,
        operand: &Operand<'a>,
        position: Option<(DimId, u32)>,
        place: &Place,
    ) -> Value<'a> {
        let Value::Node(mut node) = operand.value else { return operand.value.clone() };
        let own = position.map(|(dim, _)| dim);
        let place = place.iter().filter(|(dim, _)| Some(*dim) != own);
        let place = place.map(|&(dim, at)| (dim, u32::try_from(at).unwrap_or(0)));
        let slices: Vec<(DimId, u32)> = position.into_iter().chain(place).collect();
        for (dim, at) in slices {
            if !self.graph.nodes[node].dims.contains(dim) {
                continue;
            }
            let dtype = self.graph.nodes[node].dtype;
            match self.node(Op::Slice { value: node, dim, at }, dtype, operand.span) {
                Value::Node(slice) => node = slice,
                other => return other,
            }
        }
        Value::Node(node)
    }

    /// What stands outside of a dimension of a value.
    pub(super) fn outside(&self, base: &Operand<'a>) -> Value<'a> {
        match self.dtype_of(base).map(DType::arithmetic) {
            Some(DType::Bool) => Value::Bool(false),
            Some(DType::I32) => Value::Number(Number::Int(0)),
            Some(_) | None => Value::Number(Number::float(f64::NAN)),
        }
    }

    /// The nodes that a position is made of, operands first; none if they are many.
    fn operations(&self, position: NodeId) -> Option<Vec<NodeId>> {
        let (mut todo, mut found) = (vec![position], Vec::new());
        while let Some(node) = todo.pop() {
            if !found.contains(&node) {
                found.push(node);
                todo.extend(self.graph.nodes[node].op.args());
            }
            if found.len() > MAX_OPERATIONS || todo.len() > MAX_NODES {
                return None;
            }
        }
        found.sort_unstable();
        Some(found)
    }

    /// The value of the last of some integers and conditions, of which each is made of those before it.
    fn position_at(&self, operations: &[NodeId], place: &Place) -> Option<i64> {
        let mut values: FxHashMap<NodeId, i64> = FxHashMap::default();
        let mut last = None;
        for &id in operations {
            let node = &self.graph.nodes[id];
            if node.dtype.is_float() {
                return None;
            }
            let value = match &node.op {
                Op::Const(constant) => constant.value() as i64,
                Op::Index(dim) => place.iter().find(|(along, _)| along == dim)?.1,
                Op::Prim(prim, args) => {
                    let args: Vec<i64> = args.iter().map(|arg| values[arg]).collect();
                    integer(*prim, &args)?
                }
                Op::Param(_)
                | Op::Size(_)
                | Op::Convert(_)
                | Op::Reduce { .. }
                | Op::Fold { .. }
                | Op::Scan { .. }
                | Op::KthLargest { .. }
                | Op::Slice { .. }
                | Op::Stack { .. }
                | Op::Broadcast(_)
                | Op::Rename { .. }
                | Op::Carry { .. }
                | Op::Step(_)
                | Op::Final { .. }
                | Op::Gather { .. } => return None,
            };
            values.insert(id, value);
            last = Some(value);
        }
        last
    }
}

/// A function of 32-bit integers and conditions; none where it has no such value.
fn integer(prim: Prim, args: &[i64]) -> Option<i64> {
    let value = match (prim, args) {
        (Prim::Add, [a, b]) => a + b,
        (Prim::Sub, [a, b]) => a - b,
        (Prim::Mul, [a, b]) => a * b,
        (Prim::Neg, [a]) => -a,
        (Prim::Abs, [a]) => a.abs(),
        (Prim::Max, [a, b]) => *a.max(b),
        (Prim::Min, [a, b]) => *a.min(b),
        (Prim::Eq, [a, b]) => i64::from(a == b),
        (Prim::Ne, [a, b]) => i64::from(a != b),
        (Prim::Lt, [a, b]) => i64::from(a < b),
        (Prim::Le, [a, b]) => i64::from(a <= b),
        (Prim::Gt, [a, b]) => i64::from(a > b),
        (Prim::Ge, [a, b]) => i64::from(a >= b),
        (Prim::And, [a, b]) => a & b,
        (Prim::Or, [a, b]) => a | b,
        (Prim::Not, [a]) => 1 - a,
        (Prim::Select, [c, a, b]) => *if *c != 0 { a } else { b },
        _ => return None,
    };
    i32::try_from(value).ok().map(i64::from)
}
