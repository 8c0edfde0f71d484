//! Finds sums of exponentials that are shifted by their maximum, and makes one fold of both.
//!
//! A group is a maximum `m` of `u` over some dimensions, and sums over the same dimensions of terms that are linear in
//! `e = exp(u - m)`: `e` itself, `e * v`, `if mask { e } else { 0 }`, `-e`, `e / v`, and what is made of these. Linear terms can be
//! computed for any other shift, and multiplied by a power of e afterwards, so all of them come out of one pass over `u` that begins without
//! knowing the maximum. Nothing else of the term may depend on `m`, and it has no dimension that `u` lacks.
//!
//! What is subtracted may be `m` itself; `m` with a number in its place where it is `-inf`; or `max(m, k)`.

use rustc_hash::FxHashMap;

use super::part::Part;
use crate::graph::repeats::Nesting;
use crate::graph::{Constant, Fold, Graph, NodeId, Op};
use crate::graph_passes::rewrite::spread;
use crate::ops::{Prim, Reduction, Term};
use crate::types::{DType, DimSet};

/// What is subtracted before the exponential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// The maximum.
    Max,
    /// The maximum, or a number where that is `-inf`.
    Finite,
    /// This value, which is not below the maximum.
    Above(NodeId),
}

/// A sum of a group.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    /// The sum.
    pub node: NodeId,
    /// What is summed, or two factors of it.
    pub args: Vec<NodeId>,
    /// The exponential.
    pub exp: NodeId,
    /// What was subtracted.
    pub shift: Shift,
}

/// A maximum and the sums of exponentials that are shifted by it.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The maximum.
    pub max: NodeId,
    /// Of what.
    pub of: NodeId,
    /// Over which dimensions.
    pub dims: DimSet,
    /// Which maximum.
    pub reduction: Reduction,
    /// The sums.
    pub sums: Vec<Sum>,
    /// What the terms are made of besides the exponential.
    pub leaves: Vec<NodeId>,
}

/// The group of every maximum that has one, in the order of the graph.
pub(super) fn groups(graph: &Graph) -> Vec<Group> {
    let mut exps: FxHashMap<NodeId, Vec<(NodeId, Shift)>> = FxHashMap::default();
    for (id, node) in &graph.nodes {
        if let Op::Prim(Prim::Exp | Prim::ExpNonpos, args) = &node.op
            && let Op::Prim(Prim::Sub, args) = &graph.nodes[args[0]].op
            && let Some((max, shift)) = shift(graph, args[1], args[0])
            && (exps.contains_key(&max) || exps.len() < super::MOST)
        {
            exps.entry(max).or_default().push((id, shift));
        }
    }
    let mut maxima: Vec<NodeId> = exps.keys().copied().collect();
    maxima.sort_unstable();
    maxima.into_iter().filter_map(|max| group(graph, max, &exps[&max])).collect()
}

fn group(graph: &Graph, max: NodeId, exps: &[(NodeId, Shift)]) -> Option<Group> {
    let Op::Reduce { reduction: reduction @ (Reduction::Max | Reduction::SelMax), args, dims } =
        &graph.nodes[max].op
    else {
        return None;
    };
    if !graph.nodes[max].dtype.is_float() {
        return None;
    }
    let of = args[0];
    let mut group =
        Group { max, of, dims: *dims, reduction: *reduction, sums: Vec::new(), leaves: Vec::new() };
    let shifted = depends(graph, max);
    let nesting = Nesting::of(graph);
    for &(exp, shift) in exps.iter().take(super::MOST) {
        let above = depends(graph, exp);
        for (sum, node) in &graph.nodes {
            let Op::Reduce { reduction: Reduction::Sum, args, dims } = &node.op else { continue };
            // What is in a loop is computed in it.
            let same = nesting.innermost(sum) == nesting.innermost(max)
                && *dims == group.dims
                && graph.operand_dims(args) == graph.nodes[of].dims;
            let terms = args.iter().filter(|&&arg| above.contains(&arg)).count();
            let mut leaves = group.leaves.clone();
            if same
                && terms == 1
                && args.iter().all(|&arg| is_linear(graph, arg, exp, &above, &shifted, &mut leaves))
            {
                group.leaves = leaves;
                group.sums.push(Sum { node: sum, args: args.clone(), exp, shift });
            }
        }
    }
    (!group.sums.is_empty()).then_some(group)
}

