//! What a caller can do wrong, said with the names of the kernel's text. Strings are made only once there is an
//! error; a call that succeeds builds none.

use crate::abi::DType;
use crate::cpu::Isa;
use crate::tensor::MAX_AXES;
use std::fmt;

/// Why a kernel could not be found, made or called.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The module has no kernel of that name.
    NoKernel {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A call by place with too few or too many things.
    Count {
        /// The kernel.
        kernel: String,
        /// What they are: `input arrays`, `output arrays` or `numbers`.
        what: &'static str,
        /// How many the kernel takes, and their names.
        expected: Vec<String>,
        /// How many were given.
        given: usize,
    },
    /// A call by name with a name that the kernel does not have.
    UnknownName {
        /// The kernel.
        kernel: String,
        /// What was looked for: `array parameter`, `result`, …
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// One thing was given twice.
    Twice {
        /// Its name.
        name: String,
    },
    /// Something without a default was left out.
    Missing {
        /// What it is: `array parameter`, `number` or `result`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The elements are of another type.
    DType {
        /// The parameter or result.
        name: String,
        /// What the kernel takes.
        expected: DType,
        /// What was given.
        given: DType,
    },
    /// The number of axes is wrong.
    Axes {
        /// The parameter or result.
        name: String,
        /// Its axes in the text: `[.., d]`.
        expected: String,
        /// The shape given.
        given: Vec<i64>,
    },
    /// A dimension has two sizes.
    Dim(Box<DimConflict>),
    /// The size of an axis is not the product of the dimensions that share it.
    Group(Box<GroupMismatch>),
    /// The leading axes `..` of two arrays differ.
    Leading {
        /// The array that had them first.
        first: String,
        /// Its leading axes.
        first_shape: Vec<i64>,
        /// The other array.
        second: String,
        /// Its leading axes.
        second_shape: Vec<i64>,
    },
    /// The arrays given do not tell the size of these dimensions.
    Unbound {
        /// Their names.
        dims: Vec<String>,
    },
    /// A computed dimension comes out negative, or a division in it does not come out even.
    Computed {
        /// The dimension.
        dim: String,
        /// How it is computed: `k - 2`.
        formula: String,
        /// Its value, if it has one.
        value: Option<i64>,
        /// The sizes it is computed from.
        from: Vec<(String, i64)>,
    },
    /// A dimension has 2^31 positions or more, or is asked to have less than none.
    DimSize {
        /// The dimension.
        dim: String,
        /// Its size.
        size: i64,
    },
    /// An array of 2^48 elements or more, or sizes of work beyond what can be counted.
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// A view that was made wrongly.
    View {
        /// The parameter or result it was given for.
        name: String,
        /// What is wrong with it.
        cause: ViewError,
    },
    /// A result shares memory with another array.
    Overlap {
        /// A parameter or result.
        first: String,
        /// The result.
        second: String,
        /// Whether they are exactly the same array, which this kernel can't take.
        same: bool,
    },
    /// The kernel can't run in place on these two.
    NotInPlace {
        /// The parameter.
        input: String,
        /// The result.
        output: String,
    },
    /// A number that its parameter can't hold.
    Number {
        /// The parameter.
        name: String,
        /// Its type.
        dtype: DType,
        /// The number.
        value: f64,
    },
    /// A number outside of the range that its parameter is declared with.
    Range {
        /// The parameter.
        name: String,
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
        /// The number.
        value: f64,
    },
    /// A dimension parameter differs from the one the kernel was compiled with.
    DimParam {
        /// The dimension parameter.
        name: String,
        /// What it was compiled with.
        compiled: i64,
        /// What the call asks for.
        given: f64,
    },
    /// The kernel was compiled for a better machine.
    Isa {
        /// The kernel.
        kernel: String,
        /// What it needs.
        needs: Isa,
        /// What this machine is.
        machine: Isa,
    },
    /// The kernel was compiled against another version of [`crate::abi`].
    AbiVersion {
        /// The kernel.
        kernel: String,
        /// Its version.
        version: u32,
    },
    /// There is not enough memory.
    Memory {
        /// How much was asked for.
        bytes: usize,
    },
    /// The description of a kernel contradicts itself: a mistake of whoever made it.
    Description {
        /// The kernel.
        kernel: String,
        /// What is wrong.
        problem: String,
    },
}

/// A dimension with two sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct DimConflict {
    /// The dimension.
    pub dim: String,
    /// Where its size came from.
    pub first: Origin,
    /// Its size there.
    pub first_size: i64,
    /// Where it is different.
    pub second: Origin,
    /// Its size there.
    pub second_size: i64,
}

/// Where the size of a dimension was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// In an array's shape.
    Axis {
        /// The parameter or result.
        name: String,
        /// Which axis of the shape given.
        axis: usize,
    },
    /// In the leading axes of an array.
    Leading {
        /// The parameter or result.
        name: String,
    },
    /// Fixed when the kernel was compiled.
    Compiled,
    /// Computed by this formula.
    Computed(String),
    /// Asked for by the call, without an array.
    Call,
}

