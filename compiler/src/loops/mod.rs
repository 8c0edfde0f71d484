//! IR 2, the loop IR: in which order a kernel is computed: structured loops over typed vectors. What it says is
//! exact: every rounding, every order of summation. No pass after the numeric ones may change a bit of it.
//!
//! # Meaning
//!
//! A [`Func`] has *sizes* (numbers known at the call), *buffers* (arrays in memory), *scalars* (the numbers passed by
//! the caller) and *phases*. A phase's body is run for disjoint ranges `lo..hi` that together make up its extent;
//! `lo` and `hi` are two values of the body.
//!
//! **Values** are in static single assignment form: each is defined once, by a statement, a loop variable or a carried
//! variable, before its uses, in the same block or one around it. A value has a [`Type`]: a scalar type and a
//! number of lanes. Lane `l` of a result depends on lane `l` of the operands, except in [`Inst::Splat`],
//! [`Inst::Iota`], [`Inst::Shift`] and [`Inst::Fold`]. `bool` is a mask. `i64` with one lane is for positions and addresses.
//!
//! **Arithmetic** is IEEE 754, to nearest even, with subnormals; a NaN's sign and payload are not defined. Integers
//! wrap. No function is approximate: [`crate::ops::Class::Expanded`] functions (and those of [`crate::ops::Class::Storage`]) are replaced by the pass
//! `expand_math`, and from then on only core functions occur. Fused multiply-add happens where `fma` stands, and
//! nowhere else.
//!
//! **Memory.** [`Access`] names a buffer and one position for each of its axes. With several lanes, lane `l` is
//! at position `+ l` along the access's lane axis. Every access must be inside the buffer ([`Active`] lanes only).
//! What is loaded from a buffer of `f16`, `bf16`, `i8` or `u8` is an `i32`, the bits of a float or the value of an integer
//! ([`Elem::loaded`]), and what is stored must be one in the range of the type. What the bits of a float mean, the functions of
//! [`crate::ops::Class::Storage`] say.
//! Different buffers don't overlap, except where the kernel runs in place: then an input element is read before the
//! result element at the same place is written, in the same iteration.
//!
//! **Gathering.** [`Inst::Gather`] is a load some of whose positions are `i32`, with one lane or as many as the result has: lane `l` is at
//! the position in lane `l`, whatever that is. Where it is negative or not below the size of the axis, the lane gives 0 and
//! nothing is read. The other positions, and the lane axis among them, if there is one, are as in a load.
//!
//! **Loops.** [`For`] runs its body for `var = lo, lo + step, …` below `hi`. `carry` variables hold
//! their `init` at first and the body's `yields` afterwards; the loop's `results` are what they hold at the end.
//! - [`LoopKind::Seq`]: one place at a time, in order.
//! - [`LoopKind::Lanes`]`(n)`: `step = n`; the values with `n` lanes in the body stand for the places `var..var + n`. In the last
//!   iteration the lanes at places ≥ `hi` are *inactive*: their loads don't read (they give anything), their stores
//!   don't write, their carried variables keep what they hold. The layout pass `vectorize` makes machine vectors of
//!   it; a loop without carried variables may be given any number of lanes by it. Lane loops don't nest.
//!
//! **Reductions.** [`Reduce`] is the combined reduction loop. Its places are those of `outer` (flattened, in order)
//! and, inside, `inner`. For each place the body computes the lifted values, and these are combined into the states
//! in a fixed order, *the tree*:
//! - Row form: places along `inner` go to lane `p mod n`; each run along `inner` starts with lane 0; the lanes are kept from
//!   run to run. A *step* is up to `n` places of one run. Column form: one lane for each of the enclosing lane
//!   loop's lanes (or one); a step is one place.
//! - A lane starts with the reduction's identity and takes its elements in order: `state = combine(element, state)`; a
//!   lifted product is added by fma, `state = fma(a, b, state)`.
//! - A *block* ends after every [`BLOCK_STEPS`] steps, counted across runs. Row form: its lanes are folded:
//!   with `h` half the number of lanes, lane `l` becomes `combine(lane l + h, lane l)`, then `h/2` …, to lane 0.
//! - Blocks are combined pairwise as a binary counter does: block `i` (from 0) is pushed on a stack after it has
//!   been combined, for each trailing one bit of `i`, with the top, which is popped: `combine(new, top)`. At the
//!   end what is left is combined from the top down: `combine(top, next below)`. Over no place at all the result is the identity.
//! - A *fold* ([`FoldDecl`]) has a state of several numbers, which go through the same tree together. The first element of a
//!   lane becomes its state by `lift`, each further one is added by `step`; an element whose condition does not hold does
//!   not count. States are combined by `merge(a, b)`, `a` that of the lower lane or the earlier block; a lane or block in
//!   which no element has counted takes no part: the other state is the combined one. If none has counted at all, the
//!   result is what the definition says of nothing.
//! - `combine` is the reduction's function; [`Prim::Max`]`(a, b)` is `a != a ? a : selmax(a, b)`, so that a NaN
//!   stays; likewise `Min`.
//!
//! The numeric pass `lanes` writes this out in `For`, `If`, `Fold` and local buffers; after it there is no `Reduce`.
//!
//! **Blocks of statements** end with the values they yield to the statement around them.
//!
//! # Rules (checked by [`verify`](mod@verify))
//!
//! 1. Every value is defined once and before its uses, in scope.
//! 2. Types follow the rows of the functions, with equal numbers of lanes; `Splat` widens one lane; conditions of `If` are
//!    one `bool` lane; positions, loop bounds and `active` are one `i64` lane. Constants' bits above the width are 0. No value
//!    has a type that is in memory only.
//! 3. An access has as many positions as its buffer has axes, and a lane axis exactly if it has several lanes; inputs
//!    are not stored to. A gather has at least one `i32` position, none on its lane axis; it has a lane axis only if it has several
//!    lanes.
//! 4. Loops: as many yields and results as carried variables, of their types; step at least 1. Lane loops: step equals lanes.
//!    Neither lane loops nor row reductions stand inside one another.
//! 5. `Reduce`: as many results and lifted values as states, with the lanes of the row form or of the loop around. A fold has
//!    the operands and results of its definition. Parts of definitions are `Let` statements of one lane that see nothing but their parameters.
//! 6. After [`finish`]: only core functions, no `Reduce`, no definitions of folds, no lane loops.
//!
//! # Text form
//!
//! ```text
//! func softmax
//!   size s0 = dim1
//!   size s1 = ceildiv(dim0 * dim2, 32)
//!   buffer b0 = param 0 x : f32[dim0, dim1 * dim2] groups (0) (1 2)
//!   buffer b1 = result 0 y : f32[dim0, dim1 * dim2] groups (0) (1 2)
//!   buffer b2 = local : f32[48, 32]
//!   scalar a0 = param 1 : f32
//!   in_place param 0, result 0
//!   unused v18..v23 : f32x4, v25 : i64
//!   phase v0..v1 extent dim0 grain 1 work dim1 * dim2 cost 17
//!     for v2 in v0..v1 step 1
//!       v3 : i64 = size s0
//!       v4 : f32 = reduce max row 32 over v5 in s0
//!         v6 : f32x32 = load b0[v2, v5] lanes 1
//!         lift v6
//!       for v7 in v8..v3 step 32 lanes 32 carry v9 : f32x32 = v10 -> v11
//!         ...
//!         yield v12
//!       if v13 -> v14 : f32
//!         yield v15
//!       else
//!         yield v16
//!       v17 : f32x4 = load b0[v2, v7] lanes 1 active v24
//!       store b1[v2, v7] lanes 1 active v24, v17
//! ```
//!
//! - Blocks are indented by two spaces; a line that begins with `//` is a comment.
//! - A value stands with its type where it is defined; phase bounds and loop variables are `i64`. `a = b -> c` in
//!   `carry` is variable, first value and result.
//! - `reduce` names a reduction for each result, then the dimensions, the innermost last; `lift` has as many values or
//!   products `v1 * v2`.
//! - A definition stands after the scalars: `fold f0 = name empty f32 -inf (0xff800000), f32 0.0 (0x00000000)`, and below it, indented,
//!   `lift v0 : f32`, `step …`, `merge …`, each with its statements and what they yield. Its name stands in `reduce` after
//!   the others, and `f0(v7, v8) where v9` after what is lifted.
//! - Constants are numbers; after a float its bits may stand, `const 1.0 (0x3f800000)`.
//! - [`parse`](parse()) keeps the numbers of values, so that reading what was printed gives an equal function: values
//!   that no statement defines are listed under `unused`. ([`Func::renumber`] gets rid of them.)

