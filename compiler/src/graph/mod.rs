//! IR 1, the graph: what a kernel computes, as expressions over named dimensions. It says nothing about order,
//! loops or memory.
//!
//! # Meaning
//!
//! A [`Graph`] is a list of [`Node`]s; every operand of a node comes before it. A node's value is an array over the
//! node's dimensions ([`Node::dims`], a set): one element for each choice of a position along each of them. A node
//! without dimensions is one number.
//!
//! **Broadcasting is by name.** An element of a [`Op::Prim`] node at a place is the function of its operands'
//! elements at that place; an operand that lacks a dimension has the same element all along it. So the dimensions of
//! a `Prim` node are the union of its operands'. There is no node for broadcasting, but for [`Op::Broadcast`], which
//! adds dimensions that no operand has.
//!
//! **dtypes.** Values are computed in `f32`, `f64`, `i32` and `bool`. `f16`, `bf16`, `i8` and `u8` are *storage*
//! ([`DType::is_storage`]): what a parameter or a result holds, or a number rounded to it. Such a node is a `Param` (or what
//! picks, renames or repeats one), a `Const` or a `Convert` from a wider dtype; what takes it is a result, or a `Convert` to its
//! arithmetic dtype ([`DType::arithmetic`]), which is exact. No function and no reduction does. The operands of a `Prim` have the types that its row demands
//! ([`crate::ops::Typing`]); every conversion is an [`Op::Convert`] node. The meaning is that of real numbers with
//! IEEE 754's special values and an exponent range without bound: [`eval`](mod@eval) computes exactly this, in double-double.
//! Integers wrap at 32 bits.
//!
//! **Canonical order.** The numbering of [`DimId`]s is the kernel's canonical order of dimensions: an order in which
//! every declared type lists its dimensions, as far as they agree, in the order of first appearance otherwise. The
//! order of summation is defined by it, never by strides.
//!
//! **Reductions.** [`Op::Reduce`] removes dimensions. Where the operand's last dimension in canonical order is reduced, it
//! is in *row form*, else in *column form* ([`Graph::form`]); [`crate::loops`] defines the order of summation of either.
//! With two operands it is the sum of their products, each added by one fma (made by the pass `contract` only).
//! [`Op::Fold`] is one number of the state of a reduction that the text defines: see [`folds`].
//!
//! **Scans.** An element of an [`Op::Scan`] is the combination of the operand's elements at the positions along `dim` up to its
//! own (`reverse`: from its own on), without its own if `exclusive`; of none, the identity. Its order of combination has the two
//! forms of a reduction over `dim`: in row form by groups, in column form one element after another; [`crate::lower`] writes it
//! out. [`Op::KthLargest`] is the element that would stand at position `k - 1` if those along `dim` were in descending order, NaN
//! first, -0 and +0 as +0. `k` is brought between 1 and the size; over nothing a float is NaN, an integer the smallest.
//!
//! **Fixed-size dimensions** have a size known at compilation ([`DimKind::Fixed`](crate::types::DimKind::Fixed)). [`Op::Slice`] picks a position
//! of one; [`Op::Stack`] makes one out of values. The pass `unroll` replaces every node over a dimension that some
//! node reduces, scans, slices or stacks by one node for each position; after it, `Slice` stands only directly on a
//! [`Op::Param`] (or on such a slice, or on a `Rename`), and `Stack` only at results, on values or on other stacks.
//!
//! **fma.** `Prim::Fma` rounds once. Which product and sum become one is decided by the pass `contract` alone.
//!
//! **Renaming.** [`Op::Rename`] reads a parameter along other dimensions of the same sizes: `x` over `[i, d]` as `x` over `[j, d]`, for
//! what compares every row with every other. It stands only directly on a `Param`, or on a `Carry` inside of its loop
//! that is used in no other way (its array need not be one line for whom walks it along several dimensions at once).
//!
//! **Loops.** Each of [`Graph::repeats`] is run for its number of steps, one after another. [`Op::Carry`] is a part of its
//! state at the beginning of a step: the operand in the first one, in every other what the step before gave. [`Op::Step`]
//! is the number of the step, from 0. Nodes made of these belong to the step, as ordinary functions of their operands; what is
//! made of neither is the same in every step. [`Op::Final`] is a part of the state after the last step: its operands are
//! all carried values, in order, and then what a step makes of them, in the same order; without a step it is the first
//! value. What is made of the end of a loop is outside of it again, or in a loop around it. All nodes stay in the one
//! list, operands first ([`repeats::Nesting`] sorts them).
//!
//! **Gathering.** [`Op::Gather`] reads a leaf (a parameter, its renaming, slices of them) at computed positions along some of its
//! dimensions: the element where each such dimension is at the position that its index has at the place, and every other
//! dimension is at the place. Where a position lies outside of its dimension the element is 0 (`false`), and nothing is read.
//! What the language gives there is selected above it. A leaf's dimension that an index has, too, is at one place for both.
//!
//! # Rules (checked by [`verify`](mod@verify))
//!
//! 1. Operands come before their node.
//! 2. Dimensions of a node follow from its operands as said above; a `Param`'s are those of its declaration.
//! 3. dtypes follow the row of the function; `Convert` changes the dtype in a step that there is (storage only from and to what
//!    is computed in); a `Const`'s bits fit it.
//! 4. `Reduce` has one operand, or two if it is a `Sum` of floats of the same dtype; it reduces at least one
//!    dimension, and only dimensions that the operands have together. `Max`, `Min` of the language on floats stay in
//!    the graph; `bool` is not reduced.
//! 5. `Slice` names a fixed-size dimension of its operand and a position inside it. `Stack` has as many operands as
//!    its fixed-size dimension positions, none of which has that dimension, all of one dtype. `Broadcast` adds at
//!    least one dimension. `Rename` stands on a parameter or a carried value, and gives different dimensions of it different new ones, which
//!    it has not, or which change places. `Gather` stands on a leaf, names dimensions of it, each once, and has an `i32` for
//!    each.
//! 6. `Scan` runs along a dimension of its operand, by a sum, a product or a maximum, not of `bool`; `KthLargest` is of numbers,
//!    its `k` one `i32` without dimensions, and its dimension not of a fixed size of 1 to 64.
//! 7. Results have the dimensions and dtype of their declaration, and are in no loop.
//! 8. A `Carry` and its operand, a `Final` and what it is the last of, have the same dimensions and dtype. The first half of a
//!    `Final`'s operands are the loop's `Carry` nodes in order, each once; every `Final` of a loop has the same operands. Of two
//!    loops at most one lies in the other.
//! 9. The parts of a fold are graphs of constants, functions and conversions, without dimensions, that keep these rules, with the
//!    parameters and results that [`folds`] says. A `Fold` node has the operands of its definition, or a condition
//!    besides, and reduces as a `Reduce` does.
//!
//! # Text form
//!
//! ```text
//! /// The kernel's documentation.
//! graph softmax(%0 x: f32[.., d], %1 eps: f32 = 1e-5) -> (y: f32[.., d] = %5)
//!   dims .. = leading, d = free
//!   doc param x: The logits.
//!   %2 = max %0 over d : f32[..]
//!   %3 = sub %0, %2 : f32[.., d]
//!   %4 = exp %3 : f32[.., d]
//!   ...
//! ```
//!
//! [`parse`](mod@parse) reads back what [`print`](mod@print) writes, all but spans. Parameters are the first nodes. Dimensions are `free`,
//! `leading`, a fixed size, or computed, in parentheses: `half = 2, j = (d + 1)`, with `/^` for a quotient rounded up; the
//! second dimension called `d` is written `d'2`. `with g = 32` gives dimension parameters.
//! `const 0x3f800000 (1.0) : f32` gives bits and, for the reader, the number; `index d`, `size n, d`, `convert %1`,
//! `sum %1 over d`, `sum %1 * %2 over d`, `cumsum %1 along d reverse exclusive`,
//! `kth_largest %1, %2 along d`, `slice %1 half=0`, `stack half(%1, %2)`, `broadcast %1`, `rename %0 i=j` (`j` in place of
//! `i`), `gather %0 d=%3, c=%4`. `repeats r0 = 64, r1 = size n` says how many steps loops have; `carry r0.1 %2` is part 1 of the state of `r0`, which
//! begins with `%2`, `step r0` the number of the step, `final r0.1 %3, %4, %5, %6` its last value. A `#` begins a comment.
//!
//! A fold stands before the nodes; `fold0.1 %0, %3 over d` is the second number of its state.
//!
//! ```text
//!   fold online_normalizer empty 0xff800000 (-inf), 0x00000000 (0.0)
//!     lift(%0 x: f32) -> (m: f32 = %0, s: f32 = %1)
//!       %1 = const 0x3f800000 (1.0) : f32
//!     step(%0 a.m: f32, %1 a.s: f32, %2 x: f32) -> (m: f32 = %3, s: f32 = %9)
//!       ...
//!     merge(%0 a.m: f32, %1 a.s: f32, %2 b.m: f32, %3 b.s: f32) -> (m: f32 = %4, s: f32 = %11)
//!       ...
//!     end
//! ```

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::diag::Span;
use crate::directives::Directives;
use crate::ops::{Prim, Reduction, Scan};
use crate::types::{DType, Dim, DimId, DimSet, small};

