//! Lowers the language's `max` and `min`, which keep a NaN, to the machine's, `a > b ? a : b`, which give the second
//! operand where either is NaN.
//!
//! **Functions of two operands.** An operand that may be NaN goes second. If both may be, the first one (that with
//! fewer dimensions) is looked at: `select(a != a, a, selmax(a, b))`. Integers have no NaN. Which of two equal zeros is given
//! follows from the order that is chosen here, for every target.
//!
//! **Reductions** become the machine's where their operand is proven not to be NaN, or where it can't show: where
//! every result that depends on the maximum becomes NaN by another path wherever the operand has a NaN. That is so
//! in a softmax: the row's NaN reaches the sum of the exponentials, and with it the whole row.
//!
//! How the second is proven, for the maximum of `u` over `D`: let `u` be NaN at a place `p`.
//! - A node is *tainted along* a set of dimensions if it is NaN at every place that agrees with `p` along them: `u` along
//!   all its dimensions; a strict function of a tainted node as that node; a sum of a tainted node along those that
//!   remain (if every dimension it reduces is one of `u`, and so not empty).
//! - A node *may change along* a set of dimensions if only places that agree with `p` along them may differ from what they were:
//!   the maximum itself along the dimensions of `u` without `D`; a node along those that all its changing operands have
//!   together.
//! - A node that is tainted along no more dimensions than it may change along is NaN either way: it doesn't change.
//!
//! In a loop all this is said of one step. What is carried into the next one may change everywhere if what it comes from may
//! change at all; if no part of the state changes in a step, none does in any.
//!
//! The maximum is lowered if no result changes. One is lowered after another, each proven on the graph as it then is.
//!
//! Needs cse; better after simplify. Leaves no `Prim::Max`, `Prim::Min`; `Reduction::Max`, `Reduction::Min` of floats only where the NaN
//! must be kept.

use cranelift_entity::SecondaryMap;

use super::ranges::Ranges;
use super::rewrite::rebuild;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::ops::{Prim, Reduction, Typing};
use crate::types::{DType, DimSet};

/// So many reductions of a graph are looked at; each costs a walk over the graph.
const MAX_PROOFS: usize = 256;

/// The pass.
pub fn run(graph: &mut Graph) {
    lower_reductions(graph);
    lower_functions(graph);
}

/// The machine's function of a language's.
fn machine(prim: Prim) -> Option<Prim> {
    match prim {
        Prim::Max => Some(Prim::SelMax),
        Prim::Min => Some(Prim::SelMin),
        _ => None,
    }
}

fn lower_functions(graph: &mut Graph) {
    let mut ranges = Ranges::default();
    rebuild(graph, |graph, _, node| {
        let Op::Prim(prim, ref args) = node.op else { return graph.nodes.push(node) };
        let Some(machine) = machine(prim) else { return graph.nodes.push(node) };
        ranges.extend(graph);
        lower_function(graph, &node, machine, args[0], args[1], &ranges)
    });
}

fn lower_function(
    graph: &mut Graph,
    node: &Node,
    machine: Prim,
    a: NodeId,
    b: NodeId,
    ranges: &Ranges,
) -> NodeId {
    let add = |graph: &mut Graph, op: Op, dtype: DType| graph.add(op, dtype, node.span);
    let (a_nan, b_nan) = (ranges[a].nan, ranges[b].nan);
    if !a_nan {
        return add(graph, Op::Prim(machine, vec![a, b]), node.dtype);
    }
    if !b_nan {
        return add(graph, Op::Prim(machine, vec![b, a]), node.dtype);
    }
    if a == b {
        return a;
    }
    let fewer = graph.nodes[a].dims.len() <= graph.nodes[b].dims.len();
    let (a, b) = if fewer { (a, b) } else { (b, a) };
    let is_nan = add(graph, Op::Prim(Prim::Ne, vec![a, a]), DType::Bool);
    let larger = add(graph, Op::Prim(machine, vec![a, b]), node.dtype);
    add(graph, Op::Prim(Prim::Select, vec![is_nan, a, larger]), node.dtype)
}

