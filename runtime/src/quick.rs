//! The short way of a call: what binding, laying out and computing sizes come to where all arrays are given and
//! dense, worked out once when the kernel is made. A call then is a few tight loops over two arrays on the stack.
//!
//! Needs a checked [`crate::plan::Plan`]. Leaves a [`Frame`] filled as the general way (`shape`, `layout`) fills its own, or gives
//! up, having changed nothing outside the frame. It makes no messages and decides no doubtful case: arrays that are
//! left out, empty, strided or wrong, sizes that conflict, results that meet other arrays without leave, all these it
//! hands to the general way, which calls or says what is wrong.
//!
//! All sizes that a call needs have *places* in [`Values`]: the sizes that the code takes, its strides, then whatever
//! else is needed to compute them. Constants are put there once, in the template of all calls. What each call does is
//! written so that it compiles to few instructions: indices are taken as remainders, which spares tests; what is rare
//! is a function of its own.

mod build;
#[cfg(test)]
mod tests;

pub(crate) use build::all;

use crate::abi::{DType, KernelArgs, PhaseFn};
use crate::kernel::within;
use crate::memory::Little;
use crate::shape::Sizes;
use crate::small::element_bits;
use crate::tensor::{DIM_LIMIT, Kind, MAX_AXES, Raw, TensorView, TensorViewMut};
use std::ops::{Index, IndexMut};

/// How many values most calls need at most.
pub(crate) const FEW: usize = 16;
/// How many values a call may need.
pub(crate) const MANY: usize = 32;
/// How many arrays the code may take.
const ARRAYS: usize = 8;
/// How many numbers the code may take, and one place for all that it does not.
const NUMBERS: usize = 8;
/// Stands for no index.
const NONE: u8 = u8::MAX;

/// The short way to call one variant of a kernel. Arrays have the indices of the plan's slots.
#[derive(Debug)]
pub(crate) struct Quick<const VALUES: usize> {
    /// The array parameters.
    inputs: Box<[Array]>,
    /// The results.
    outputs: Box<[Array]>,
    /// The axes `..`.
    leading: Option<Leading>,
    /// The axes that are the first to tell a dimension.
    axes: Box<[Axis]>,
    /// The axes that are one dimension, known by then.
    known_axes: Box<[Axis]>,
    /// The axes that are several.
    shared_axes: Box<[SharedAxis]>,
    /// Values that are there twice, copied once the dimensions are bound: from, to.
    copies: Box<[(u8, u8)]>,
    /// What is computed and tested after that, if anything is.
    computation: Option<Computation>,
    /// Where the strides start.
    strides: u8,
    /// Place of the bytes of shared memory.
    shared: u8,
    /// Places of the bytes of scratch memory, each once.
    scratch: Box<[u8]>,
    /// Where scratch memory starts in [`Little`], if the sizes of all memory are constant and it has room for them.
    little: Option<usize>,
    /// The numbers that the code takes where none is given, if all have a default.
    defaults: Option<Box<[u64]>>,
    /// Number parameters, in order.
    numbers: Box<[Number]>,
    /// The phases.
    pub(crate) phases: Box<[Phase]>,
    /// What [`Frame::values`] starts as.
    template: Values<VALUES>,
    /// Place of each dimension.
    dims: Box<[u8]>,
}

/// An array.
#[derive(Debug)]
struct Array {
    /// What it is without the axes `..`.
    kind: Kind,
    /// 1 if it has the axes `..`, otherwise 0.
    leading: u8,
    /// Its place in [`Frame::data`].
    place: u8,
}

/// The axes `..`, in the first array that has them.
#[derive(Debug)]
struct Leading {
    /// The array.
    array: u8,
    /// How many axes stand before them.
    at: u8,
    /// How many axes there are besides.
    rank: u8,
    /// The place of their product.
    place: u8,
    /// In the other arrays.
    others: Box<[LeadingAxes]>,
}

/// The axes `..` of an array.
#[derive(Debug)]
struct LeadingAxes {
    /// The array.
    array: u8,
    /// How many axes stand before them.
    at: u8,
}

/// Where the size of an axis is found.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The array.
    array: u8,
    /// The axis, if there were no leading axes.
    at: u8,
    /// 1 if it comes after them, otherwise 0.
    after: u8,
}

/// An axis that is one dimension.
#[derive(Debug)]
struct Axis {
    size: Place,
    /// Place of the dimension.
    dim: u8,
    /// Where else its size is put, or the same.
    to: u8,
}