pub mod eval;
pub mod folds;
pub mod parse;
pub mod print;
pub mod regions;
pub mod repeats;
pub mod verify;
pub mod wide;

pub use eval::eval;
pub use folds::{Fold, FoldId};
pub use parse::parse;
pub use print::print;
pub use repeats::{RepeatId, Steps};
pub use verify::verify;

/// A node of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);
entity_impl!(NodeId, "%");

/// A constant of a dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Constant {
    /// Its type.
    pub dtype: DType,
    /// Its bits, the upper ones zero: IEEE 754 for floats, two's complement for integers, 0 or 1 for `bool`.
    pub bits: u64,
}

impl Constant {
    /// `value` rounded to the dtype (bool: whether it is not zero; integers: towards zero, saturated).
    pub fn new(dtype: DType, value: f64) -> Constant {
        let bits = match dtype {
            DType::F32 => u64::from((value as f32).to_bits()),
            DType::F64 => value.to_bits(),
            DType::F16 => u64::from(small::f16_bits(value)),
            DType::BF16 => u64::from(small::bf16_bits(value)),
            DType::I32 => u64::from(value as i32 as u32),
            DType::I8 => u64::from(value as i8 as u8),
            DType::U8 => u64::from(value as u8),
            DType::Bool => u64::from(value != 0.0),
        };
        Constant { dtype, bits }
    }

