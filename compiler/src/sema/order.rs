//! Scans, and what puts elements in order: `cumsum[t](x)`, `kth_largest[d](x, k)`, `topk_mask[d](x, k)`, `sort[pair](x)`.
//!
//! A scan and a k-th largest along a dimension that is looped over are nodes of the graph. The others are made of what there is: the
//! elements of a small fixed-size dimension go through a sorting network, Batcher's merge exchange, and the mask of the largest compares
//! with the k-th and counts the ties before each place.

use super::builtin::Builtin;
use super::infer::number_of;
use super::lower::{Lowerer, Operand, Value};
use super::number::Number;
use super::{MAX_UNROLLED_SIZE, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{Constant, NodeId, Op};
use crate::ops::{Prim, Reduction, Scan};
use crate::syntax::ast;
use crate::types::{DType, DimId, DimSet};

/// The arguments of a scan that have names.
const FLAGS: [&str; 2] = ["reverse", "exclusive"];

/// What is wrong with the arguments of a scan, by their names alone.
pub(super) fn wrong_flag(call: &ast::Call) -> Option<Diagnostic> {
    let named = call.args.iter().filter_map(|arg| arg.name.as_ref());
    let unknown = named.clone().find(|name| !FLAGS.contains(&name.as_str()));
    if let Some(name) = unknown {
        let message = format!("`{}` has no argument `{}`", call.callee.name, name.name);
        let error = Diagnostic::error(codes::UNKNOWN_ARGUMENT, name.span, message);
        return Some(match suggest::nearest(&name.name, FLAGS) {
            Some(near) => error.with_fix(format!("did you mean `{near}`?"), name.span, near),
            None => error.with_note("besides its operand it takes `reverse = true` and `exclusive = true`"),
        });
    }
    let mut seen: Vec<&ast::Ident> = Vec::new();
    for name in named {
        if let Some(first) = seen.iter().find(|first| first.name == name.name) {
            let message = format!("`{}` of `{}` is given twice", name.name, call.callee.name);
            let error = Diagnostic::error(codes::DUPLICATE_ARGUMENT, name.span, message);
            return Some(error.with_other(first.span, "the first time"));
        }
        seen.push(name);
    }
    let places = call.args.iter().filter(|arg| arg.name.is_none()).count();
    (places != 1).then(|| {
        let message = format!("`{}` takes one operand, but is given {places}", call.callee.name);
        Diagnostic::error(codes::ARGUMENT_COUNT, call.callee.span, message)
            .with_note("besides it there are `reverse = true` and `exclusive = true`")
    })
}

/// The exchanges of a sorting network for so many elements: merge exchange, which takes any number.
fn network(count: usize) -> Vec<(usize, usize)> {
    let mut exchanges = Vec::new();
    if count < 2 {
        return exchanges;
    }
    let half = count.next_power_of_two() / 2;
    let mut p = half;
    while p > 0 {
        let (mut q, mut r, mut d) = (half, 0, p);
        loop {
            exchanges.extend((0..count - d).filter(|i| i & p == r).map(|i| (i, i + d)));
            if q == p {
                break;
            }
            (d, r, q) = (q - p, p, q / 2);
        }
        p /= 2;
    }
    exchanges
}

impl<'a> Lowerer<'_, 'a> {
    /// `cumsum[t](x, reverse = true)`
    pub(super) fn scan(&mut self, reduction: Reduction, call: &'a ast::Call, span: Span) -> Value<'a> {
        if wrong_flag(call).is_some() || call.dims.as_ref().is_some_and(|dims| dims.filter.is_some()) {
            return Value::Poison;
        }
        let mut scan = Scan { reduction, reverse: false, exclusive: false };
        let (mut operand, mut whole) = (None, true);
        for arg in &call.args {
            let value = self.operand(&arg.value);
            match (&arg.name, &value.value) {
                (None, _) => operand = Some(value),
                (Some(name), Value::Bool(set)) if name.as_str() == "reverse" => scan.reverse = *set,
                (Some(_), Value::Bool(set)) => scan.exclusive = *set,
                (Some(_), Value::Poison) => whole = false,
                (Some(name), _) => {
                    let message = format!("`{}` is `true` or `false`, known while compiling", name.name);
                    self.report(Diagnostic::error(codes::NOT_CONSTANT, value.span, message));
                    whole = false;
                }
            }
        }
        let (Some(operand), true) = (operand, whole) else { return Value::Poison };
        let Some((node, dim)) = self.along_one(call, &operand) else { return Value::Poison };
        let dtype = self.graph.nodes[node].dtype;
        self.node(Op::Scan { scan, value: node, dim }, dtype, span)
    }

    /// `kth_largest[d](x, k)`, `topk_mask[d](x, k)`, `sort[pair](x)`
    pub(super) fn order(
        &mut self,
        builtin: Builtin,
        call: &'a ast::Call,
        args: &[Operand<'a>],
        span: Span,
    ) -> Value<'a> {
        let Some((node, dim)) = self.along_one(call, &args[0]) else { return Value::Poison };
        if builtin == Builtin::Sort {
            let place = call.dims.as_ref().map_or(call.callee.span, |dims| dims.span);
            return self.sort(node, dim, place, span);
        }
        if !self.is_k(call, dim, &args[1]) {
            return Value::Poison;
        }
        let Some(kth) = self.kth(node, dim, &args[1], span) else { return Value::Poison };
        match builtin {
            Builtin::TopkMask => self.mask(node, kth, dim, &args[1], span).map_or(Value::Poison, Value::Node),
            _ => Value::Node(kth),
        }
    }

    /// The operand's node, in the dtype it is computed in, and the one dimension in the brackets, which it has.
    fn along_one(&mut self, call: &'a ast::Call, operand: &Operand<'a>) -> Option<(NodeId, DimId)> {
        let dims = self.call_dims(call)?;
        let name = &call.callee.name;
        let [(dim, place)] = dims[..] else {
            let span = call.dims.as_ref().map_or(call.callee.span, |dims| dims.span);
            let message = format!("`{name}` goes along one dimension, not {}", dims.len());
            self.report(Diagnostic::error(codes::DIM_COUNT, span, message));
            return None;
        };
        let node = self.array_with(operand, DimSet::one(dim), &[place])?;
        if self.graph.nodes[node].dtype == DType::Bool {
            let message = format!("`{name}` needs numbers, but this is {}", self.describe(operand));
            let error = Diagnostic::error(codes::BOOL_OPERAND, operand.span, message)
                .with_help("convert the condition: `i32(…)` is 1 where it holds");
            self.report(error);
            return None;
        }
        let dtype = self.graph.nodes[node].dtype.arithmetic();
        match self.convert(node, dtype, operand.span) {
            Value::Node(node) => Some((node, dim)),
            _ => None,
        }
    }

    /// Whether a value may be the `k` of an operation along a dimension; says so if not.
    fn is_k(&mut self, call: &ast::Call, dim: DimId, k: &Operand<'a>) -> bool {
        let size = self.graph.dims[dim].fixed();
        let fits = match &k.value {
            Value::Poison => return false,
            Value::Number(_) => number_of(k)
                .and_then(Number::whole)
                .is_some_and(|k| (1..=size.unwrap_or(i64::from(i32::MAX))).contains(&k)),
            Value::Node(node) => {
                let node = &self.graph.nodes[*node];
                node.dtype == DType::I32 && node.dims.is_empty()
            }
            Value::Bool(_) | Value::Tuple(_) => false,
        };
        if !fits {
            let name = &call.callee.name;
            let dim = &self.graph.dims[dim].name;
            let message = match size {
                Some(size) => {
                    format!("the `k` of `{name}` is one integer from 1 to {size}, the size of `{dim}`")
                }
                None => format!("the `k` of `{name}` is one integer from 1 to the size of `{dim}`"),
            };
            let what = self.describe(k);
            let error = Diagnostic::error(codes::BAD_K, k.span, message).with_note(format!("this is {what}"));
            self.report(error);
        }
        fits
    }

    /// The number of positions of a dimension whose elements are sorted one by one.
    fn sorted_size(&self, dim: DimId) -> Option<u32> {
        let size = self.graph.dims[dim].fixed()?;
        (1..=MAX_UNROLLED_SIZE).contains(&size).then_some(size as u32)
    }

    fn kth(&mut self, node: NodeId, dim: DimId, k: &Operand<'a>, span: Span) -> Option<NodeId> {
        let dtype = self.graph.nodes[node].dtype;
        let k_node = self.materialize(k, DType::I32)?;
        let Some(size) = self.sorted_size(dim) else {
            let op = Op::KthLargest { args: [node, k_node], dim };
            return self.made(op, dtype, span);
        };
        let sorted = self.sorted(node, dim, size, span)?;
        let picked = match number_of(k).and_then(Number::whole) {
            Some(k) => sorted[sorted.len() - k as usize],
            None => {
                let mut picked = sorted[0];
                for (at, &element) in sorted.iter().enumerate().skip(1) {
                    // One above `at` others: the largest but `size - at - 1`.
                    let place = self.integer(i64::from(size) - at as i64, span)?;
                    let here = self.prim(Prim::Le, &[k_node, place], DType::Bool, span)?;
                    picked = self.prim(Prim::Select, &[here, element, picked], dtype, span)?;
                }
                picked
            }
        };
        if !dtype.is_float() {
            return Some(picked);
        }
        // -0 becomes +0.
        let zero = self.made(Op::Const(Constant::new(dtype, 0.0)), dtype, span)?;
        self.prim(Prim::Add, &[picked, zero], dtype, span)
    }

    /// True at exactly `k` places: those above the k-th largest, and of those that equal it the first ones.
    fn mask(&mut self, x: NodeId, kth: NodeId, dim: DimId, k: &Operand<'a>, span: Span) -> Option<NodeId> {
        let float = self.graph.nodes[x].dtype.is_float();
        let mut above = self.prim(Prim::Gt, &[x, kth], DType::Bool, span)?;
        let mut tie = self.prim(Prim::Eq, &[x, kth], DType::Bool, span)?;
        if float {
            // NaN is above all numbers, and equals itself.
            let is_nan = self.prim(Prim::Ne, &[x, x], DType::Bool, span)?;
            let number = self.prim(Prim::Eq, &[kth, kth], DType::Bool, span)?;
            let nan_above = self.prim(Prim::And, &[is_nan, number], DType::Bool, span)?;
            above = self.prim(Prim::Or, &[above, nan_above], DType::Bool, span)?;
            let no_number = self.prim(Prim::Ne, &[kth, kth], DType::Bool, span)?;
            let nan_tie = self.prim(Prim::And, &[is_nan, no_number], DType::Bool, span)?;
            tie = self.prim(Prim::Or, &[tie, nan_tie], DType::Bool, span)?;
        }
        let counted = self.made(Op::Convert(above), DType::I32, span)?;
        let (reduction, dims) = (Reduction::Sum, DimSet::one(dim));
        let count = self.made(Op::Reduce { reduction, args: vec![counted], dims }, DType::I32, span)?;
        let k = self.k_inside(k, dim, span)?;
        let open = self.prim(Prim::Sub, &[k, count], DType::I32, span)?;
        let ties = self.made(Op::Convert(tie), DType::I32, span)?;
        let scan = Scan { reduction, reverse: false, exclusive: true };
        let before = self.made(Op::Scan { scan, value: ties, dim }, DType::I32, span)?;
        let early = self.prim(Prim::Lt, &[before, open], DType::Bool, span)?;
        let chosen = self.prim(Prim::And, &[tie, early], DType::Bool, span)?;
        self.prim(Prim::Or, &[above, chosen], DType::Bool, span)
    }

    /// `k` between 1 and the size of the dimension.
    fn k_inside(&mut self, k: &Operand<'a>, dim: DimId, span: Span) -> Option<NodeId> {
        let size = Operand { value: self.size(DimSet::one(dim), span), span };
        let least = Operand { value: Value::Number(Number::Int(1)), span };
        let k = Operand { value: self.apply(Prim::Min, vec![k.clone(), size], span), span };
        let k = Operand { value: self.apply(Prim::Max, vec![k, least], span), span };
        self.materialize(&k, DType::I32)
    }

    fn sort(&mut self, node: NodeId, dim: DimId, place: Span, span: Span) -> Value<'a> {
        let Some(size) = self.sorted_size(dim) else {
            let name = &self.graph.dims[dim].name;
            let message = format!(
                "`sort` needs a dimension of fixed size, at most {MAX_UNROLLED_SIZE}, and `{name}` is not"
            );
            let error = Diagnostic::error(codes::NOT_FIXED, place, message).with_note(
                "for what is largest in a row of any length there are `kth_largest` and `topk_mask`",
            );
            self.report(error);
            return Value::Poison;
        };
        let dtype = self.graph.nodes[node].dtype;
        match self.sorted(node, dim, size, span) {
            Some(values) => self.node(Op::Stack { dim, values }, dtype, span),
            None => Value::Poison,
        }
    }

    /// The elements along a dimension in ascending order, NaN last.
    fn sorted(&mut self, node: NodeId, dim: DimId, size: u32, span: Span) -> Option<Vec<NodeId>> {
        let dtype = self.graph.nodes[node].dtype;
        let mut elements = Vec::new();
        for at in 0..size {
            elements.push(self.made(Op::Slice { value: node, dim, at }, dtype, span)?);
        }
        for (low, high) in network(size as usize) {
            let (a, b) = (elements[low], elements[high]);
            let mut keep = self.prim(Prim::Le, &[a, b], DType::Bool, span)?;
            if dtype.is_float() {
                let is_nan = self.prim(Prim::Ne, &[b, b], DType::Bool, span)?;
                keep = self.prim(Prim::Or, &[keep, is_nan], DType::Bool, span)?;
            }
            elements[low] = self.prim(Prim::Select, &[keep, a, b], dtype, span)?;
            elements[high] = self.prim(Prim::Select, &[keep, b, a], dtype, span)?;
        }
        Some(elements)
    }

    fn integer(&mut self, value: i64, span: Span) -> Option<NodeId> {
        self.made(Op::Const(Constant::new(DType::I32, value as f64)), DType::I32, span)
    }

    fn prim(&mut self, prim: Prim, args: &[NodeId], dtype: DType, span: Span) -> Option<NodeId> {
        self.made(Op::Prim(prim, args.to_vec()), dtype, span)
    }

    /// A node; none above the limit.
    fn made(&mut self, op: Op, dtype: DType, span: Span) -> Option<NodeId> {
        match self.node(op, dtype, span) {
            Value::Node(node) => Some(node),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn networks_sort() {
        for count in 0..=64usize {
            // Zeros and ones decide; all of them for few elements, those with one border and some others for many.
            let patterns: Vec<u64> = match count {
                0..=12 => (0..1 << count).collect(),
                _ => (0..3000u64)
                    .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                    .chain((0..64).map(|n| !0 << n))
                    .collect(),
            };
            for pattern in patterns {
                let mut line: Vec<u64> = (0..count).map(|at| pattern >> at & 1).collect();
                for (low, high) in network(count) {
                    if line[low] > line[high] {
                        line.swap(low, high);
                    }
                }
                assert!(line.is_sorted(), "{count} elements of {pattern:b}");
            }
        }
    }
}