/// An axis that is several dimensions.
#[derive(Debug)]
struct SharedAxis {
    size: Place,
    /// Places of those that are known.
    known: Box<[u8]>,
    /// Place of the one that is not, or [`NONE`].
    missing: u8,
}

/// What is not just there or copied.
#[derive(Debug)]
struct Computation {
    /// In order.
    steps: Box<[Step]>,
    /// Places of what may not be negative.
    counts: Box<[u8]>,
    /// The variant is for calls where the value at this place is at most this number.
    guard: Option<(u8, i64)>,
}

/// `values[to] = op(values[a], values[b])`.
#[derive(Debug)]
struct Step {
    op: Op,
    a: u8,
    b: u8,
    to: u8,
}

/// As in [`crate::abi::SizeExpr`].
#[derive(Clone, Copy, Debug)]
enum Op {
    Add,
    Sub,
    Mul,
    Div,
    CeilDiv,
}

/// A number parameter.
#[derive(Debug)]
struct Number {
    dtype: DType,
    default: Option<f64>,
    range: Option<(f64, f64)>,
    /// Its place among those that the code takes, or one behind them.
    place: u8,
}

/// A phase.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The code.
    pub(crate) function: PhaseFn,
    /// Place of its extent.
    extent: u8,
    /// Place of its bytes of scratch memory.
    scratch: u8,
}

/// What [`crate::abi::KernelArgs`] points to, and all sizes of a call.
pub(crate) struct Frame<const VALUES: usize> {
    values: Values<VALUES>,
    data: [*mut u8; ARRAYS],
}

/// The values of a call, by place.
#[derive(Clone, Copy, Debug)]
struct Values<const VALUES: usize>([i64; VALUES]);

impl<const VALUES: usize> Values<VALUES> {
    /// The index of a place. All are below the number of values; this says so in a form that needs no test.
    #[inline]
    fn at(place: u8) -> usize {
        debug_assert!(usize::from(place) < VALUES);
        usize::from(place) % VALUES
    }

    /// The values from a place on.
    #[inline]
    fn from(&self, place: u8) -> &[i64] {
        &self.0[Self::at(place)..]
    }
}

impl<const VALUES: usize> Index<u8> for Values<VALUES> {
    type Output = i64;

    #[inline]
    fn index(&self, place: u8) -> &i64 {
        &self.0[Self::at(place)]
    }
}

impl<const VALUES: usize> IndexMut<u8> for Values<VALUES> {
    #[inline]
    fn index_mut(&mut self, place: u8) -> &mut i64 {
        &mut self.0[Self::at(place)]
    }
}

/// Whether a call can be made the short way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Yes; the frame is filled.
    Yes,
    /// Yes, if the kernel may have results that share memory with other arrays as they do here.
    Overlapping,
    /// Not in this variant: its guard does not admit the sizes.
    NextVariant,
    /// Perhaps not at all.
    No,
}

impl<const VALUES: usize> Quick<VALUES> {
    /// A frame to lay out.
    #[inline(always)]
    pub(crate) fn frame(&self) -> Frame<VALUES> {
        Frame { values: self.template, data: [std::ptr::null_mut(); ARRAYS] }
    }

    /// Checks and binds the arrays, and fills the frame. There are as many arrays as the kernel takes.
    #[inline(always)]
    pub(crate) fn lay_out(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        frame: &mut Frame<VALUES>,
    ) -> Fit {
        let (Some(result), Some(array)) = (outputs.first(), self.outputs.first()) else { return Fit::No };
        let result = &result.raw;
        let values = &mut frame.values;
        let (mut count, mut first) = (0, result);
        if let Some(leading) = &self.leading {
            first = inputs.get(usize::from(leading.array)).map_or(result, |view| &view.raw);
            count = first.rank().wrapping_sub(usize::from(leading.rank));
            if count > MAX_AXES {
                return Fit::No;
            }
            let product = leading.product(first, count);
            if product >= DIM_LIMIT {
                return Fit::No;
            }
            values[leading.place] = product;
        }
        if !array.takes(result, count) {
            return Fit::No;
        }
        frame.data[usize::from(array.place) % ARRAYS] = result.ptr;
        let mut raws = [result; ARRAYS];
        let mut overlapping = false;
        for (index, (array, view)) in self.inputs.iter().zip(inputs).enumerate() {
            if !array.takes(&view.raw, count) {
                return Fit::No;
            }
            frame.data[usize::from(array.place) % ARRAYS] = view.raw.ptr;
            raws[index % ARRAYS] = &view.raw;
            overlapping |= overlap(&view.raw, result);
        }
        if outputs.len() > 1 {
            match self.lay_out_more(inputs.len(), outputs, count, &mut raws, &mut frame.data) {
                Some(more) => overlapping |= more,
                None => return Fit::No,
            }
        }
        if !self.bind(&raws, first, count, values) {
            return Fit::No;
        }
        for &(from, to) in &self.copies {
            values[to] = values[from];
        }
        match &self.computation {
            Some(computation) => match computation.run(values) {
                Fit::Yes if overlapping => Fit::Overlapping,
                fit => fit,
            },
            None if overlapping => Fit::Overlapping,
            None => Fit::Yes,
        }
    }