/// An axis that several dimensions share, of a size that they can't make.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMismatch {
    /// The parameter or result.
    pub name: String,
    /// Which axis of the shape given.
    pub axis: usize,
    /// The axis in the text: `(g k)`.
    pub group: String,
    /// Its size.
    pub size: i64,
    /// The dimensions whose sizes are known.
    pub known: Vec<(String, i64)>,
    /// Whether all of them are; otherwise one was to be found by division.
    pub complete: bool,
}

/// What is wrong with a view by itself. Reported by the call that uses the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewError {
    /// More axes than [`MAX_AXES`].
    TooManyAxes {
        /// How many.
        axes: usize,
    },
    /// Shape and strides have different lengths.
    StrideCount {
        /// Axes of the shape.
        axes: usize,
        /// Strides given.
        strides: usize,
    },
    /// The slice does not have as many elements as the shape.
    Length {
        /// Elements of the slice.
        given: usize,
        /// Elements of the shape.
        needed: u64,
    },
    /// Shape and strides lead out of the slice.
    OutOfBounds {
        /// Elements of the slice.
        given: usize,
    },
    /// An axis of 2^31 positions or more, or an array of 2^48 elements or more.
    TooLarge,
    /// Two positions of an array that is written are the same memory.
    SharedPositions,
    /// The pointer is not a multiple of the element size.
    Misaligned,
}

impl std::error::Error for Error {}
impl std::error::Error for ViewError {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoKernel { name, known } => {
                write!(f, "there is no kernel `{name}`")?;
                one_of(f, known)
            }
            Error::Count { kernel, what, expected, given } => {
                let one = expected.len() == 1;
                let word = if one { what.trim_end_matches('s') } else { what };
                write!(f, "`{kernel}` takes {} {word}", expected.len())?;
                if !expected.is_empty() {
                    write!(f, " ({})", Names(expected))?;
                }
                write!(f, ", but {given} {} given", if *given == 1 { "was" } else { "were" })?;
                let some = *what == "numbers" && !expected.is_empty();
                if some { f.write_str("; none at all stand for the defaults") } else { Ok(()) }
            }
            Error::UnknownName { kernel, what, name, known } => {
                write!(f, "`{kernel}` has no {what} `{name}`")?;
                one_of(f, known)
            }
            Error::Twice { name } => write!(f, "`{name}` was given twice"),
            Error::Missing { what, name } => write!(f, "{what} `{name}` was not given and has no default"),
            Error::DType { name, expected, given } => {
                write!(f, "`{name}` is {expected}, but {given} was given")
            }
            Error::Axes { name, expected, given } => {
                let plural = if given.len() == 1 { "axis" } else { "axes" };
                write!(
                    f,
                    "`{name}` is `{expected}`, but an array with {} {plural} was given: {given:?}",
                    given.len()
                )
            }
            Error::Dim(conflict) => conflict.fmt(f),
            Error::Group(mismatch) => mismatch.fmt(f),
            Error::Leading { first, first_shape, second, second_shape } => write!(
                f,
                "the leading axes `..` are {first_shape:?} in `{first}` but {second_shape:?} in `{second}`"
            ),
            Error::Unbound { dims } => {
                let (noun, verb) = if dims.len() == 1 { ("size", "is") } else { ("sizes", "are") };
                write!(f, "the {noun} of {} {verb} not given by the arrays", Names(dims))
            }
            Error::Computed { dim, formula, value, from } => {
                write!(f, "dimension `{dim}` = `{formula}` ")?;
                match value {
                    Some(value) => write!(f, "would be {value}")?,
                    None => write!(f, "is not a whole number")?,
                }
                if !from.is_empty() {
                    write!(f, " with {}", Sizes(from))?;
                }
                Ok(())
            }
            Error::DimSize { dim, size } => {
                write!(f, "dimension `{dim}` can't have {size} positions; the limits are 0 and 2^31 - 1")
            }
            Error::TooLarge { what } => write!(f, "{what} is too large: the limit is 2^48 - 1 elements"),
            Error::View { name, cause } => write!(f, "`{name}`: {cause}"),
            Error::Overlap { first, second, same: false } => {
                write!(f, "`{first}` and `{second}` share memory, but are not the same array")
            }
            Error::Overlap { first, second, same: true } => {
                write!(
                    f,
                    "`{first}` and `{second}` are the same memory; the kernel can't run in place on them"
                )
            }
            Error::NotInPlace { input, output } => {
                write!(f, "the kernel can't write `{output}` into the memory of `{input}`")
            }
            Error::Number { name, dtype, value } => write!(f, "`{name}` is {dtype} and can't be {value}"),
            Error::Range { name, low, high, value } => {
                // An end that is a number of f32 has few digits as one.
                let end = |end: f64| match end as f32 {
                    short if f64::from(short) == end => format!("{short:?}"),
                    _ => format!("{end:?}"),
                };
                write!(f, "`{name}` goes from {} to {} and can't be {value:?}", end(*low), end(*high))
            }
            Error::DimParam { name, compiled, given } => write!(
                f,
                "`{name}` is {compiled} in this kernel; to call it with {given}, compile it with `{name}` = {given}"
            ),
            Error::Isa { kernel, needs, machine } => {
                write!(f, "`{kernel}` was compiled for {needs}, but this machine is {machine}")
            }
            Error::AbiVersion { kernel, version } => write!(
                f,
                "`{kernel}` was compiled for version {version} of the calling contract; this runtime has version {}",
                crate::abi::ABI_VERSION
            ),
            Error::Memory { bytes } => write!(f, "there is no memory for {bytes} bytes"),
            Error::Description { kernel, problem } => {
                write!(f, "the description of `{kernel}` is wrong: {problem}")
            }
        }
    }
}

