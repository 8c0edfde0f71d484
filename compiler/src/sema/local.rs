//! Local dimensions: `dim t = j + 1;` and `dim j = i;`, and what it means to read a value along another name of one of
//! its dimensions.
//!
//! `dim j = i;` makes a second dimension of the same size. `x[i = index(j)]` is then `x` with `j` in place of `i`: a
//! renaming, not a gather. A parameter is read along other names by [`Op::Rename`]; a computed value is computed once more,
//! along `j` ([`Lowerer::along`]).
//!
//! The canonical order of dimensions is that of the declared types; a local dimension stands directly behind the last
//! one that its size is made of, so that `x` along `j` has its dimensions in the order that `x` has. The numbers of dimensions
//! are given as they come up; [`Lowerer::order_dims`] renumbers them at the end.

use std::collections::hash_map::Entry;

use cranelift_entity::{EntityRef, PrimaryMap};
use rustc_hash::FxHashMap;

use super::MAX_SIZE;
use super::lower::{DimBinding, Lowerer, Operand, Value};
use super::number::Number;
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::repeats::Nesting;
use crate::graph::{Graph, Node, NodeId, Op, RepeatId, Steps};
use crate::syntax::ast::{self, SizeKind, SizeOp};
use crate::types::{Dim, DimId, DimKind, DimSet, MAX_DIMS, SizeExpr};

