//! Finds a mean and the sum of squared distances from it, and makes one fold of both, by Chan's update.
//!
//! A group is a sum of `x`, its quotient with the size, and sums of `(x - mean)^2` over the same dimensions. The state is how many
//! elements there are, their mean as two numbers, and the sum of squares about it. A block is looked at twice: first for its sum, then for the
//! distances from what the sum gives as mean. The sum of the distances, which would be 0 without rounding, corrects the mean and the squares,
//! so that neither a mean far from 0 nor a first element far from the rest costs digits. Blocks are put together by
//!
//! ```text
//! d = b.mean - a.mean;  mean = a.mean + d b.n / n;  squares = a.squares + b.squares + d^2 a.n b.n / n
//! ```
//!
//! (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.)

use rustc_hash::FxHashMap;

use super::part::Part;
use crate::diag::Span;
use crate::graph::folds::{Fold, Stage, inline};
use crate::graph::{Constant, Graph, NodeId, Op};
use crate::ops::{Prim, Reduction, Term};
use crate::types::{DType, DimSet};

/// A sum, the means that are made of it, and sums of squared distances from these.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The sum.
    pub sum: NodeId,
    /// Of what.
    pub of: NodeId,
    /// Over which dimensions.
    pub dims: DimSet,
    /// Its quotients with the size.
    pub means: Vec<NodeId>,
    /// The sums of squares.
    pub squares: Vec<NodeId>,
}

/// All groups, in the order of the graph.
pub(super) fn groups(graph: &Graph) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    // By node: of which sum it is the mean, and of which the distance from the mean.
    let mut means: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    let mut distances: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    for (id, node) in &graph.nodes {
        match &node.op {
            Op::Prim(Prim::Div, args) if is_mean(graph, args) => {
                means.insert(id, args[0]);
            }
            Op::Prim(Prim::Sub, args) => {
                if let Some(&sum) = means.get(&args[1])
                    && graph.nodes[sum].op.args() == [args[0]]
                {
                    distances.insert(id, sum);
                }
            }
            Op::Reduce { reduction: Reduction::Sum, args, dims } => {
                let factors = match (&args[..], &graph.nodes[args[0]].op) {
                    ([_], Op::Prim(Prim::Mul, factors)) => factors,
                    _ => args,
                };
                let [a, b] = factors[..] else { continue };
                let Some(&sum) = distances.get(&a).filter(|_| a == b) else { continue };
                let Op::Reduce { dims: over, args, .. } = &graph.nodes[sum].op else { continue };
                if dims != over {
                    continue;
                }
                if let Some(group) = groups.iter_mut().find(|group| group.sum == sum) {
                    group.squares.push(id);
                } else if groups.len() < super::MOST {
                    let means = means.iter().filter(|&(_, of)| *of == sum).map(|(&mean, _)| mean).collect();
                    groups.push(Group { sum, of: args[0], dims: *dims, means, squares: vec![id] });
                }
            }
            _ => {}
        }
    }
    groups.sort_by_key(|group| group.sum);
    groups
}

/// Whether these are a sum and the number of its terms.
fn is_mean(graph: &Graph, args: &[NodeId]) -> bool {
    let node = &graph.nodes[args[0]];
    let Op::Reduce { reduction: Reduction::Sum, args: summed, dims } = &node.op else { return false };
    let counts = match graph.nodes[args[1]].op {
        Op::Size(size) => size == *dims,
        Op::Const(constant) => {
            super::fixed_size(graph, *dims).is_some_and(|size| constant.value() == size as f64)
        }
        _ => false,
    };
    counts && summed.len() == 1 && node.dtype.is_float()
}

/// Puts a fold in the place of the sums and means of a group.
pub(super) fn replace(graph: &mut Graph, group: &Group) {
    let (span, dtype) = (graph.nodes[group.sum].span, graph.nodes[group.sum].dtype);
    let old = graph.nodes.len();
    let fold = graph.folds.push(fold(dtype));
    let state = |graph: &mut Graph, state: u32| {
        let op = Op::Fold { fold, state, args: vec![group.of], dims: group.dims };
        graph.add(op, dtype, span)
    };
    let mean = state(graph, 1);
    let squares = state(graph, 3);
    let mut names: FxHashMap<NodeId, NodeId> = group.means.iter().map(|&old| (old, mean)).collect();
    names.extend(group.squares.iter().map(|&old| (old, squares)));
    // Others may want the sum itself: 0 over nothing.
    let size = graph.add(Op::Size(group.dims), dtype, span);
    let product = graph.add(Op::Prim(Prim::Mul, vec![mean, size]), dtype, span);
    let zero = graph.add(Op::Const(Constant::new(dtype, 0.0)), dtype, span);
    let any = graph.add(Op::Prim(Prim::Ne, vec![size, zero]), DType::Bool, span);
    names.insert(group.sum, graph.add(Op::Prim(Prim::Select, vec![any, product, zero]), dtype, span));
    super::rename(graph, old, &names);
}

