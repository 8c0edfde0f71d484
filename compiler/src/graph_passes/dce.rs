//! Dead code: nodes that no result depends on go. Parameters stay. Needs nothing, leaves everything else as it was.

use cranelift_entity::{EntitySet, PrimaryMap};

use crate::graph::{Graph, NodeId, Op};

/// The pass.
pub fn run(graph: &mut Graph) {
    let live = live_nodes(graph);
    let old = std::mem::take(&mut graph.nodes);
    let mut names: PrimaryMap<NodeId, Option<NodeId>> = PrimaryMap::with_capacity(old.len());
    for (id, mut node) in old {
        if !live.contains(id) {
            names.push(None);
            continue;
        }
        for arg in node.op.args_mut() {
            *arg = names[*arg].expect("operands of a live node are live");
        }
        let new = graph.nodes.push(node);
        names.push(Some(new));
    }
    for (_, value) in &mut graph.results {
        *value = names[*value].expect("results are live");
    }
}

/// Results, parameters, and what they are made of. Operands come before their users, so one walk from the end does.
fn live_nodes(graph: &Graph) -> EntitySet<NodeId> {
    let mut live = EntitySet::with_capacity(graph.nodes.len());
    live.extend(graph.results.iter().map(|&(_, value)| value));
    for (id, node) in graph.nodes.iter().rev() {
        if matches!(node.op, Op::Param(_)) {
            live.insert(id);
        }
        if live.contains(id) {
            live.extend(node.op.args().iter().copied());
        }
    }
    live
}