impl<'a> Lowerer<'_, 'a> {
    // Declaring

    /// `dim t = j + 1;`. A mistake binds nothing but has its message.
    pub(super) fn local_dim(&mut self, name: &'a ast::Ident, size: &'a ast::SizeExpr) -> Option<DimId> {
        let value = self.local_size(size)?;
        let kind = match value {
            SizeExpr::Const(value) if (1..=MAX_SIZE).contains(&value) => DimKind::Fixed(value),
            SizeExpr::Const(value) => {
                let why = format!("it is {value}, and sizes are from 1 to {MAX_SIZE}");
                self.report_bad_size(&why, size.span);
                return None;
            }
            value => DimKind::Computed(value),
        };
        let sources = match &kind {
            DimKind::Computed(value) => dims_of(value),
            DimKind::Fixed(_) | DimKind::Free | DimKind::Leading => self.named_dims(size),
        };
        let dim = self.new_dim(name, kind, sources)?;
        self.frame().bind_dim(name.as_str(), DimBinding::Dims([dim].into()));
        Some(dim)
    }

    /// A new dimension, behind the last one of `sources`.
    fn new_dim(&mut self, name: &ast::Ident, kind: DimKind, sources: DimSet) -> Option<DimId> {
        let after = self.order.iter().rposition(|dim| sources.contains(*dim));
        let dim = self.push_dim(name.name.clone(), kind, name.span)?;
        if let Some(after) = after {
            self.order.pop();
            self.order.insert(after + 1, dim);
        }
        Some(dim)
    }

    /// A new dimension, behind all others.
    pub(super) fn push_dim(&mut self, name: String, kind: DimKind, span: Span) -> Option<DimId> {
        if self.graph.dims.len() >= MAX_DIMS {
            let message = format!("kernel `{}` has more than {MAX_DIMS} dimensions", self.graph.name);
            self.report(Diagnostic::error(codes::TOO_MANY_DIMS, span, message));
            return None;
        }
        let dim = self.graph.dims.push(Dim { name, kind });
        self.order.push(dim);
        Some(dim)
    }

    /// A size with everything that is known computed.
    fn local_size(&mut self, size: &'a ast::SizeExpr) -> Option<SizeExpr> {
        match &size.kind {
            SizeKind::Int(value) => Some(SizeExpr::Const(i64::try_from(*value).unwrap_or(i64::MAX))),
            SizeKind::Name(name) => self.local_size_name(name),
            SizeKind::Binary(op, left, right) => {
                let (left, right) = (self.local_size(left), self.local_size(right));
                let (left, right) = (left?, right?);
                let constant = matches!((&left, &right), (SizeExpr::Const(_), SizeExpr::Const(_)));
                let (left, right) = (Box::new(left), Box::new(right));
                let value = match op {
                    SizeOp::Add => SizeExpr::Add(left, right),
                    SizeOp::Sub => SizeExpr::Sub(left, right),
                    SizeOp::Mul => SizeExpr::Mul(left, right),
                    SizeOp::Div => SizeExpr::Div(left, right),
                };
                if !constant {
                    return Some(value);
                }
                let known = value.eval(&[]);
                if known.is_none() {
                    self.report_bad_size("it is too large, or a division does not come out even", size.span);
                }
                known.map(SizeExpr::Const)
            }
        }
    }

    fn local_size_name(&mut self, name: &'a ast::Ident) -> Option<SizeExpr> {
        if !self.knows_dim(name)
            && let Some(value) = self.find_constant(name)
        {
            return match value {
                Value::Number(Number::Int(value)) => Some(SizeExpr::Const(value)),
                Value::Poison => None,
                Value::Number(_) | Value::Bool(_) | Value::Node(_) | Value::Tuple(_) => {
                    let message = format!("the constant `{}` is not an integer", name.name);
                    self.report(Diagnostic::error(codes::BAD_SIZE, name.span, message));
                    None
                }
            };
        }
        let dim = self.one_dim(name, "a size")?;
        Some(match self.graph.dims[dim].kind {
            DimKind::Fixed(value) => SizeExpr::Const(value),
            DimKind::Free | DimKind::Leading | DimKind::Computed(_) => SizeExpr::Dim(dim.as_u32()),
        })
    }

    /// The dimensions that a size names; all are known.
    fn named_dims(&mut self, size: &'a ast::SizeExpr) -> DimSet {
        match &size.kind {
            SizeKind::Int(_) => DimSet::EMPTY,
            SizeKind::Name(name) if self.knows_dim(name) => {
                self.one_dim(name, "a size").map_or(DimSet::EMPTY, DimSet::one)
            }
            SizeKind::Name(_) => DimSet::EMPTY,
            SizeKind::Binary(_, left, right) => self.named_dims(left).union(self.named_dims(right)),
        }
    }

    fn report_bad_size(&mut self, why: &str, span: Span) {
        let text = self.session.sources.snippet(span);
        let message = format!("`{text}` is not a size: {why}");
        self.report(Diagnostic::error(codes::BAD_SIZE, span, message));
    }

    /// The value of a block that ends, without the dimensions that end with it.
    pub(super) fn leave_dims(&mut self, value: Value<'a>, ended: DimSet, span: Span) -> Value<'a> {
        if ended.is_empty() {
            return value;
        }
        let left = self.value_dims(&value).intersection(ended);
        if left.is_empty() {
            return value;
        }
        let names = self.dim_list(left);
        let (verb, it) = if left.len() == 1 { ("ends", "it") } else { ("end", "them") };
        let message = format!("the value of this block has {names}, which {verb} with the block");
        let list: Vec<&str> = left.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect();
        let help = format!("reduce over {it}, `sum[{}](…)`, or pick a position", list.join(", "));
        self.report(Diagnostic::error(codes::LOCAL_DIM, span, message).with_help(help));
        Value::Poison
    }

    fn value_dims(&self, value: &Value<'a>) -> DimSet {
        match value {
            Value::Node(node) => self.graph.nodes[*node].dims,
            Value::Tuple(fields) => {
                fields.iter().fold(DimSet::EMPTY, |dims, (_, value)| dims.union(self.value_dims(value)))
            }
            Value::Number(_) | Value::Bool(_) | Value::Poison => DimSet::EMPTY,
        }
    }

    // Renaming

    /// Whether two dimensions have the same size by what is declared.
    pub(super) fn same_size(&self, a: DimId, b: DimId) -> bool {
        let root = |mut dim: DimId| {
            // A size is made of others, never of itself.
            while let DimKind::Computed(SizeExpr::Dim(source)) = &self.graph.dims[dim].kind {
                dim = DimId::from_u32(*source);
            }
            dim
        };
        let (a, b) = (root(a), root(b));
        a == b || self.graph.dims[a].fixed().is_some_and(|size| self.graph.dims[b].fixed() == Some(size))
    }

    /// A value that has `from` and not `to`, along `to`: as if it were computed with `to` in place of `from`.
    pub(super) fn along(&mut self, value: &Operand<'a>, node: NodeId, from: DimId, to: DimId) -> Value<'a> {
        let span = value.span;
        // The nodes that `from` runs through. One that reduces over `to` on the way needs a third dimension for that.
        let mut todo = vec![node];
        let mut seen: Vec<NodeId> = Vec::new();
        let mut inner = false;
        let either = DimSet::one(from).with(to);
        let mut known = rustc_hash::FxHashSet::default();
        let nesting = Nesting::of(&self.graph);
        // The state of a loop that is under way is read along the other dimension.
        let under_way =
            |op: &Op| matches!(op, Op::Carry { repeat, .. } if !nesting.repeats.contains_key(repeat));
        while let Some(next) = todo.pop() {
            let dims = self.graph.nodes[next].dims;
            if dims.intersection(either).is_empty() || !known.insert(next) {
                continue;
            }
            inner |= dims.contains(to);
            seen.push(next);
            let op = &self.graph.nodes[next].op;
            todo.extend(op.args().iter().filter(|_| !under_way(op)));
        }
        let mut names = vec![(from, to)];
        if inner {
            let Some(third) = self.third_dim(from, to, span) else { return Value::Poison };
            names.push((to, third));
        }
        let copies = self.copied_loops(&nesting, &mut seen);
        seen.sort_unstable();
        let mut renamed: FxHashMap<NodeId, NodeId> = FxHashMap::default();
        for old in seen {
            match self.renamed_node(old, &names, &renamed, &copies, span) {
                Value::Node(new) => drop(renamed.insert(old, new)),
                _ => return Value::Poison,
            }
        }
        Value::Node(renamed[&node])
    }

    /// The loops that are run once more for the values in `seen`, all of whose nodes are copied.
    fn copied_loops(&mut self, nesting: &Nesting, seen: &mut Vec<NodeId>) -> FxHashMap<RepeatId, RepeatId> {
        let mut copies = FxHashMap::default();
        let mut at = 0;
        while let Some(&node) = seen.get(at) {
            at += 1;
            let (Op::Carry { repeat, .. } | Op::Step(repeat) | Op::Final { repeat, .. }) =
                self.graph.nodes[node].op
            else {
                continue;
            };
            let Some(inside) = nesting.repeats.get(&repeat) else { continue };
            if let Entry::Vacant(copy) = copies.entry(repeat) {
                copy.insert(self.graph.repeats.push(self.graph.repeats[repeat]));
                for &node in inside.nodes.iter().chain(&inside.finals) {
                    if !seen.contains(&node) {
                        seen.push(node);
                    }
                }
            }
        }
        copies
    }

    /// A dimension of the size of `to` that stands to `to` as `to` stands to `from`.
    pub(super) fn third_dim(&mut self, from: DimId, to: DimId, span: Span) -> Option<DimId> {
        let place = |dim: DimId| self.order.iter().position(|other| *other == dim);
        let before = place(to) < place(from);
        let kind = match self.graph.dims[to].kind.clone() {
            DimKind::Free | DimKind::Leading => DimKind::Computed(SizeExpr::Dim(to.as_u32())),
            kind => kind,
        };
        let third = self.push_dim(self.graph.dims[to].name.clone(), kind, span)?;
        self.order.pop();
        let at = self.order.iter().position(|dim| *dim == to).expect("every dimension has a place");
        self.order.insert(if before { at } else { at + 1 }, third);
        Some(third)
    }

    fn renamed_node(
        &mut self,
        old: NodeId,
        names: &[(DimId, DimId)],
        renamed: &FxHashMap<NodeId, NodeId>,
        copies: &FxHashMap<RepeatId, RepeatId>,
        span: Span,
    ) -> Value<'a> {
        let new_dim = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
        let new_dims = |dims: DimSet| dims.iter().map(new_dim).collect::<DimSet>();
        let node = self.graph.nodes[old].clone();
        let dims = new_dims(node.dims);
        let mut op = node.op;
        let carried = |value: NodeId| {
            let op = &self.graph.nodes[value].op;
            matches!(op, Op::Carry { repeat, .. } if copies.contains_key(repeat))
        };
        match &mut op {
            // Of a loop that is run once more.
            Op::Rename { value, names } if carried(*value) => {
                for (from, to) in names.iter_mut() {
                    (*from, *to) = (new_dim(*from), new_dim(*to));
                }
                names.sort_unstable();
            }
            Op::Param(_) | Op::Rename { .. } => return self.read_along(old, &new_dim, span),
            Op::Carry { repeat, .. } if !copies.contains_key(repeat) => {
                let twin = self.twins.get(&old).copied().unwrap_or(old);
                return self.read_along(twin, &new_dim, span);
            }
            _ => {}
        }
        match &mut op {
            Op::Index(dim) => *dim = new_dim(*dim),
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } => *dims = new_dims(*dims),
            Op::Slice { dim, .. }
            | Op::Stack { dim, .. }
            | Op::Scan { dim, .. }
            | Op::KthLargest { dim, .. } => *dim = new_dim(*dim),
            Op::Carry { repeat, .. } | Op::Step(repeat) | Op::Final { repeat, .. } => {
                *repeat = copies.get(repeat).copied().unwrap_or(*repeat);
            }
            Op::Gather { dims, args } => reorder(dims, args, new_dim),
            Op::Param(_)
            | Op::Rename { .. }
            | Op::Const(_)
            | Op::Size(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Broadcast(_) => {}
        }
        for arg in op.args_mut() {
            *arg = renamed.get(arg).copied().unwrap_or(*arg);
        }
        self.node_with_dims(op, node.dtype, dims, node.span)
    }

    /// A parameter, or one that is read along other dimensions already, with new names for its dimensions.
    fn read_along(&mut self, node: NodeId, new_dim: &dyn Fn(DimId) -> DimId, span: Span) -> Value<'a> {
        let (param, names) = match &self.graph.nodes[node].op {
            Op::Rename { value, names } => (*value, names.clone()),
            _ => (node, Vec::new()),
        };
        let now = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
        let Node { dims, dtype, .. } = self.graph.nodes[param];
        let names: Vec<(DimId, DimId)> =
            dims.iter().map(|dim| (dim, new_dim(now(dim)))).filter(|(from, to)| from != to).collect();
        if names.is_empty() {
            return Value::Node(param);
        }
        self.node(Op::Rename { value: param, names }, dtype, span)
    }

    // Order

    /// Numbers the dimensions in canonical order.
    pub(super) fn order_dims(&mut self) {
        let order = std::mem::take(&mut self.order);
        assert_eq!(order.len(), self.graph.dims.len(), "every dimension has a place");
        if order.iter().enumerate().all(|(at, dim)| dim.index() == at) {
            return;
        }
        let mut place = vec![0u32; order.len()];
        for (at, dim) in order.iter().enumerate() {
            place[dim.index()] = at as u32;
        }
        renumber(&mut self.graph, &order, &place);
    }
}

