//! Indexing with positions that are known only when the kernel runs: `x[d = label]`, `z[k = index(j) - 1 else inf]`.
//!
//! Any value can be indexed. A parameter is read at the positions by [`Op::Gather`]; a computed value is computed once more with the
//! position in place of `index(d)` and its parameters read there ([`Lowerer::gathered`]). Whether a position lies inside is tested
//! once, above all that: elsewhere stands the value after `else`, or that of [`Lowerer::outside`].

use rustc_hash::{FxHashMap, FxHashSet};

use super::lower::{Lowerer, Operand, Value};
use super::number::Number;
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{Constant, NodeId, Op, Steps};
use crate::ops::Prim;
use crate::syntax::ast;
use crate::types::{DType, DimId, DimKind, DimSet, SizeExpr};

impl<'a> Lowerer<'_, 'a> {
    /// Whether the value after `else` may stand there: it has the dimension only if the position has it.
    pub(super) fn check_else(
        &mut self,
        entry: &ast::IndexEntry,
        dim: DimId,
        position: &Value<'a>,
        otherwise: &Operand<'a>,
    ) -> bool {
        let dims = |value: &Value<'a>| match value {
            Value::Node(node) => self.graph.nodes[*node].dims,
            _ => DimSet::EMPTY,
        };
        if dims(position).contains(dim) || !dims(&otherwise.value).contains(dim) {
            return true;
        }
        let name = &entry.dim.name;
        let message = format!("the value after `else` has `{name}`, the dimension that the index takes away");
        let error = Diagnostic::error(codes::POSITION, otherwise.span, message)
            .with_other(entry.dim.span, "this dimension")
            .with_help(format!("reduce it over `{name}`, or pick a position of it"));
        self.report(error);
        false
    }

    /// Several entries act at once: where a position has a dimension that another entry indexes, the value is read along another name
    /// of that dimension first. Gives the value and the dimension of each entry, as far as it has another one.
    pub(super) fn indexed_apart(
        &mut self,
        mut base: Operand<'a>,
        entries: &'a [ast::IndexEntry],
        positions: &[Value<'a>],
    ) -> (Operand<'a>, Vec<Option<DimId>>) {
        let mut others = vec![None; entries.len()];
        for (at, entry) in entries.iter().enumerate().filter(|_| entries.len() > 1) {
            if !self.knows_dim(&entry.dim) {
                continue;
            }
            let (Some(dim), Value::Node(node)) = (self.one_dim(&entry.dim, "an index"), &base.value) else {
                continue;
            };
            let meant = |(other, position): (usize, &Value<'a>)| {
                other != at
                    && matches!(position, Value::Node(node) if self.graph.nodes[*node].dims.contains(dim))
            };
            let clash = positions.iter().enumerate().any(meant);
            let node = *node;
            if !clash || !self.graph.nodes[node].dims.contains(dim) {
                continue;
            }
            let Some(third) = self.third_dim(dim, dim, entry.span) else { continue };
            base.value = self.along(&base, node, dim, third);
            others[at] = Some(third);
        }
        (base, others)
    }

    /// The value of an index along `dim`, which `node`, the value of `base`, has.
    pub(super) fn computed_index(
        &mut self,
        base: &Operand<'a>,
        (node, dim): (NodeId, DimId),
        position: &Operand<'a>,
        otherwise: Option<&Operand<'a>>,
    ) -> Value<'a> {
        let Some(index) = self.position(position) else { return Value::Poison };
        let inside = self.inside(index, dim, position.span);
        let Value::Node(value) = self.gathered(base, node, dim, index) else { return Value::Poison };
        if self.is_zero_outside(value, (dim, index), otherwise) {
            return Value::Node(value);
        }
        let no = match otherwise {
            Some(value) => value.clone(),
            None => Operand { value: self.outside(base), span: base.span },
        };
        let Some(inside) = inside else { return Value::Node(value) };
        let cond = Operand { value: inside, span: position.span };
        self.select(cond, Operand { value: Value::Node(value), span: base.span }, no, position.span)
    }

    /// Whether an indexed parameter is by itself what stands outside: a zero, since it is read at the position.
    fn is_zero_outside(
        &self,
        value: NodeId,
        (dim, index): (DimId, NodeId),
        otherwise: Option<&Operand<'a>>,
    ) -> bool {
        let node = &self.graph.nodes[value];
        let zero = match (otherwise.map(|value| &value.value), node.dtype) {
            (None, dtype) => !dtype.is_float(),
            (Some(Value::Number(_)), DType::Bool) => false,
            (Some(Value::Number(Number::Float { .. })), DType::I32) => false,
            (Some(Value::Number(number)), dtype) => number.constant(dtype).bits == 0,
            (Some(Value::Bool(value)), DType::Bool) => !value,
            (Some(_), _) => false,
        };
        let Op::Gather { dims, args } = &node.op else { return false };
        let reads = dims.iter().zip(&args[1..]).any(|(own, position)| (*own, *position) == (dim, index));
        zero && reads
    }

    /// A position as an integer.
    fn position(&mut self, position: &Operand<'a>) -> Option<NodeId> {
        let whole = match &position.value {
            Value::Node(node) if matches!(self.graph.nodes[*node].dtype, DType::I8 | DType::U8) => {
                return match self.convert(*node, DType::I32, position.span) {
                    Value::Node(node) => Some(node),
                    _ => None,
                };
            }
            Value::Node(node) => self.graph.nodes[*node].dtype == DType::I32,
            Value::Number(number) => number.whole().is_some_and(|whole| i32::try_from(whole).is_ok()),
            Value::Bool(_) | Value::Tuple(_) => false,
            Value::Poison => return None,
        };
        if whole {
            return self.materialize(position, DType::I32);
        }
        let message = format!("a position must be an integer, but this is {}", self.describe(position));
        let mut error = Diagnostic::error(codes::POSITION, position.span, message);
        let is_float =
            matches!(&position.value, Value::Node(node) if self.graph.nodes[*node].dtype.is_float());
        if is_float {
            let text = self.session.sources.snippet(position.span).to_owned();
            error = error.with_fix(
                "round it to the nearest integer (`floor` it before to round down)",
                position.span,
                format!("i32({text})"),
            );
        }
        self.report(error);
        None
    }

    /// Whether a position lies inside of a dimension; none where it always does.
    fn inside(&mut self, index: NodeId, dim: DimId, span: Span) -> Option<Value<'a>> {
        let (above, below) = self.proven(index, dim);
        let span = self.user_place(span);
        let operand = |value| Operand { value, span };
        let lower = (!above).then(|| {
            let zero = Value::Number(Number::Int(0));
            self.apply(Prim::Ge, vec![operand(Value::Node(index)), operand(zero)], span)
        });
        let upper = (!below).then(|| {
            let size = self.node(Op::Size(DimSet::one(dim)), DType::I32, span);
            self.apply(Prim::Lt, vec![operand(Value::Node(index)), operand(size)], span)
        });
        match (lower, upper) {
            (Some(lower), Some(upper)) => {
                Some(self.apply(Prim::And, vec![operand(lower), operand(upper)], span))
            }
            (one, other) => one.or(other),
        }
    }

    /// Whether a position is proven to be at least 0, and below the size of `dim`: for those along a dimension, shifted down.
    fn proven(&self, index: NodeId, dim: DimId) -> (bool, bool) {
        let (to, down) = match &self.graph.nodes[index].op {
            Op::Index(to) => (*to, 0),
            Op::Step(repeat) => {
                let below = match self.graph.repeats[*repeat] {
                    Steps::Size(steps) => self.same_size(steps, dim),
                    Steps::Number(count) => {
                        self.graph.dims[dim].fixed().is_some_and(|size| i64::from(count) <= size)
                    }
                };
                return (true, below);
            }
            Op::Prim(Prim::Sub, args) => match (&self.graph.nodes[args[0]].op, &self.graph.nodes[args[1]].op)
            {
                (Op::Index(to), Op::Const(down)) if down.value() >= 0.0 => (*to, down.value() as i64),
                _ => return (false, false),
            },
            _ => return (false, false),
        };
        // `dim t = j + 1;`: so much longer.
        let longer = match &self.graph.dims[to].kind {
            DimKind::Computed(SizeExpr::Add(size, more)) => match (&**size, &**more) {
                (SizeExpr::Dim(of), SizeExpr::Const(more)) if self.same_size(DimId::from_u32(*of), dim) => {
                    Some(*more)
                }
                _ => None,
            },
            _ => match (self.graph.dims[to].fixed(), self.graph.dims[dim].fixed()) {
                (Some(to), Some(dim)) => Some(to - dim),
                _ => self.same_size(to, dim).then_some(0),
            },
        };
        (down == 0, longer.is_some_and(|longer| longer <= down))
    }

    /// `node`, which has `dim`, at the position `index` along it; anything where that lies outside.
    fn gathered(&mut self, base: &Operand<'a>, node: NodeId, dim: DimId, index: NodeId) -> Value<'a> {
        let over = self.graph.nodes[index].dims;
        let (mut todo, mut seen) = (vec![node], FxHashSet::default());
        while let Some(next) = todo.pop() {
            if !self.graph.nodes[next].dims.contains(dim) || !seen.insert(next) {
                continue;
            }
            match &self.graph.nodes[next].op {
                // A name that the node has taken away by then is another one than that of the position.
                Op::Reduce { dims, .. } | Op::Fold { dims, .. } if !dims.intersection(over).is_empty() => {}
                Op::Slice { dim: own, .. } if over.contains(*own) => {}
                Op::Stack { dim: own, .. } if *own == dim => {}
                Op::Stack { dim: own, .. } if over.contains(*own) => {
                    let own = *own;
                    return self.gathered_apart(base, (node, dim), index, own);
                }
                Op::Gather { args, .. } => todo.extend(&args[1..]),
                Op::Scan { dim: own, .. } if *own == dim || over.contains(*own) => {
                    return self.report_gathered_order(base, "a scan", dim);
                }
                Op::KthLargest { dim: own, .. } if over.contains(*own) => {
                    return self.report_gathered_order(base, "a k-th largest element", dim);
                }
                Op::Carry { .. } | Op::Final { .. } => {
                    return self.report_gathered_order(base, "the state of a loop", dim);
                }
                _ if self.is_leaf(next) => {}
                op => todo.extend(op.args()),
            }
        }
        let mut seen: Vec<NodeId> = seen.into_iter().collect();
        seen.sort_unstable();
        let mut new: FxHashMap<NodeId, NodeId> = FxHashMap::default();
        for old in seen {
            match self.gathered_node(base, old, (dim, index), &new) {
                Value::Node(node) => drop(new.insert(old, node)),
                other => return other,
            }
        }
        Value::Node(new[&node])
    }

    /// What has to be in memory before it is read at other places than its own.
    fn report_gathered_order(&mut self, base: &Operand<'a>, what: &str, dim: DimId) -> Value<'a> {
        let message = format!(
            "the value of {what} can't be read at computed positions along `{}` yet",
            self.graph.dims[dim].name
        );
        let mut error = Diagnostic::error(codes::NOT_YET, base.span, message);
        if what == "a scan" {
            error = error.with_help(
                "where what stands before each element is meant, `exclusive = true` in the scan gives it",
            );
        }
        error =
            error.with_help("a kernel that makes it a result, and one that reads that, do it in two calls");
        self.report(error);
        Value::Poison
    }

    /// Whether a node is a parameter, its renaming, or slices of them.
    fn is_leaf(&self, mut node: NodeId) -> bool {
        loop {
            match &self.graph.nodes[node].op {
                Op::Param(_) => return true,
                Op::Slice { value, .. } | Op::Rename { value, .. } => node = *value,
                _ => return false,
            }
        }
    }

    /// One node for [`Lowerer::gathered`]; `new` has those of its operands that have the dimension.
    fn gathered_node(
        &mut self,
        base: &Operand<'a>,
        old: NodeId,
        (dim, index): (DimId, NodeId),
        new: &FxHashMap<NodeId, NodeId>,
    ) -> Value<'a> {
        let node = self.graph.nodes[old].clone();
        let over = self.graph.nodes[index].dims;
        if self.is_leaf(old) {
            return self.gather(old, vec![(dim, index)], node.span);
        }
        let mut op = node.op;
        match &mut op {
            Op::Index(_) => return Value::Node(index),
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } if !dims.intersection(over).is_empty() => {
                let (taken, args) = (dims.intersection(over), op.args().to_vec());
                return self.gathered_below(base, old, (dim, index), taken, args);
            }
            Op::Slice { dim: own, value, .. } if over.contains(*own) => {
                let (taken, args) = (DimSet::one(*own), vec![*value]);
                return self.gathered_below(base, old, (dim, index), taken, args);
            }
            Op::Stack { dim: own, values } if *own == dim => {
                return self.chosen(values, index, node.dtype, node.span);
            }
            Op::Gather { dims, args } => {
                let mut pairs: Vec<(DimId, NodeId)> = dims.iter().copied().zip(args[1..].to_vec()).collect();
                for (_, position) in &mut pairs {
                    *position = new.get(position).copied().unwrap_or(*position);
                }
                if self.graph.nodes[args[0]].dims.contains(dim) && !dims.contains(&dim) {
                    pairs.push((dim, index));
                }
                return self.gather(args[0], pairs, node.span);
            }
            Op::Broadcast(value) => {
                let value = new.get(value).copied().unwrap_or(*value);
                return self.broadcast(value, node.dims.without(dim).union(over), node.span);
            }
            // As it is, of operands that are read there.
            Op::Reduce { .. }
            | Op::Fold { .. }
            | Op::Slice { .. }
            | Op::Stack { .. }
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Scan { .. }
            | Op::KthLargest { .. } => {}
            Op::Param(_)
            | Op::Const(_)
            | Op::Size(_)
            | Op::Rename { .. }
            | Op::Carry { .. }
            | Op::Step(_)
            | Op::Final { .. } => unreachable!("it has no dimensions, is a leaf, or was refused"),
        }
        for arg in op.args_mut() {
            *arg = new.get(arg).copied().unwrap_or(*arg);
        }
        self.node(op, node.dtype, node.span)
    }

    /// A leaf at positions along some of its dimensions.
    fn gather(&mut self, leaf: NodeId, mut pairs: Vec<(DimId, NodeId)>, span: Span) -> Value<'a> {
        pairs.sort_unstable();
        let dims = pairs.iter().map(|(dim, _)| *dim).collect();
        let args = std::iter::once(leaf).chain(pairs.into_iter().map(|(_, index)| index)).collect();
        self.node(Op::Gather { dims, args }, self.graph.nodes[leaf].dtype, span)
    }

    /// A reduction or a slice that takes away dimensions which the position has, too: they get other names below it.
    fn gathered_below(
        &mut self,
        base: &Operand<'a>,
        old: NodeId,
        (dim, index): (DimId, NodeId),
        taken: DimSet,
        mut args: Vec<NodeId>,
    ) -> Value<'a> {
        let node = self.graph.nodes[old].clone();
        let mut op = node.op;
        for own in taken.iter() {
            let Some(third) = self.third_dim(own, own, node.span) else { return Value::Poison };
            for arg in &mut args {
                if !self.graph.nodes[*arg].dims.contains(own) {
                    continue;
                }
                match self.along(base, *arg, own, third) {
                    Value::Node(node) => *arg = node,
                    other => return other,
                }
            }
            match &mut op {
                Op::Reduce { dims, .. } | Op::Fold { dims, .. } => *dims = dims.without(own).with(third),
                Op::Slice { dim, .. } => *dim = third,
                _ => unreachable!("only reductions and slices take dimensions away"),
            }
        }
        for (slot, arg) in op.args_mut().iter_mut().zip(args) {
            *slot = arg;
            if self.graph.nodes[arg].dims.contains(dim) {
                match self.gathered(base, arg, dim, index) {
                    Value::Node(node) => *slot = node,
                    other => return other,
                }
            }
        }
        self.node(op, node.dtype, node.span)
    }

    /// The value at each position of a dimension of fixed size, one by one: `node` stacks along it, and the position has it.
    fn gathered_apart(
        &mut self,
        base: &Operand<'a>,
        (node, dim): (NodeId, DimId),
        index: NodeId,
        own: DimId,
    ) -> Value<'a> {
        let size = self.graph.dims[own].fixed().unwrap_or(0);
        let mut values = Vec::new();
        for at in 0..size as u32 {
            let parts = [node, index].map(|value| {
                let dtype = self.graph.nodes[value].dtype;
                if !self.graph.nodes[value].dims.contains(own) {
                    return Value::Node(value);
                }
                self.node(Op::Slice { value, dim: own, at }, dtype, base.span)
            });
            let [Value::Node(node), Value::Node(index)] = parts else { return Value::Poison };
            values.push(Operand { value: self.gathered(base, node, dim, index), span: base.span });
        }
        self.stack_values(own, values, base.span)
    }

    /// That one of some values whose number the position is.
    fn chosen(&mut self, values: &[NodeId], index: NodeId, dtype: DType, span: Span) -> Value<'a> {
        let Some((last, before)) = values.split_last() else { return Value::Poison };
        let Some(mut chosen) = self.computed_in(*last, dtype, span) else { return Value::Poison };
        for (at, value) in before.iter().enumerate().rev() {
            let at = self.node(Op::Const(Constant::new(DType::I32, at as f64)), DType::I32, span);
            let Value::Node(at) = at else { return at };
            let here = self.node(Op::Prim(Prim::Eq, vec![index, at]), DType::Bool, span);
            let (Value::Node(here), Some(value)) = (here, self.computed_in(*value, dtype, span)) else {
                return Value::Poison;
            };
            let op = Op::Prim(Prim::Select, vec![here, value, chosen]);
            match self.node(op, dtype.arithmetic(), span) {
                Value::Node(node) => chosen = node,
                other => return other,
            }
        }
        // What reads it takes it for a value in the dtype of the stack; the way there and back changes nothing.
        match self.convert(chosen, dtype, span) {
            // One position only: the value does not depend on the index, but it has its dimensions.
            Value::Node(node) => self.broadcast(node, self.graph.nodes[index].dims, span),
            other => other,
        }
    }

    /// A value of that dtype as the one it is computed in.
    fn computed_in(&mut self, value: NodeId, dtype: DType, span: Span) -> Option<NodeId> {
        match self.convert(value, dtype.arithmetic(), span) {
            Value::Node(node) => Some(node),
            _ => None,
        }
    }
}