    /// Its value; every dtype's fits exactly.
    pub fn value(self) -> f64 {
        small::element_value(self.dtype, self.bits)
    }
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The parameter of that position in [`Graph::params`]. Only the first nodes are parameters.
    Param(u32),
    /// A number.
    Const(Constant),
    /// The position along a dimension: `i32`.
    Index(DimId),
    /// The product of the sizes of dimensions, rounded to the node's dtype.
    Size(DimSet),
    /// A scalar function of its operands, place by place.
    Prim(Prim, Vec<NodeId>),
    /// The operand in the node's dtype: correctly rounded; float to integer rounds to nearest even, saturates, NaN gives
    /// 0; `i32` to a smaller integer saturates; to bool: not zero; from bool: 0 or 1.
    Convert(NodeId),
    /// A reduction of one operand over `dims`, or the sum of the products of two.
    Reduce {
        /// Which.
        reduction: Reduction,
        /// One operand, or two factors.
        args: Vec<NodeId>,
        /// The dimensions that go.
        dims: DimSet,
    },
    /// One number of the state of a reduction that the text defines, over `dims`. The nodes for the others have the same
    /// operands, and are computed together.
    Fold {
        /// The definition.
        fold: FoldId,
        /// Which number of the state.
        state: u32,
        /// Its operands; a further one is the condition under which an element counts.
        args: Vec<NodeId>,
        /// The dimensions that go.
        dims: DimSet,
    },
    /// A running combination along one dimension.
    Scan {
        /// Which, and how.
        scan: Scan,
        /// Operand.
        value: NodeId,
        /// The dimension along which it runs.
        dim: DimId,
    },
    /// The `k`-th largest element along a dimension, which goes.
    KthLargest {
        /// The operand, and `k`.
        args: [NodeId; 2],
        /// The dimension that goes.
        dim: DimId,
    },
    /// The operand at one position of a fixed-size dimension.
    Slice {
        /// Operand.
        value: NodeId,
        /// The dimension that goes.
        dim: DimId,
        /// The position.
        at: u32,
    },
    /// Operand `i` at position `i` of a fixed-size dimension.
    Stack {
        /// The dimension that is made.
        dim: DimId,
        /// One operand for each position.
        values: Vec<NodeId>,
    },
    /// The operand, the same all along the node's further dimensions.
    Broadcast(NodeId),
    /// A parameter or a carried value along other dimensions: its element where each dimension `from` is at the position of `to`.
    Rename {
        /// The parameter, or the carried value.
        value: NodeId,
        /// Pairs of a dimension of it and the one that takes its place, in canonical order. All pairs act at
        /// once.
        names: Vec<(DimId, DimId)>,
    },
    /// Part of a loop's state at the beginning of a step.
    Carry {
        /// The loop.
        repeat: RepeatId,
        /// Which part.
        index: u32,
        /// What it is in the first step.
        init: NodeId,
    },
    /// The number of the step of a loop, from 0: `i32`.
    Step(RepeatId),
    /// Part of a loop's state after its last step.
    Final {
        /// The loop.
        repeat: RepeatId,
        /// Which part.
        index: u32,
        /// All of its `Carry` nodes, then what a step makes of each.
        values: Vec<NodeId>,
    },
    /// A leaf at computed positions along some of its dimensions; 0 where one lies outside.
    Gather {
        /// The leaf's dimensions that go, in canonical order.
        dims: Vec<DimId>,
        /// The leaf, and a position for each of the dimensions.
        args: Vec<NodeId>,
    },
}