mod folds;
pub mod interp;
mod parse;
mod print;
pub mod verify;
mod visit;

pub use folds::{Fold, FoldDecl, FoldUse, Part, Stage};
pub use parse::{ParseError, parse};
pub use print::Line;
pub use verify::{finish, verify};

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::ops::{Prim, Reduction};
use crate::types::SizeExpr;

/// Steps to a block of a reduction (8,192 elements in row form with 32 lanes).
pub const BLOCK_STEPS: i64 = 256;

/// Entries of the stack that combines blocks: enough for 2^47 blocks.
pub const TREE_DEPTH: i64 = 48;

/// An SSA value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(u32);
entity_impl!(Value, "v");

/// An array in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Buffer(u32);
entity_impl!(Buffer, "b");

/// A number known at the call, made of the sizes of dimensions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size(u32);
entity_impl!(Size, "s");

/// A number passed by the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scalar(u32);
entity_impl!(Scalar, "a");

/// A scalar type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Elem {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// True or false. Not in memory but for `bool` arrays (one byte, non-zero is true).
    Bool,
    /// IEEE 754 binary16. In memory only: what is loaded and stored are its bits, an `i32` from 0 to 65535.
    F16,
    /// The upper half of an `f32`. In memory only: likewise.
    BF16,
    /// 8-bit integer. In memory only: what is loaded and stored is an `i32` of its range.
    I8,
    /// 8-bit integer without sign. In memory only: likewise.
    U8,
}

