//! The contract between compiled code and the program that calls it: what a kernel is called with, and the
//! description ([`Signature`], [`Abi`]) from which a call is checked and its arguments are laid out.
//!
//! Needs nothing else; the compiler lays out code against these types and the runtime fills them. A change here
//! changes [`ABI_VERSION`].
//!
//! # How a kernel is called
//!
//! A compiled kernel is a list of [`Phase`]s. A phase has an *extent* (how many units of parallel work there are:
//! rows, or elements), and a function that does the units `lo..hi`. The runtime runs the phases in order; within a
//! phase it may split the extent at multiples of the *grain* over threads, and joins them before the next phase.
//! Which way it splits never shows in the bits of the results.
//!
//! Every phase function has the type [`PhaseFn`]. `args` is shared by all threads and phases of one call; `scratch`
//! belongs to one thread and holds [`Phase::scratch`] bytes, aligned to 64.

/// Version of this contract. Objects built for another version are refused.
pub const ABI_VERSION: u32 = 1;

/// Version of the numerics: two kernels of one text and one number here give the same bits for the same call.
pub const NUMERICS_VERSION: u32 = 1;

/// What an element of an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16: storage, arithmetic is in `f32`.
    F16,
    /// The upper half of an `f32`: storage, arithmetic is in `f32`.
    BF16,
    /// Two's complement, 32 bits.
    I32,
    /// Two's complement, 8 bits: storage, arithmetic is in `i32`.
    I8,
    /// 8 bits without sign: storage, arithmetic is in `i32`.
    U8,
    /// One byte; zero is false, anything else is true.
    Bool,
}

impl DType {
    /// Every dtype, in the order of the enum.
    pub const ALL: [DType; 8] =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::I8, DType::U8, DType::Bool];

    /// Size of one element in memory, in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::F64 => 8,
            DType::F16 | DType::BF16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// The name as `.act` files write it.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I32 => "i32",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// The dtype of that name.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Whether it is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// The dtype in which its values are computed: `f32` for the floats of 16 bits, `i32` for the integers of 8, itself
    /// for all others. Every one of its values is one of that dtype.
    pub const fn arithmetic(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            DType::I8 | DType::U8 => DType::I32,
            DType::F32 | DType::F64 | DType::I32 | DType::Bool => self,
        }
    }

    /// Whether it is only what memory holds, and nothing is computed in it.
    pub const fn is_storage(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::I8 | DType::U8)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A size computed from the sizes of dimensions. Dimensions are named by their index in [`Signature::dims`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SizeExpr {
    /// A number.
    Const(i64),
    /// The size of a dimension.
    Dim(u32),
    /// Sum.
    Add(Box<SizeExpr>, Box<SizeExpr>),
    /// Difference.
    Sub(Box<SizeExpr>, Box<SizeExpr>),
    /// Product.
    Mul(Box<SizeExpr>, Box<SizeExpr>),
    /// Quotient; an error at the call where it does not divide.
    Div(Box<SizeExpr>, Box<SizeExpr>),
    /// Quotient rounded up.
    CeilDiv(Box<SizeExpr>, Box<SizeExpr>),
}

impl SizeExpr {
    /// The product of dimensions (1 for none).
    pub fn product(dims: impl IntoIterator<Item = u32>) -> SizeExpr {
        dims.into_iter()
            .map(SizeExpr::Dim)
            .reduce(|a, b| SizeExpr::Mul(Box::new(a), Box::new(b)))
            .unwrap_or(SizeExpr::Const(1))
    }

    /// Its value where dimension `d` has the size `sizes[d]`; `None` on overflow or where a division does not
    /// come out even.
    pub fn eval(&self, sizes: &[i64]) -> Option<i64> {
        let both = |a: &SizeExpr, b: &SizeExpr| Some((a.eval(sizes)?, b.eval(sizes)?));
        match self {
            SizeExpr::Const(value) => Some(*value),
            SizeExpr::Dim(dim) => sizes.get(*dim as usize).copied(),
            SizeExpr::Add(a, b) => both(a, b).and_then(|(a, b)| a.checked_add(b)),
            SizeExpr::Sub(a, b) => both(a, b).and_then(|(a, b)| a.checked_sub(b)),
            SizeExpr::Mul(a, b) => both(a, b).and_then(|(a, b)| a.checked_mul(b)),
            SizeExpr::Div(a, b) => {
                both(a, b).and_then(|(a, b)| if b > 0 && a % b == 0 { Some(a / b) } else { None })
            }
            SizeExpr::CeilDiv(a, b) => both(a, b)
                .and_then(|(a, b)| if b > 0 && a >= 0 { Some(a / b + i64::from(a % b != 0)) } else { None }),
        }
    }
}

/// Where the size of a dimension comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DimKind {
    /// Bound from the shapes of the arguments.
    Free,
    /// The leading axes `..`, any number of them, folded into one dimension.
    Leading,
    /// Known when the kernel was compiled: `half=2`, a constant, or a dimension parameter of the kernel.
    Fixed(i64),
    /// Computed from other dimensions: `j = k + 1`. Checked where an argument has it too.
    Computed(SizeExpr),
}