/// The nodes that depend on one, itself included.
fn depends(graph: &Graph, on: NodeId) -> rustc_hash::FxHashSet<NodeId> {
    let mut found = rustc_hash::FxHashSet::default();
    found.insert(on);
    for (id, node) in &graph.nodes {
        if node.op.args().iter().any(|arg| found.contains(arg)) {
            found.insert(id);
        }
    }
    found
}

/// The maximum of a value that another one, which is subtracted from it, is made of, and how.
fn shift(graph: &Graph, value: NodeId, of: NodeId) -> Option<(NodeId, Shift)> {
    let is_max = |node: NodeId| {
        matches!(&graph.nodes[node].op, Op::Reduce { reduction: Reduction::Max | Reduction::SelMax, args, .. }
            if args[..] == [of] && graph.nodes[node].dtype.is_float())
    };
    let is = |node: NodeId, test: fn(f64) -> bool| matches!(graph.nodes[node].op, Op::Const(constant) if test(constant.value()));
    match &graph.nodes[value].op {
        _ if is_max(value) => Some((value, Shift::Max)),
        Op::Prim(Prim::Select, args) if is_max(args[2]) && is(args[1], f64::is_finite) => {
            let Op::Prim(Prim::Eq, test) = &graph.nodes[args[0]].op else { return None };
            let none =
                |a: usize, b: usize| test[a] == args[2] && is(test[b], |value| value == f64::NEG_INFINITY);
            (none(0, 1) || none(1, 0)).then_some((args[2], Shift::Finite))
        }
        Op::Prim(Prim::SelMax, args) => {
            let max = args.iter().copied().find(|&arg| is_max(arg))?;
            Some((max, Shift::Above(value)))
        }
        _ => None,
    }
}

/// Whether a value is linear in the exponential, or does not depend on it; then `leaves` has what it is made of besides.
fn is_linear(
    graph: &Graph,
    node: NodeId,
    exp: NodeId,
    above: &rustc_hash::FxHashSet<NodeId>,
    shifted: &rustc_hash::FxHashSet<NodeId>,
    leaves: &mut Vec<NodeId>,
) -> bool {
    if node == exp {
        return true;
    }
    if !above.contains(&node) {
        let free = !shifted.contains(&node);
        if free && !leaves.contains(&node) && !matches!(graph.nodes[node].op, Op::Const(_)) {
            leaves.push(node);
        }
        return free;
    }
    let Op::Prim(prim, args) = &graph.nodes[node].op else { return false };
    let has = |arg: &NodeId| above.contains(arg);
    let zero = |arg: &NodeId| matches!(graph.nodes[*arg].op, Op::Const(constant) if constant.value() == 0.0);
    let shape = match prim {
        Prim::Neg => true,
        Prim::Mul => has(&args[0]) != has(&args[1]),
        Prim::Div => !has(&args[1]),
        Prim::Add | Prim::Sub => args.iter().all(has),
        Prim::Select => !has(&args[0]) && args[1..].iter().all(|arg| has(arg) || zero(arg)),
        _ => false,
    };
    shape && args.iter().all(|&arg| is_linear(graph, arg, exp, above, shifted, leaves))
}

/// What a decomposition makes the fold of: the terms, as functions of an exponential and the leaves.
pub(super) struct Terms<'g> {
    graph: &'g Graph,
    group: &'g Group,
    /// The dtype of the maximum and the sums.
    pub dtype: DType,
}