impl Op {
    /// Its operands, in order.
    pub fn args(&self) -> &[NodeId] {
        match self {
            Op::Param(_) | Op::Const(_) | Op::Index(_) | Op::Size(_) | Op::Step(_) => &[],
            Op::Prim(_, args)
            | Op::Reduce { args, .. }
            | Op::Fold { args, .. }
            | Op::Stack { values: args, .. }
            | Op::Gather { args, .. }
            | Op::Final { values: args, .. } => args,
            Op::KthLargest { args, .. } => args,
            Op::Convert(value)
            | Op::Scan { value, .. }
            | Op::Slice { value, .. }
            | Op::Broadcast(value)
            | Op::Carry { init: value, .. }
            | Op::Rename { value, .. } => std::slice::from_ref(value),
        }
    }

    /// For what runs over places of its operands and needs a loop of its own (a reduction, a scan, a k-th largest): the operands that
    /// it runs over, and the dimensions along which it does.
    pub fn runs_over(&self) -> Option<(&[NodeId], DimSet)> {
        match self {
            Op::Reduce { args, dims, .. } | Op::Fold { args, dims, .. } => Some((args, *dims)),
            Op::Scan { value, dim, .. } => Some((std::slice::from_ref(value), DimSet::one(*dim))),
            Op::KthLargest { args, dim } => Some((&args[..1], DimSet::one(*dim))),
            _ => None,
        }
    }

    /// Its operands, to be replaced.
    pub fn args_mut(&mut self) -> &mut [NodeId] {
        match self {
            Op::Param(_) | Op::Const(_) | Op::Index(_) | Op::Size(_) | Op::Step(_) => &mut [],
            Op::Prim(_, args)
            | Op::Reduce { args, .. }
            | Op::Fold { args, .. }
            | Op::Stack { values: args, .. }
            | Op::Gather { args, .. }
            | Op::Final { values: args, .. } => args,
            Op::KthLargest { args, .. } => args,
            Op::Convert(value)
            | Op::Scan { value, .. }
            | Op::Slice { value, .. }
            | Op::Broadcast(value)
            | Op::Carry { init: value, .. }
            | Op::Rename { value, .. } => std::slice::from_mut(value),
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// Its element type.
    pub dtype: DType,
    /// Its dimensions.
    pub dims: DimSet,
    /// The text it came from.
    pub span: Span,
}

/// A declared array or number: a parameter or a result. `axes` is `None` for a scalar parameter; otherwise its axes,
/// outermost first, each one dimension or several that share it (outermost first).
#[derive(Clone, Debug, PartialEq)]
pub struct Decl {
    /// The name in the text.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Axes; `None`: a scalar parameter.
    pub axes: Option<Vec<Vec<DimId>>>,
    /// What it is when left out.
    pub default: Option<f64>,
    /// From which number to which a scalar parameter goes, both included and of its dtype; calls with others are refused.
    pub range: Option<(f64, f64)>,
    /// Documentation.
    pub doc: String,
}

impl Decl {
    /// Its dimensions, outermost first.
    pub fn dim_list(&self) -> impl Iterator<Item = DimId> + '_ {
        self.axes.iter().flatten().flatten().copied()
    }

    /// Its dimensions.
    pub fn dims(&self) -> DimSet {
        self.dim_list().collect()
    }
}

/// One kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The kernel's name.
    pub name: String,
    /// Its documentation comment.
    pub doc: String,
    /// Its dimensions, in canonical order.
    pub dims: PrimaryMap<DimId, Dim>,
    /// Names and values of its dimension parameters.
    pub dim_params: Vec<(String, i64)>,
    /// What its `schedule` item asks for.
    pub directives: Directives,
    /// Parameters, in the order of the text. Node `i` is parameter `i`.
    pub params: Vec<Decl>,
    /// The reductions of the text that nodes use.
    pub folds: PrimaryMap<FoldId, Fold>,
    /// Loops: how many steps each has.
    pub repeats: PrimaryMap<RepeatId, Steps>,
    /// Nodes, operands first.
    pub nodes: PrimaryMap<NodeId, Node>,
    /// Results: declaration and value.
    pub results: Vec<(Decl, NodeId)>,
}