impl Elem {
    /// Its name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Elem::F32 => "f32",
            Elem::F64 => "f64",
            Elem::I32 => "i32",
            Elem::I64 => "i64",
            Elem::Bool => "bool",
            Elem::F16 => "f16",
            Elem::BF16 => "bf16",
            Elem::I8 => "i8",
            Elem::U8 => "u8",
        }
    }

    /// Every one.
    pub const ALL: [Elem; 9] =
        [Elem::F32, Elem::F64, Elem::I32, Elem::I64, Elem::Bool, Elem::F16, Elem::BF16, Elem::I8, Elem::U8];

    /// The type of a value that is loaded from or stored to memory that holds it.
    pub const fn loaded(self) -> Elem {
        match self {
            Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => Elem::I32,
            Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 | Elem::Bool => self,
        }
    }

    /// Whether it is in memory only.
    pub const fn in_memory_only(self) -> bool {
        matches!(self, Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8)
    }

    /// Bytes of one in memory.
    pub const fn bytes(self) -> u32 {
        match self {
            Elem::F32 | Elem::I32 => 4,
            Elem::F64 | Elem::I64 => 8,
            Elem::F16 | Elem::BF16 => 2,
            Elem::Bool | Elem::I8 | Elem::U8 => 1,
        }
    }

    /// Whether it is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, Elem::F32 | Elem::F64)
    }
}

/// A scalar type and a number of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    /// Type of a lane.
    pub elem: Elem,
    /// Number of lanes, a power of two.
    pub lanes: u32,
}

impl Type {
    /// One lane.
    pub const fn scalar(elem: Elem) -> Type {
        Type { elem, lanes: 1 }
    }

    /// `i64`, one lane.
    pub const INDEX: Type = Type::scalar(Elem::I64);