impl<'g> Terms<'g> {
    pub fn new(graph: &'g Graph, group: &'g Group) -> Terms<'g> {
        Terms { graph, group, dtype: graph.nodes[group.max].dtype }
    }

    /// Which maximum it is.
    pub fn reduction(&self) -> Reduction {
        self.group.reduction
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.group.sums.len()
    }

    /// The operands of an element.
    pub fn operands(&self) -> Vec<(String, DType)> {
        let leaves = self.group.leaves.iter().enumerate();
        let leaves = leaves.map(|(at, &leaf)| (format!("v{at}"), self.graph.nodes[leaf].dtype));
        std::iter::once(("u".to_owned(), self.dtype)).chain(leaves).collect()
    }

    /// Names of floats.
    pub fn floats<S: Into<String>>(&self, names: impl IntoIterator<Item = S>) -> Vec<(String, DType)> {
        names.into_iter().map(|name| (name.into(), self.dtype)).collect()
    }

    /// The state: some numbers, then the sums; `of` stands before each name.
    pub fn state(&self, of: &str, names: &[&str]) -> Vec<(String, DType)> {
        let own = names.iter().map(|name| format!("{of}{name}"));
        self.floats(own.chain((0..self.len()).map(|at| format!("{of}s{at}"))).collect::<Vec<_>>())
    }

    /// The terms of a stage.
    pub fn kinds(&self) -> Vec<Term> {
        let kind = |sum: &Sum| match sum.args.len() {
            1 => Term::Of(Reduction::Sum),
            _ => Term::Products,
        };
        self.group.sums.iter().map(kind).collect()
    }

    /// The terms, or their factors, of an element whose operands are the part's parameters from `first` on.
    pub fn factors(&self, part: &mut Part, first: usize, exp: NodeId) -> Vec<Vec<NodeId>> {
        let sums = self.group.sums.iter().map(|sum| {
            let mut known: FxHashMap<NodeId, NodeId> = FxHashMap::default();
            known.insert(sum.exp, exp);
            for (at, &leaf) in self.group.leaves.iter().enumerate() {
                known.insert(leaf, part.param(first + 1 + at));
            }
            sum.args.iter().map(|&arg| part.copy(self.graph, arg, &known)).collect()
        });
        sums.collect()
    }

    /// The terms of an element.
    pub fn values(&self, part: &mut Part, first: usize, exp: NodeId) -> Vec<NodeId> {
        let factors = self.factors(part, first, exp);
        factors
            .into_iter()
            .map(|factors| match factors[..] {
                [value] => value,
                _ => part.prim(Prim::Mul, &factors),
            })
            .collect()
    }
}

/// Puts a fold in the place of the maximum and the sums of a group. `numbers` are those of the state before the sums, the first of
/// which is the maximum; `finish` makes the sum for the maximum as shift out of the numbers and what the fold has.
pub(super) fn replace(
    graph: &mut Graph,
    group: &Group,
    fold: Fold,
    numbers: usize,
    finish: fn(&mut Graph, &[NodeId], NodeId) -> NodeId,
) {
    let all = graph.nodes[group.of].dims;
    let (span, dtype) = (graph.nodes[group.max].span, graph.nodes[group.max].dtype);
    let old = graph.nodes.len();
    let mut args = vec![group.of];
    for &leaf in &group.leaves {
        let leaf = spread(graph, leaf, all, span);
        args.push(leaf);
    }
    let fold = graph.folds.push(fold);
    let state = |graph: &mut Graph, state: usize| {
        let op = Op::Fold { fold, state: state as u32, args: args.clone(), dims: group.dims };
        graph.add(op, dtype, span)
    };
    let own: Vec<NodeId> = (0..numbers).map(|at| state(graph, at)).collect();
    let mut names = FxHashMap::default();
    names.insert(group.max, own[0]);
    for (at, sum) in group.sums.iter().enumerate() {
        let value = state(graph, numbers + at);
        let value = finish(graph, &own, value);
        let value = shifted_as_written(graph, group, sum.shift, own[0], value);
        names.insert(sum.node, value);
    }
    super::rename(graph, old, &names);
}

/// The sum as it is for the shift that the graph has. So far it is 0 where the maximum is `-inf`.
fn shifted_as_written(graph: &mut Graph, group: &Group, shift: Shift, max: NodeId, sum: NodeId) -> NodeId {
    let (span, dtype) = (graph.nodes[group.max].span, graph.nodes[group.max].dtype);
    let number =
        |graph: &mut Graph, value: f64| graph.add(Op::Const(Constant::new(dtype, value)), dtype, span);
    match shift {
        Shift::Finite => sum,
        // exp(-inf - -inf) is NaN. Over nothing the sum is 0.
        Shift::Max => {
            let none = number(graph, f64::NEG_INFINITY);
            let is = graph.add(Op::Prim(Prim::Eq, vec![max, none]), DType::Bool, span);
            let size = graph.add(Op::Size(group.dims), dtype, span);
            let zero = number(graph, 0.0);
            let any = graph.add(Op::Prim(Prim::Ne, vec![size, zero]), DType::Bool, span);
            let is = graph.add(Op::Prim(Prim::And, vec![is, any]), DType::Bool, span);
            let nan = number(graph, f64::NAN);
            graph.add(Op::Prim(Prim::Select, vec![is, nan, sum]), dtype, span)
        }
        Shift::Above(value) => {
            // The one that is subtracted is made of the old maximum; it is renamed with the others.
            let less = graph.add(Op::Prim(Prim::Sub, vec![max, value]), dtype, span);
            let factor = graph.add(Op::Prim(Prim::ExpNonpos, vec![less]), dtype, span);
            graph.add(Op::Prim(Prim::Mul, vec![sum, factor]), dtype, span)
        }
    }
}