/// A set of dimensions with other names for some of them.
pub fn renamed(dims: DimSet, names: &[(DimId, DimId)]) -> DimSet {
    dims.iter().map(|dim| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to)).collect()
}

/// In which of the two orders a reduction runs; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// The operand's last dimension is reduced: virtual lanes along it.
    Row,
    /// It is kept: one lane for each result.
    Column,
}

impl Graph {
    /// A graph of that name with nothing in it.
    pub fn new(name: impl Into<String>) -> Graph {
        Graph {
            name: name.into(),
            doc: String::new(),
            dims: PrimaryMap::new(),
            dim_params: Vec::new(),
            directives: Directives::default(),
            params: Vec::new(),
            folds: PrimaryMap::new(),
            repeats: PrimaryMap::new(),
            nodes: PrimaryMap::new(),
            results: Vec::new(),
        }
    }

    /// Adds a node whose dimensions follow from its operands (not `Param`, `Stack` or `Broadcast`, whose dimensions
    /// are given with [`Graph::add_with_dims`]).
    pub fn add(&mut self, op: Op, dtype: DType, span: Span) -> NodeId {
        let dims = self.natural_dims(&op);
        self.add_with_dims(op, dtype, dims, span)
    }

    /// Adds a node with the given dimensions.
    pub fn add_with_dims(&mut self, op: Op, dtype: DType, dims: DimSet, span: Span) -> NodeId {
        self.nodes.push(Node { op, dtype, dims, span })
    }

    /// The dimensions that follow from the operands of `op` (for `Broadcast`: those of the operand alone).
    pub fn natural_dims(&self, op: &Op) -> DimSet {
        let union = op.args().iter().fold(DimSet::EMPTY, |dims, &arg| dims.union(self.nodes[arg].dims));
        match op {
            Op::Param(index) => self.params[*index as usize].dims(),
            Op::Const(_) | Op::Size(_) | Op::Step(_) => DimSet::EMPTY,
            Op::Final { index, values, .. } => {
                values.get(*index as usize).map_or(DimSet::EMPTY, |&carry| self.nodes[carry].dims)
            }
            Op::Index(dim) => DimSet::one(*dim),
            Op::Prim(..) | Op::Convert(_) | Op::Broadcast(_) | Op::Scan { .. } | Op::Carry { .. } => union,
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } => union.difference(*dims),
            Op::Slice { dim, .. } | Op::KthLargest { dim, .. } => union.without(*dim),
            Op::Stack { dim, .. } => union.with(*dim),
            Op::Rename { names, .. } => renamed(union, names),
            Op::Gather { dims, args } => {
                let (leaf, indices) = args.split_first().expect("a gather has a leaf");
                let kept = self.nodes[*leaf].dims.difference(dims.iter().copied().collect());
                kept.union(self.operand_dims(indices))
            }
        }
    }

    /// The dimensions of a reduction's operands together.
    pub fn operand_dims(&self, args: &[NodeId]) -> DimSet {
        args.iter().fold(DimSet::EMPTY, |dims, &arg| dims.union(self.nodes[arg].dims))
    }

    /// In which order a reduction runs. Over operands with different free dimensions (a contraction) it is always in column
    /// form.
    pub fn form(&self, args: &[NodeId], dims: DimSet) -> Form {
        let operand = self.operand_dims(args);
        let free = |arg: &NodeId| self.nodes[*arg].dims.difference(dims);
        let apart = |a: &NodeId, b: &NodeId| {
            self.nodes[*a].dims != self.nodes[*b].dims
                && !free(a).is_subset(self.nodes[*b].dims)
                && !free(b).is_subset(self.nodes[*a].dims)
        };
        let contraction = args.iter().enumerate().any(|(at, a)| args[..at].iter().any(|b| apart(a, b)));
        match operand.last() {
            Some(last) if dims.contains(last) && !contraction => Form::Row,
            _ => Form::Column,
        }
    }

    /// How many nodes and results use each node.
    pub fn use_counts(&self) -> cranelift_entity::SecondaryMap<NodeId, u32> {
        let mut counts = cranelift_entity::SecondaryMap::new();
        for node in self.nodes.values() {
            for &arg in node.op.args() {
                counts[arg] += 1;
            }
        }
        for &(_, value) in &self.results {
            counts[value] += 1;
        }
        counts
    }
}