    /// The same lanes of another type.
    pub const fn with_elem(self, elem: Elem) -> Type {
        Type { elem, lanes: self.lanes }
    }

    /// Another number of lanes of the same type.
    pub const fn with_lanes(self, lanes: u32) -> Type {
        Type { elem: self.elem, lanes }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.lanes {
            1 => f.write_str(self.elem.name()),
            lanes => write!(f, "{}x{lanes}", self.elem.name()),
        }
    }
}

/// Where a buffer's memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// Parameter number `i` of the kernel: strided, last axis dense.
    Param(u32),
    /// Result number `i` of the kernel: strided, last axis dense.
    Result(u32),
    /// Memory of the call that all phases and threads share: dense.
    Shared,
    /// Memory of the thread, handed in by the caller: dense.
    Scratch,
    /// Memory of the running function (its stack frame): dense, with constant axes.
    Local,
}

/// An array in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferDecl {
    /// For readers.
    pub name: String,
    /// Where it is.
    pub kind: BufferKind,
    /// What it holds.
    pub elem: Elem,
    /// Sizes of its axes, outermost first.
    pub axes: Vec<SizeExpr>,
    /// For parameters and results: the dimensions that each axis stands for ([`act_runtime::abi::TensorLayout`]).
    pub groups: Vec<Vec<u32>>,
}

/// A number passed by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalarDecl {
    /// Which parameter of the kernel.
    pub param: u32,
    /// Its type, as memory has it.
    pub elem: Elem,
}

/// Places in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The array.
    pub buffer: Buffer,
    /// A position for each axis.
    pub index: Vec<Value>,
    /// The axis along which the lanes lie; exactly where there are several.
    pub lane_axis: Option<u32>,
    /// How many lanes take part, from lane 0 (`i64`, at least 1 and at most the number of lanes); all if `None`.
    pub active: Active,
}

/// The number of lanes that take part in a load or store, if not all.
pub type Active = Option<Value>;

/// How a value comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inst {
    /// A constant in every lane, by its bits.
    Const(u64),
    /// A number of the caller.
    Scalar(Scalar),
    /// A size: `i64`.
    Size(Size),
    /// A core or expanded function, lane by lane.
    Prim(Prim, Vec<Value>),
    /// The operand in the result's type: rounded to nearest even; float to integer saturates, NaN gives 0; to bool: not zero; from
    /// bool: 0 or 1. Between `i32` and `i64`: sign-extended, or the low half.
    Convert(Value),
    /// The operand's bits in a type of the same width and lanes.
    Bitcast(Value),
    /// The one lane of the operand in every lane.
    Splat(Value),
    /// Lane `l` is the operand (`i64`) plus `l`, in the result's type (`i32` or `f64`).
    Iota(Value),
    /// What memory holds. Lanes that don't take part give 0.
    Load(Access),
    /// The lanes of two operands of the result's type, one after the other's, seen through a window: lane `l` is lane `l - by` of the
    /// second operand, or, below that, lane `l + lanes - by` of the first. `0 < by < lanes`.
    Shift(Value, Value, u32),
    /// What memory holds at computed positions; see "Gathering" in the module's documentation.
    Gather(Access),
    /// The lanes of the operand combined in the tree's order: one lane. (`lanes` of the operand: a power of two.)
    Fold(Reduction, Value),
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stmt {
    /// Defines a value.
    Let(Value, Inst),
    /// Writes to memory.
    Store(Access, Value),
    /// A loop.
    For(Box<For>),
    /// A choice.
    If(Box<If>),
    /// A combined reduction loop; until the pass `lanes`.
    Reduce(Box<Reduce>),
}

/// Statements, and the values that they hand to the statement around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// In order.
    pub stmts: Vec<Stmt>,
    /// What it yields.
    pub yields: Vec<Value>,
}

/// What a loop's lanes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoopKind {
    /// One place at a time.
    Seq,
    /// So many places at a time.
    Lanes(u32),
}

/// A carried variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The variable inside the body.
    pub var: Value,
    /// What it holds at first.
    pub init: Value,
    /// What it holds at the end: defined after the loop.
    pub result: Value,
}