/// A dimension of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimDecl {
    /// The name in the text; `..` for the leading axes.
    pub name: String,
    /// Where its size comes from.
    pub kind: DimKind,
}

/// One axis of an array as the caller sees it: one dimension, or several (outermost first) that share it, as in
/// `(g k)`; its size is their product. An axis that is the one dimension of kind [`DimKind::Leading`] stands for
/// any number of the caller's axes.
pub type Axis = Vec<u32>;

/// What a parameter is.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamKind {
    /// An array; `default` is the number that fills it where the caller leaves it out.
    Array {
        /// Its axes, outermost first.
        axes: Vec<Axis>,
        /// The number that stands everywhere when the array is left out.
        default: Option<f64>,
    },
    /// A number.
    Scalar {
        /// Its value when left out.
        default: Option<f64>,
    },
}

/// A parameter or a result of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamDecl {
    /// Its name in the text; a single unnamed result is `y`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Array or number.
    pub kind: ParamKind,
    /// The numbers that a number may be, from the first to the second, both included; others are refused.
    pub range: Option<(f64, f64)>,
    /// Its documentation, if any.
    pub doc: String,
}

/// What a kernel takes and gives: enough to check a call, or to build a user interface on.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The kernel's name.
    pub name: String,
    /// Its documentation comment.
    pub doc: String,
    /// Dimensions, in canonical order.
    pub dims: Vec<DimDecl>,
    /// Parameters, in the order of the text.
    pub params: Vec<ParamDecl>,
    /// Results, in the order of the text; all arrays (a scalar result is an array without axes).
    pub results: Vec<ParamDecl>,
    /// Names and values of the dimension parameters that were fixed at compilation.
    pub dim_params: Vec<(String, i64)>,
}

/// How compiled code sees one array: a list of groups of dimensions. Each group is one axis with one stride (that
/// of its last dimension), so the dimensions of a group must collapse in the caller's memory; the last group has
/// stride 1. The runtime passes a dense copy where a caller's view does not have this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorLayout {
    /// `Ok(i)`: parameter `i` of the signature; `Err(i)`: result `i`.
    pub source: Result<u32, u32>,
    /// The groups, outermost first, as indices into [`Signature::dims`].
    pub groups: Vec<Vec<u32>>,
}

/// One phase of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The symbol of its function, unique in a module.
    pub symbol: String,
    /// Units of parallel work. Zero: the phase is skipped.
    pub extent: SizeExpr,
    /// Ranges begin at multiples of this many units (the last range may end anywhere). At least 1.
    pub grain: i64,
    /// Bytes of scratch memory that each thread needs, aligned to 64.
    pub scratch: SizeExpr,
    /// Roughly, operations on elements in one unit (a load, `x + y` and a store are one each, an exponential is 12); for
    /// deciding whether threads pay.
    pub work: SizeExpr,
}

/// One compiled form of a kernel, valid for calls that its guard admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The variant is for calls where this size is at most this number; the last variant has no guard.
    pub guard: Option<(SizeExpr, i64)>,
    /// [`KernelArgs::sizes`], in order.
    pub sizes: Vec<SizeExpr>,
    /// [`KernelArgs::data`], in order; [`KernelArgs::strides`] holds one stride per group of each, in order.
    pub tensors: Vec<TensorLayout>,
    /// [`KernelArgs::scalars`], in order: indices into [`Signature::params`].
    pub scalars: Vec<u32>,
    /// Bytes of memory shared by all phases and threads of a call, aligned to 64.
    pub shared: SizeExpr,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// Pairs (parameter, result) that may be the same memory: every element is read before it is written, by the
    /// same thread, at the same position.
    pub in_place: Vec<(u32, u32)>,
}

/// What the code of a kernel expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abi {
    /// Tried in order; the last one has no guard.
    pub variants: Vec<Variant>,
}

/// The arguments of one call, shared by its phases and threads.
#[repr(C)]
#[derive(Debug)]
pub struct KernelArgs {
    /// One pointer per tensor of the variant.
    pub data: *const *mut u8,
    /// One size per entry of [`Variant::sizes`].
    pub sizes: *const i64,
    /// Strides in elements: one per group of each tensor, all tensors after one another.
    pub strides: *const i64,
    /// Eight bytes per scalar; its dtype's bytes come first (little endian).
    pub scalars: *const u64,
    /// [`Variant::shared`] bytes.
    pub shared: *mut u8,
}

/// A phase's function: does the units `lo..hi`. `0 <= lo <= hi <= extent`, `lo` a multiple of the grain.
pub type PhaseFn = unsafe extern "C" fn(args: *const KernelArgs, scratch: *mut u8, lo: i64, hi: i64);
