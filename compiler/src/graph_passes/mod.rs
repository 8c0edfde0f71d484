//! Passes over IR 1: each takes a graph and leaves one that means the same, better suited for what follows.
//!
//! [`PASSES`] is their order. None sees the target, none uses another, and each says in its head what it needs and
//! what it leaves. The rules that all of them keep: parameters stay the first nodes, operands come before their users,
//! and a node that takes another's place has its dimensions and dtype. Those that rewrite node by node do so in the parts
//! of folds, too, each by itself.
//!
//! [`ranges`] is an analysis that some of them ask; [`arith`] is the arithmetic of the core functions on constants, as the
//! machine does it.

use crate::graph::{Fold, Graph};

pub use fuse::{fuse, fuse_again};

pub mod arith;
pub mod contract;
pub mod cse;
pub mod dce;
pub mod decompose;
pub mod fold;
pub mod fuse;
pub mod minmax;
pub mod ranges;
mod rewrite;
pub mod scale;
pub mod simplify;
pub mod specialise;
pub mod stabilise;
pub mod strict;
pub mod unroll;

/// A pass over the graph.
#[derive(Clone, Copy)]
pub struct GraphPass {
    /// Its name in the program and the tests.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// The pass.
    pub run: fn(&mut Graph),
}

/// A pass that rewrites nodes, in the graph and in the parts of its folds.
macro_rules! everywhere {
    ($pass:ident) => {
        |graph| {
            $pass::run(graph);
            for part in graph.folds.values_mut().flat_map(Fold::parts_mut) {
                $pass::run(part);
            }
        }
    };
}

const UNROLL: GraphPass = GraphPass {
    name: "unroll",
    doc: "One node for each position of a fixed-size dimension.",
    run: unroll::run,
};
const FOLD: GraphPass =
    GraphPass { name: "fold", doc: "Functions of constants become constants.", run: everywhere!(fold) };
const SIMPLIFY: GraphPass =
    GraphPass { name: "simplify", doc: "Named rewrite rules.", run: everywhere!(simplify) };
const CSE: GraphPass = GraphPass { name: "cse", doc: "Equal nodes become one.", run: everywhere!(cse) };
const DCE: GraphPass = GraphPass { name: "dce", doc: "Nodes that nothing uses go.", run: everywhere!(dce) };
const SPECIALISE: GraphPass = GraphPass {
    name: "specialise",
    doc: "exp without special cases where they can't show.",
    run: specialise::run,
};
const MINMAX: GraphPass = GraphPass {
    name: "minmax",
    doc: "max and min become the machine's, NaN kept.",
    run: everywhere!(minmax),
};
const CONTRACT: GraphPass =
    GraphPass { name: "contract", doc: "Decides every fused multiply-add.", run: everywhere!(contract) };

const STABILISE: GraphPass = GraphPass {
    name: "stabilise",
    doc: "Exponentials are shifted, so that nothing overflows where the result is a number.",
    run: stabilise::run,
};

/// The passes, in order; some run again where another makes work for them. `specialise` comes before `minmax` since
/// what it asks of a maximum holds for the one that keeps NaN. `contract` counts uses: nothing dead may be left before
/// it, and nothing may share or split a product after it.
pub const PASSES: &[GraphPass] = &[
    FOLD, CSE, STABILISE, DCE, UNROLL, FOLD, SIMPLIFY, CSE, FOLD, SIMPLIFY, CSE, DCE, SPECIALISE, MINMAX,
    SIMPLIFY, CSE, DCE, CONTRACT, CSE, DCE,
];

/// What comes after a decomposition.
pub const AFTER_DECOMPOSE: &[GraphPass] = &[FOLD, CSE, DCE];

/// The pass of that name.
pub fn find(name: &str) -> Option<&'static GraphPass> {
    PASSES.iter().find(|pass| pass.name == name)
}