/// A counted loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct For {
    /// The loop variable (`i64`).
    pub var: Value,
    /// Where it starts.
    pub lo: Value,
    /// Where it ends (exclusive).
    pub hi: Value,
    /// How far it goes each time.
    pub step: i64,
    /// What its lanes mean.
    pub kind: LoopKind,
    /// Machine vectors that one iteration should take, for a lane loop that carries nothing; a power of two. A wish
    /// of the schedule, without meaning.
    pub unroll: u32,
    /// What is handed from one iteration to the next.
    pub carry: Vec<Carry>,
    /// Its body; yields the next values of the carried variables.
    pub body: Block,
}

/// A choice between two blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct If {
    /// One `bool`.
    pub cond: Value,
    /// Run if it holds.
    pub then: Block,
    /// Run otherwise.
    pub otherwise: Block,
    /// What the chosen block yields.
    pub results: Vec<Value>,
}

/// What is combined into a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lift {
    /// A value.
    Value(Value),
    /// A product, added by fma.
    Product(Value, Value),
}

/// In which order a [`Reduce`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Row form with so many virtual lanes: the body's values have as many, along `inner`.
    Row(u32),
    /// Column form.
    Column,
}

/// A combined reduction loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduce {
    /// Order of summation.
    pub order: Order,
    /// Sequential dimensions outside: variable and size, outermost first.
    pub outer: Vec<(Value, Size)>,
    /// The innermost dimension (in row form the run): variable and size. In row form the variable is the first lane's place.
    pub inner: (Value, Size),
    /// The reductions of one number, one for each state.
    pub states: Vec<Reduction>,
    /// Computes the lifted values at a place.
    pub body: Vec<Stmt>,
    /// What is combined into each state.
    pub lifts: Vec<Lift>,
    /// The reductions' values: row form: one lane; column form: as many as the lifted values.
    pub results: Vec<Value>,
    /// The reductions of several numbers, with definitions of their own.
    pub folds: Vec<FoldUse>,
}

/// One phase: see [`act_runtime::abi::Phase`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// First unit of the range.
    pub lo: Value,
    /// End of the range.
    pub hi: Value,
    /// Units of work in all.
    pub extent: SizeExpr,
    /// Ranges begin at multiples of it.
    pub grain: i64,
    /// Roughly, elements touched by one unit.
    pub work: SizeExpr,
    /// Roughly, core operations on each of them. At least 1, which the text form leaves out.
    pub cost: i64,
    /// What is done for a range.
    pub body: Vec<Stmt>,
}

/// A kernel in the loop IR.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Func {
    /// The kernel's name.
    pub name: String,
    /// Numbers known at the call.
    pub sizes: PrimaryMap<Size, SizeExpr>,
    /// Arrays.
    pub buffers: PrimaryMap<Buffer, BufferDecl>,
    /// Definitions of reductions, until the pass `lanes`.
    pub folds: PrimaryMap<Fold, FoldDecl>,
    /// Numbers of the caller.
    pub scalars: PrimaryMap<Scalar, ScalarDecl>,
    /// The type of every value.
    pub values: PrimaryMap<Value, Type>,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// Pairs (parameter, result) that may share memory.
    pub in_place: Vec<(u32, u32)>,
}

impl Func {
    /// A new value of a type.
    pub fn value(&mut self, ty: Type) -> Value {
        self.values.push(ty)
    }

    /// The size of that expression, added if it is new.
    pub fn size(&mut self, expr: &SizeExpr) -> Size {
        let known = self.sizes.iter().find(|(_, known)| *known == expr).map(|(size, _)| size);
        known.unwrap_or_else(|| self.sizes.push(expr.clone()))
    }
}

/// A function that has passed [`finish`]: core operations only, verified. Back ends take nothing else.
#[derive(Clone, Debug)]
pub struct Verified(Func);

impl Verified {
    /// The function.
    pub fn func(&self) -> &Func {
        &self.0
    }
}