    /// The results after the first; whether one overlaps an array before it, or `None` if they don't fit.
    #[inline(never)]
    fn lay_out_more<'a>(
        &self,
        inputs: usize,
        outputs: &'a [TensorViewMut<'_>],
        count: usize,
        raws: &mut [&'a Raw; ARRAYS],
        data: &mut [*mut u8; ARRAYS],
    ) -> Option<bool> {
        let mut overlapping = false;
        for (index, (array, view)) in self.outputs.iter().zip(outputs).enumerate().skip(1) {
            if !array.takes(&view.raw, count) {
                return None;
            }
            data[usize::from(array.place) % ARRAYS] = view.raw.ptr;
            let index = inputs + index;
            raws[index % ARRAYS] = &view.raw;
            // The first result stands for all that are not there yet.
            overlapping |= raws[..index].iter().any(|before| overlap(before, &view.raw));
        }
        Some(overlapping)
    }

    /// Binds all dimensions but `..`, or checks them, in arrays whose numbers of axes are right and of which `count`
    /// are `..`, bound in the array `first`.
    #[inline(always)]
    fn bind(&self, raws: &[&Raw; ARRAYS], first: &Raw, count: usize, values: &mut Values<VALUES>) -> bool {
        let mut differ = 0;
        if let Some(leading) = &self.leading {
            for other in &leading.others {
                differ |= leading.differ(first, other, raws, count);
            }
        }
        for axis in &self.axes {
            values[axis.dim] = axis.size.of(raws, count);
        }
        for axis in &self.known_axes {
            let size = axis.size.of(raws, count);
            differ |= values[axis.dim] ^ size;
            values[axis.to] = size;
        }
        differ == 0 && (self.shared_axes.is_empty() || self.bind_shared(raws, count, values))
    }

    /// As `bind`, for axes that are several dimensions.
    #[inline(never)]
    fn bind_shared(&self, raws: &[&Raw; ARRAYS], count: usize, values: &mut Values<VALUES>) -> bool {
        self.shared_axes.iter().all(|axis| axis.bind(axis.size.of(raws, count), values))
    }

    /// The numbers that the code takes, eight bytes each, where none is given.
    #[inline]
    pub(crate) fn defaults(&self) -> Option<&[u64]> {
        self.defaults.as_deref()
    }

    /// The numbers that the code takes, eight bytes each.
    pub(crate) fn numbers(&self, given: &impl Fn(usize) -> Option<f64>) -> Option<[u64; NUMBERS]> {
        let mut scalars = [0; NUMBERS];
        for (index, number) in self.numbers.iter().enumerate() {
            let value = given(index).or(number.default)?;
            // What is refused is refused by the general way, with a message.
            if number.range.is_some_and(|range| !within(number.dtype, value, range)) {
                return None;
            }
            scalars[usize::from(number.place)] = element_bits(number.dtype, value)?;
        }
        Some(scalars)
    }

    /// The arguments of the code.
    #[inline]
    pub(crate) fn args(&self, frame: &Frame<VALUES>, scalars: &[u64], shared: *mut u8) -> KernelArgs {
        KernelArgs {
            data: frame.data.as_ptr(),
            sizes: frame.values.from(0).as_ptr(),
            strides: frame.values.from(self.strides).as_ptr(),
            scalars: scalars.as_ptr(),
            shared,
        }
    }

    /// The bytes of shared memory, and the most scratch memory that a phase needs.
    pub(crate) fn memory(&self, frame: &Frame<VALUES>) -> (usize, usize) {
        let scratch = self.scratch.iter().map(|&place| frame.count(place)).max();
        (frame.count(self.shared), scratch.unwrap_or(0))
    }

    /// Where scratch memory starts in [`Little`], if it has room for all memory.
    #[inline]
    pub(crate) fn little(&self, frame: &Frame<VALUES>) -> Option<usize> {
        self.little.or_else(|| {
            let (shared, scratch) = self.memory(frame);
            Little::start(shared, scratch)
        })
    }

    /// The size of every dimension.
    pub(crate) fn sizes(&self, frame: &Frame<VALUES>) -> Sizes {
        self.dims.iter().map(|&place| frame.values[place]).collect()
    }
}

