//! Folding: what depends on constants alone becomes a constant.
//!
//! Core functions are computed in the declared precision, as the machine would; elementary functions in wide precision,
//! rounded once, but for `exp` of what is far from 0. The size of dimensions of known size is a constant; a selection by a constant is one of its sides. Where
//! the node had more dimensions than what takes its place, that is broadcast.
//!
//! Needs nothing; leaves nodes unused (dce).

use super::arith;
use super::rewrite::{constant, rebuild, spread};
use crate::graph::eval::apply;
use crate::graph::wide::Wide;
use crate::graph::{Constant, Graph, Node, NodeId, Op};
use crate::ops::{Class, Prim};
use crate::types::{DType, DimSet};

/// The pass.
pub fn run(graph: &mut Graph) {
    rebuild(graph, |graph, _, node| {
        if let Some(side) = selected(graph, &node) {
            return spread(graph, side, node.dims, node.span);
        }
        match folded(graph, &node) {
            Some(value) => {
                let value = graph.add(Op::Const(value), node.dtype, node.span);
                spread(graph, value, node.dims, node.span)
            }
            None => graph.nodes.push(node),
        }
    });
}

/// The side that a selection by a constant takes.
fn selected(graph: &Graph, node: &Node) -> Option<NodeId> {
    let Op::Prim(Prim::Select, args) = &node.op else { return None };
    let holds = constant(graph, args[0])?.bits != 0;
    Some(args[if holds { 1 } else { 2 }])
}

/// The constant that a node is.
fn folded(graph: &Graph, node: &Node) -> Option<Constant> {
    match node.op {
        Op::Size(dims) => size(graph, dims, node.dtype),
        Op::Convert(value) => Some(arith::convert(constant(graph, value)?, node.dtype)),
        Op::Prim(prim, ref args) => {
            let args = args.iter().map(|&arg| constant(graph, arg)).collect::<Option<Vec<_>>>()?;
            arith::core(prim, &args).or_else(|| elementary(prim, &args))
        }
        Op::Param(_)
        | Op::Const(_)
        | Op::Index(_)
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
        | Op::Gather { .. } => None,
    }
}

/// An elementary function of constants, rounded once.
fn elementary(prim: Prim, args: &[Constant]) -> Option<Constant> {
    let dtype = args.first()?.dtype;
    if prim.class() != Class::Expanded {
        return None;
    }
    // An exponential that overflows is kept: there may be another one to divide it by.
    if prim == Prim::Exp && args[0].value().is_finite() && args[0].value().abs() > 80.0 {
        return None;
    }
    let args: Vec<Wide> = args.iter().map(|arg| Wide::from(arg.value())).collect();
    let value = apply(prim, dtype, &args);
    // A number of the dtype, as f64, is rounded no further.
    let value = if dtype == DType::F32 { f64::from(value.to_f32()) } else { value.to_f64() };
    Some(arith::number(dtype, value))
}

/// The product of sizes that are known, rounded once.
fn size(graph: &Graph, dims: DimSet, dtype: DType) -> Option<Constant> {
    let mut product = 1i64;
    for dim in dims.iter() {
        product = product.checked_mul(graph.dims[dim].fixed()?)?;
    }
    match dtype {
        DType::F32 => Some(Constant::new(dtype, f64::from(product as f32))),
        DType::F64 | DType::F16 | DType::BF16 | DType::I8 | DType::U8 | DType::Bool => {
            Some(Constant::new(dtype, product as f64))
        }
        DType::I32 => i32::try_from(product).ok().map(|product| Constant::new(dtype, f64::from(product))),
    }
}
