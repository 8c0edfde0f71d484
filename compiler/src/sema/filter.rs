//! Filters, `sum[j where c](e)`: only the places where the condition holds take part in a reduction; what the operand is
//! elsewhere has no influence.
//!
//! A built-in reduction takes, in place of its operand, a selection between the operand and the identity. A reduction of
//! the prelude is inlined as ever, and its filter goes along: inside it every reduction over exactly the filter's dimensions
//! is filtered, and their `size` is the number of places where the condition holds. That is right for the functions of
//! `prelude/reduce.act`, which use their dimensions for nothing else; no other function takes a filter.

use super::lower::{Lowerer, Operand, Value};
use super::number::Number;
use crate::diag::Span;
use crate::graph::{NodeId, Op};
use crate::ops::{Prim, Reduction};
use crate::syntax::ast;
use crate::types::{DType, DimSet};

/// What follows `where`, with the dimensions that it filters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter {
    /// The condition.
    pub(super) cond: NodeId,
    /// The dimensions of the reductions that it goes with.
    pub(super) dims: DimSet,
}

/// A filter as it was found.
pub(super) enum Found {
    /// There is none, or it always holds.
    None,
    /// There is one.
    Some(Filter),
    /// It is wrong, and has its message.
    Poison,
}

impl<'a> Lowerer<'_, 'a> {
    /// The filter in the brackets of a call, seen where the call stands, for reductions over `dims`.
    pub(super) fn filter(&mut self, brackets: Option<&'a ast::CallDims>, dims: DimSet) -> Found {
        let Some(written) = brackets.and_then(|brackets| brackets.filter.as_ref()) else {
            return Found::None;
        };
        let cond = self.operand(written);
        match cond.value {
            Value::Poison => return Found::Poison,
            Value::Bool(true) => return Found::None,
            Value::Bool(false) | Value::Number(_) | Value::Node(_) | Value::Tuple(_) => {}
        }
        if !self.check_condition(&cond) {
            return Found::Poison;
        }
        match self.materialize(&cond, DType::Bool) {
            Some(cond) => Found::Some(Filter { cond, dims }),
            None => Found::Poison,
        }
    }

    /// The filter of the function that is being inlined, for something that is over `dims`.
    pub(super) fn active_filter(&mut self, dims: DimSet) -> Option<Filter> {
        self.frame().filter.filter(|filter| filter.dims == dims)
    }

    /// The operand of a reduction with the identity where the filter does not hold. Conditions and values that lack a
    /// dimension that the filter has not either are left for their message.
    pub(super) fn filtered(
        &mut self,
        reduction: Reduction,
        value: Operand<'a>,
        filter: Filter,
        span: Span,
    ) -> Operand<'a> {
        let dims = match &value.value {
            Value::Node(node) => self.graph.nodes[*node].dims,
            Value::Number(_) => DimSet::EMPTY,
            Value::Bool(_) | Value::Tuple(_) | Value::Poison => return value,
        };
        let dtype = self.dtype_of(&value).map(DType::arithmetic);
        if dtype == Some(DType::Bool)
            || !filter.dims.is_subset(dims.union(self.graph.nodes[filter.cond].dims))
        {
            return value;
        }
        let identity = match (reduction, dtype) {
            (Reduction::Sum, _) => Number::Int(0),
            (Reduction::Prod, _) => Number::Int(1),
            (Reduction::Max | Reduction::SelMax, Some(DType::I32)) => Number::Int(i64::from(i32::MIN)),
            (Reduction::Min | Reduction::SelMin, Some(DType::I32)) => Number::Int(i64::from(i32::MAX)),
            (Reduction::Max | Reduction::Min | Reduction::SelMax | Reduction::SelMin, _) => {
                Number::float(reduction.identity())
            }
        };
        let place = value.span;
        let cond = Operand { value: Value::Node(filter.cond), span };
        let identity = Operand { value: Value::Number(identity), span };
        Operand { value: self.select(cond, value, identity, span), span: place }
    }

    /// At how many places along its dimensions a filter holds.
    pub(super) fn places(&mut self, filter: Filter, span: Span) -> Value<'a> {
        let along = self.graph.nodes[filter.cond].dims.intersection(filter.dims);
        let operand = |value| Operand { value, span };
        let number = |value| Operand { value: Value::Number(Number::Int(value)), span };
        let cond = operand(Value::Node(filter.cond));
        let one = self.select(cond, number(1), number(0), span);
        let count = match one {
            Value::Node(one) if !along.is_empty() => {
                let op = Op::Reduce { reduction: Reduction::Sum, args: vec![one], dims: along };
                self.node(op, DType::I32, span)
            }
            other => other,
        };
        let rest = filter.dims.difference(along);
        if rest.is_empty() {
            return count;
        }
        // The condition is the same all along them.
        let size = self.size(rest, span);
        self.apply(Prim::Mul, vec![operand(count), operand(size)], span)
    }
}