fn floats<const N: usize>(dtype: DType, names: [&str; N]) -> Vec<(String, DType)> {
    names.map(|name| (name.to_owned(), dtype)).into()
}

/// The state: how many, their mean and what is missing of it, the squares.
const STATE: [&str; 4] = ["count", "mean", "rest", "squares"];

fn fold(dtype: DType) -> Fold {
    let operand = floats(dtype, ["x"]);
    let mut lift = Part::new("lift", &operand, dtype);
    let (x, one, zero) = (lift.param(0), lift.number(1.0), lift.number(0.0));
    let lift = lift.finish(&floats(dtype, STATE), &[one, x, zero, zero]);
    let merge = merge(dtype);
    let params = [floats(dtype, STATE.map(|_| "a")), operand.clone()].concat();
    let mut step = Part::new("step", &params, dtype);
    let own: Vec<NodeId> = (0..STATE.len()).map(|at| step.param(at)).collect();
    let x = step.param(STATE.len());
    let lifted = inline(&mut step.graph, &lift, &[x], Span::default());
    let merged = inline(&mut step.graph, &merge, &[own, lifted].concat(), Span::default());
    let step = step.finish(&floats(dtype, STATE), &merged);
    Fold {
        name: "moments".to_owned(),
        empty: [0.0, f64::NAN, 0.0, 0.0].map(|value| Constant::new(dtype, value)).into(),
        lift,
        step,
        merge,
        stages: stages(dtype),
    }
}

/// `whole + part`, and what rounding takes away; 0 where that is no number.
fn add(part: &mut Part, whole: NodeId, small: NodeId) -> (NodeId, NodeId) {
    let sum = part.prim(Prim::Add, &[whole, small]);
    let added = part.prim(Prim::Sub, &[sum, whole]);
    let rest = part.prim(Prim::Sub, &[small, added]);
    let zero = part.number(0.0);
    (sum, part.unless_nan(rest, zero))
}

fn merge(dtype: DType) -> Graph {
    let params = [floats(dtype, STATE.map(|_| "a")), floats(dtype, STATE.map(|_| "b"))].concat();
    let mut part = Part::new("merge", &params, dtype);
    let [a, b] = [0, 4].map(|at| [0, 1, 2, 3].map(|number| part.param(at + number)));
    let count = part.prim(Prim::Add, &[a[0], b[0]]);
    let share = part.prim(Prim::Div, &[b[0], count]);
    let apart = part.prim(Prim::Sub, &[b[1], a[1]]);
    let rests = part.prim(Prim::Sub, &[b[2], a[2]]);
    let apart = part.prim(Prim::Add, &[apart, rests]);
    let moved = part.prim(Prim::Mul, &[apart, share]);
    let moved = part.prim(Prim::Add, &[moved, a[2]]);
    let (mean, rest) = add(&mut part, a[1], moved);
    // Of two infinite means there is no difference.
    let both = part.prim(Prim::Add, &[a[1], b[1]]);
    let mean = part.unless_nan(mean, both);
    let weight = part.prim(Prim::Mul, &[a[0], share]);
    let squared = part.prim(Prim::Mul, &[apart, apart]);
    let squares = part.prim(Prim::Add, &[a[3], b[3]]);
    let squares = part.prim(Prim::Fma, &[squared, weight, squares]);
    part.finish(&floats(dtype, STATE), &[count, mean, rest, squares])
}

fn stages(dtype: DType) -> Vec<Stage> {
    let sum = Term::Of(Reduction::Sum);
    let each = Part::new("each", &floats(dtype, ["x"]), dtype);
    let x = each.param(0);
    let each = each.finish(&floats(dtype, ["x"]), &[x]);
    let mut close = Part::new("close", &floats(dtype, ["count", "sum"]), dtype);
    let (count, total) = (close.param(0), close.param(1));
    let mean = close.prim(Prim::Div, &[total, count]);
    let close = close.finish(&floats(dtype, ["mean"]), &[mean]);
    let first = Stage { terms: vec![sum], each, close };

    let mut each = Part::new("each", &floats(dtype, ["x", "mean"]), dtype);
    let (x, mean) = (each.param(0), each.param(1));
    let d = each.prim(Prim::Sub, &[x, mean]);
    let each = each.finish(&floats(dtype, ["d", "d", "d"]), &[d, d, d]);
    let mut close = Part::new("close", &floats(dtype, ["count", "mean", "sum", "squares"]), dtype);
    let [count, mean, total, squares] = [0, 1, 2, 3].map(|at| close.param(at));
    let off = close.prim(Prim::Div, &[total, count]);
    let zero = close.number(0.0);
    let off_or_none = close.unless_nan(off, zero);
    let (mean, rest) = add(&mut close, mean, off_or_none);
    let over = close.prim(Prim::Neg, &[off]);
    let squares = close.prim(Prim::Fma, &[over, total, squares]);
    let squares = close.prim(Prim::SelMax, &[zero, squares]);
    let close = close.finish(&floats(dtype, STATE), &[count, mean, rest, squares]);
    vec![first, Stage { terms: vec![sum, Term::Products], each, close }]
}