/// Gives every dimension the number `place` says; `order` is the other way round.
fn renumber(graph: &mut Graph, order: &[DimId], place: &[u32]) {
    let new = |dim: DimId| DimId::from_u32(place[dim.index()]);
    let all = |dims: DimSet| dims.iter().map(new).collect::<DimSet>();
    let mut dims = PrimaryMap::with_capacity(order.len());
    for &dim in order {
        let Dim { name, kind } = graph.dims[dim].clone();
        let kind = match kind {
            DimKind::Computed(size) => DimKind::Computed(super::dims::renumber(&size, place)),
            kind @ (DimKind::Free | DimKind::Leading | DimKind::Fixed(_)) => kind,
        };
        dims.push(Dim { name, kind });
    }
    graph.dims = dims;
    let decls = graph.params.iter_mut().chain(graph.results.iter_mut().map(|(decl, _)| decl));
    for dim in decls.flat_map(|decl| decl.axes.iter_mut().flatten().flatten()) {
        *dim = new(*dim);
    }
    for node in graph.nodes.values_mut() {
        node.dims = all(node.dims);
        match &mut node.op {
            Op::Index(dim)
            | Op::Slice { dim, .. }
            | Op::Stack { dim, .. }
            | Op::Scan { dim, .. }
            | Op::KthLargest { dim, .. } => *dim = new(*dim),
            Op::Size(dims) | Op::Reduce { dims, .. } | Op::Fold { dims, .. } => *dims = all(*dims),
            Op::Rename { names, .. } => {
                for (from, to) in names.iter_mut() {
                    (*from, *to) = (new(*from), new(*to));
                }
                names.sort_unstable();
            }
            Op::Gather { dims, args } => reorder(dims, args, new),
            Op::Param(_)
            | Op::Const(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Broadcast(_)
            | Op::Carry { .. }
            | Op::Step(_)
            | Op::Final { .. } => {}
        }
    }
    for steps in graph.repeats.values_mut() {
        if let Steps::Size(dim) = steps {
            *dim = new(*dim);
        }
    }
}

/// Other numbers for the dimensions of a gather, which stay in order with their positions.
fn reorder(dims: &mut [DimId], args: &mut [NodeId], new: impl Fn(DimId) -> DimId) {
    let mut pairs: Vec<(DimId, NodeId)> =
        dims.iter().zip(&args[1..]).map(|(dim, position)| (new(*dim), *position)).collect();
    pairs.sort_unstable();
    for ((dim, position), pair) in dims.iter_mut().zip(&mut args[1..]).zip(pairs) {
        (*dim, *position) = pair;
    }
}

/// The dimensions in a size.
fn dims_of(size: &SizeExpr) -> DimSet {
    match size {
        SizeExpr::Const(_) => DimSet::EMPTY,
        SizeExpr::Dim(dim) => DimSet::one(DimId::from_u32(*dim)),
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b) => dims_of(a).union(dims_of(b)),
    }
}