impl Array {
    /// Whether it may be this view, where `count` axes are `..`: dense, of its type, with so many axes; and not empty,
    /// so that sizes multiply without overflow.
    #[inline(always)]
    fn takes(&self, raw: &Raw, count: usize) -> bool {
        raw.kind == self.kind.and_axes(u32::from(self.leading) * count as u32)
    }
}

impl Leading {
    /// Their product in the first array.
    #[inline(always)]
    fn product(&self, first: &Raw, count: usize) -> i64 {
        // Most often there is one.
        if count == 1 { first.size(usize::from(self.at)) } else { self.product_of_many(first, count) }
    }

    #[inline(never)]
    fn product_of_many(&self, first: &Raw, count: usize) -> i64 {
        let at = usize::from(self.at);
        // In an array that is wrong or empty this may overflow; nothing is made of it then.
        (at..at + count).fold(1, |product: i64, axis| product.wrapping_mul(first.size(axis)))
    }

    /// Zero if they are the same in the other array.
    #[inline(always)]
    fn differ(&self, first: &Raw, other: &LeadingAxes, raws: &[&Raw; ARRAYS], count: usize) -> i64 {
        let (at, other_at) = (usize::from(self.at), usize::from(other.at));
        let other = raws[usize::from(other.array) % ARRAYS];
        let mut differ = 0;
        let mut axis = 0;
        while axis < count {
            differ |= first.size(at + axis) ^ other.size(other_at + axis);
            axis += 1;
        }
        differ
    }
}

impl Place {
    /// The size there.
    #[inline(always)]
    fn of(&self, raws: &[&Raw; ARRAYS], count: usize) -> i64 {
        raws[usize::from(self.array) % ARRAYS].size(usize::from(self.at) + usize::from(self.after) * count)
    }
}

impl SharedAxis {
    /// Binds the dimension that is missing, or checks the size.
    fn bind<const VALUES: usize>(&self, size: i64, values: &mut Values<VALUES>) -> bool {
        let mut known = self.known.iter();
        let product = known.try_fold(1i64, |product, &place| product.checked_mul(values[place]));
        let Some(product) = product else { return false };
        if self.missing == NONE {
            return product == size;
        }
        if product <= 0 || size % product != 0 {
            return false;
        }
        values[self.missing] = size / product;
        true
    }
}

impl Computation {
    /// Computes the values that are left, and tests them.
    fn run<const VALUES: usize>(&self, values: &mut Values<VALUES>) -> Fit {
        for step in &self.steps {
            let Some(result) = step.op.apply(values[step.a], values[step.b]) else {
                return Fit::No;
            };
            values[step.to] = result;
        }
        if self.counts.iter().any(|&place| values[place] < 0) {
            return Fit::No;
        }
        match self.guard {
            Some((place, most)) if values[place] > most => Fit::NextVariant,
            Some(_) | None => Fit::Yes,
        }
    }
}

impl Phase {
    /// Units of parallel work.
    #[inline]
    pub(crate) fn extent<const VALUES: usize>(&self, frame: &Frame<VALUES>) -> i64 {
        frame.values[self.extent]
    }

    /// Bytes of scratch memory of a thread.
    #[inline]
    pub(crate) fn scratch<const VALUES: usize>(&self, frame: &Frame<VALUES>) -> usize {
        frame.count(self.scratch)
    }
}

impl<const VALUES: usize> Frame<VALUES> {
    /// A value that was checked not to be negative.
    #[inline]
    fn count(&self, place: u8) -> usize {
        self.values[place] as usize
    }
}

impl Op {
    /// Its value, where [`crate::abi::SizeExpr::eval`] has one.
    #[inline]
    fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Op::Add => a.checked_add(b),
            Op::Sub => a.checked_sub(b),
            Op::Mul => a.checked_mul(b),
            Op::Div => (b > 0 && a % b == 0).then(|| a / b),
            Op::CeilDiv => (b > 0 && a >= 0).then(|| a / b + i64::from(a % b != 0)),
        }
    }
}

/// Whether two arrays, dense and not empty, share an address.
#[inline]
fn overlap(a: &Raw, b: &Raw) -> bool {
    let (from, to) = (a.ptr as usize, b.ptr as usize);
    (to.wrapping_sub(from) < a.bytes as usize) | (from.wrapping_sub(to) < b.bytes as usize)
}