fn lower_reductions(graph: &mut Graph) {
    let ranges = Ranges::new(graph);
    let mut proofs = 0;
    for id in graph.nodes.keys() {
        let Op::Reduce { reduction, ref args, dims } = graph.nodes[id].op else { continue };
        let machine = match reduction {
            Reduction::Max => Reduction::SelMax,
            Reduction::Min => Reduction::SelMin,
            Reduction::Sum | Reduction::Prod | Reduction::SelMax | Reduction::SelMin => continue,
        };
        let operand = args[0];
        let can_show = ranges[operand].nan && {
            proofs += 1;
            proofs > MAX_PROOFS || nan_can_show(graph, id, operand, dims)
        };
        if !can_show {
            graph.nodes[id].op = Op::Reduce { reduction: machine, args: vec![operand], dims };
        }
    }
}

/// Whether a result may differ if the reduction `of` of `operand` over `dims` passes over a NaN; the argument is in the module's
/// documentation.
fn nan_can_show(graph: &Graph, of: NodeId, operand: NodeId, dims: DimSet) -> bool {
    let operand_dims = graph.nodes[operand].dims;
    let mut tainted: SecondaryMap<NodeId, Option<DimSet>> = SecondaryMap::with_capacity(graph.nodes.len());
    let mut changes: SecondaryMap<NodeId, Option<DimSet>> = SecondaryMap::with_capacity(graph.nodes.len());
    for (id, node) in &graph.nodes {
        if id == operand {
            tainted[id] = Some(operand_dims);
        } else if id == of {
            changes[id] = Some(operand_dims.difference(dims));
        } else {
            tainted[id] = taint(node, &tainted, operand_dims);
            changes[id] = change(node, &changes);
        }
        if let (Some(nan), Some(changing)) = (tainted[id], changes[id])
            && nan.is_subset(changing)
        {
            changes[id] = None;
        }
    }
    graph.results.iter().any(|&(_, value)| changes[value].is_some())
}

/// Along which dimensions a node is tainted, from its operands.
fn taint(
    node: &Node,
    tainted: &SecondaryMap<NodeId, Option<DimSet>>,
    operand_dims: DimSet,
) -> Option<DimSet> {
    let strict = match &node.op {
        Op::Prim(prim, _) => is_strict(*prim),
        Op::Convert(_) => node.dtype.is_float(),
        Op::Reduce { reduction, dims, .. } => keeps_nan(*reduction) && dims.is_subset(operand_dims),
        Op::Broadcast(_) => true,
        // What it makes of a NaN is for its definition to say.
        Op::Fold { .. }
        | Op::Param(_)
        | Op::Const(_)
        | Op::Index(_)
        | Op::Size(_)
        | Op::Scan { .. }
        | Op::KthLargest { .. }
        | Op::Slice { .. }
        | Op::Stack { .. }
        | Op::Rename { .. }
        | Op::Carry { .. }
        | Op::Step(_)
        | Op::Final { .. }
        | Op::Gather { .. } => false,
    };
    if !strict {
        return None;
    }
    let narrowest = node.op.args().iter().filter_map(|&arg| tainted[arg]).min_by_key(|dims| dims.len())?;
    Some(narrowest.intersection(node.dims))
}

/// Along which dimensions a node may change, from its operands.
fn change(node: &Node, changes: &SecondaryMap<NodeId, Option<DimSet>>) -> Option<DimSet> {
    // A scan may change at a place for what is at another place along its dimension.
    if let Op::Scan { value, dim, .. } = node.op {
        return changes[value].map(|dims| dims.without(dim));
    }
    let together = node.op.args().iter().filter_map(|&arg| changes[arg]).reduce(DimSet::intersection)?;
    match node.op {
        Op::Carry { .. } | Op::Final { .. } => Some(DimSet::EMPTY),
        _ => Some(together.intersection(node.dims)),
    }
}

/// Whether a function is NaN wherever one of its operands is.
fn is_strict(prim: Prim) -> bool {
    let numbers = matches!(prim.typing(), Typing::Number | Typing::Float);
    numbers && !matches!(prim, Prim::SelMax | Prim::SelMin | Prim::CopySign | Prim::Pow | Prim::Hypot)
}

/// Whether a reduction is NaN if an element is.
fn keeps_nan(reduction: Reduction) -> bool {
    match reduction {
        Reduction::Sum | Reduction::Prod | Reduction::Max | Reduction::Min => true,
        Reduction::SelMax | Reduction::SelMin => false,
    }
}