impl fmt::Display for DimConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DimConflict { dim, first, first_size, second, second_size } = self;
        write!(f, "dimension `{dim}` is {first_size} {first} but {second_size} {second}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Axis { name, axis } => write!(f, "in `{name}` (axis {axis})"),
            Origin::Leading { name } => write!(f, "in `{name}`"),
            Origin::Compiled => write!(f, "as compiled"),
            Origin::Computed(formula) => write!(f, "as `{formula}`"),
            Origin::Call => write!(f, "as the call asks"),
        }
    }
}

impl fmt::Display for GroupMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GroupMismatch { name, axis, group, size, known, complete } = self;
        write!(f, "axis {axis} of `{name}` is `{group}` and has size {size}, ")?;
        let product = known.iter().try_fold(1i64, |product, (_, size)| product.checked_mul(*size));
        match (complete, product) {
            (true, Some(product)) => write!(f, "but {} make {product}", Sizes(known)),
            (true, None) => write!(f, "but {} make more than can be counted", Sizes(known)),
            (false, _) => write!(f, "which can't be divided by {}", Sizes(known)),
        }
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewError::TooManyAxes { axes } => write!(f, "{axes} axes; the limit is {MAX_AXES}"),
            ViewError::StrideCount { axes, strides } => write!(f, "{axes} axes, but {strides} strides"),
            ViewError::Length { given, needed } => {
                write!(f, "the shape has {needed} elements, but the slice has {given}")
            }
            ViewError::OutOfBounds { given } => {
                write!(f, "shape and strides lead outside the slice, which has {given} elements")
            }
            ViewError::TooLarge => {
                write!(f, "the limits are 2^31 - 1 positions of an axis and 2^48 - 1 elements of an array")
            }
            ViewError::SharedPositions => {
                write!(f, "some of its positions are the same memory, so it can't be written")
            }
            ViewError::Misaligned => write!(f, "the pointer is not a multiple of the element size"),
        }
    }
}

/// `; there is …`, for a name that was not found.
fn one_of(f: &mut fmt::Formatter<'_>, known: &[String]) -> fmt::Result {
    let verb = if known.len() == 1 { "is" } else { "are" };
    if known.is_empty() { Ok(()) } else { write!(f, "; there {verb} {}", Names(known)) }
}

/// Names between commas.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Names and sizes.
struct Sizes<'a>(&'a [(String, i64)]);

impl fmt::Display for Sizes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, size)) in self.0.iter().enumerate() {
            let comma = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(f, "{comma}`{name}` = {size}")?;
        }
        Ok(())
    }
}
