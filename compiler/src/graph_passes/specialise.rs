//! Specialisation: `exp` becomes `exp_nonpos`, which needs no care for large arguments and gives 0 where the result would be
//! below the smallest normal number, where neither can show.
//!
//! That is where the argument is proven to be at most 0 (or NaN), and every use of the node is
//!
//! - a term of a sum of `exp(u - max(u))`, which is at least 1, or 0 with every term exactly 0; or
//! - the dividend of such a sum that it is a term of (`e / sum(e)`), or a factor of the reciprocal of such a sum: where
//!   the exponential is subnormal, so is the quotient, and it is then 0.
//!
//! So the exponential of a softmax is changed, and the same exponential as a result of its own is not. It is a
//! property of the node: all evaluations of it share the choice.
//!
//! Needs simplify and cse (the same expression is one node), and `max` with the language's meaning or the machine's.
//! Leaves everything else as it was.

use cranelift_entity::SecondaryMap;

use super::ranges::{Ranges, is_shifted_exp_sum};
use crate::graph::{Graph, NodeId, Op};
use crate::ops::Prim;

/// The pass.
pub fn run(graph: &mut Graph) {
    let ranges = Ranges::new(graph);
    let users = users(graph);
    let changed: Vec<NodeId> = graph
        .nodes
        .iter()
        .filter(|(id, node)| match &node.op {
            Op::Prim(Prim::Exp, args) => {
                ranges[args[0]].hi <= 0.0
                    && !users[*id].is_empty()
                    && graph.results.iter().all(|(_, value)| value != id)
                    && users[*id].iter().all(|&user| hides_small_values(graph, user, *id))
            }
            _ => false,
        })
        .map(|(id, _)| id)
        .collect();
    for id in changed {
        if let Op::Prim(prim, _) = &mut graph.nodes[id].op {
            *prim = Prim::ExpNonpos;
        }
    }
}

/// Which nodes use each.
fn users(graph: &Graph) -> SecondaryMap<NodeId, Vec<NodeId>> {
    let mut users: SecondaryMap<NodeId, Vec<NodeId>> = SecondaryMap::with_capacity(graph.nodes.len());
    for (id, node) in &graph.nodes {
        for &arg in node.op.args() {
            users[arg].push(id);
        }
    }
    users
}

/// Whether `user` gives the same (but for subnormal results) if a value of `exp` below the smallest normal number is 0.
fn hides_small_values(graph: &Graph, user: NodeId, exp: NodeId) -> bool {
    let is_sum = |node: NodeId| {
        let op = &graph.nodes[node].op;
        op.args() == [exp] && is_shifted_exp_sum(graph, op)
    };
    let is_reciprocal = |node: NodeId| match &graph.nodes[node].op {
        Op::Prim(Prim::Div, args) => is_one(graph, args[0]) && is_sum(args[1]),
        _ => false,
    };
    match &graph.nodes[user].op {
        Op::Prim(Prim::Div, args) => args[0] == exp && is_sum(args[1]),
        Op::Prim(Prim::Mul, args) => {
            (args[0] == exp && is_reciprocal(args[1])) || (args[1] == exp && is_reciprocal(args[0]))
        }
        _ => is_sum(user),
    }
}

fn is_one(graph: &Graph, node: NodeId) -> bool {
    matches!(graph.nodes[node].op, Op::Const(constant) if constant.value() == 1.0)
}
