//! The short way of a call: what binding, laying out and computing sizes come to where all arrays are given and
//! dense, worked out once when the kernel is made. A call then is a few tight loops over two arrays on the stack.
//!
//! Needs a checked [`Plan`]. Leaves a [`Frame`] filled as the general way (`shape`, `layout`) fills its own, or gives
//! up, having changed nothing outside the frame. It makes no messages and decides no doubtful case: arrays that are
//! left out, empty, strided or wrong, sizes that conflict, results that meet other arrays without leave, all these it
//! hands to the general way, which calls or says what is wrong.
//!
//! All numbers that a call needs have *places* in [`Frame::values`]: the sizes that the code takes, its strides, then
//! whatever else is needed to compute them. Constants are put there once, in the template of all calls.

use crate::abi::{Abi, DType, KernelArgs, PhaseFn, SizeExpr, Variant};
use crate::kernel::bits;
use crate::memory::Little;
use crate::plan::{Plan, TensorPlan, UNKNOWN, VariantPlan};
use crate::shape::Sizes;
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

/// As in [`SizeExpr`].
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
    /// Its place in [`Frame::scalars`].
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
    /// Works out the short way, if there is one.
    fn new(
        plan: &Plan,
        variant: &Variant,
        flat: &VariantPlan,
        functions: &[PhaseFn],
    ) -> Option<Quick<VALUES>> {
        Builder::new(plan, VALUES).build(variant, flat, functions)
    }

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
            scalars[usize::from(number.place)] = bits(number.dtype, given(index).or(number.default)?)?;
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
    /// Its value, where [`SizeExpr::eval`] has one.
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

/// The short way of each variant, up to the first that has none.
pub(crate) fn all<const VALUES: usize>(
    plan: &Plan,
    abi: &Abi,
    functions: &[Vec<PhaseFn>],
) -> Vec<Quick<VALUES>> {
    let variants = abi.variants.iter().zip(&plan.variants).zip(functions);
    variants.map_while(|((variant, flat), functions)| Quick::new(plan, variant, flat, functions)).collect()
}

/// Works out the short way.
struct Builder<'p> {
    plan: &'p Plan,
    /// How many values there may be.
    room: usize,
    /// The value at each place, where it is a constant.
    values: Vec<Option<i64>>,
    /// The other sizes that have a place.
    computed: Vec<(SizeExpr, u8)>,
    /// Place of each dimension.
    dims: Vec<Option<u8>>,
    copies: Vec<(u8, u8)>,
    steps: Vec<Step>,
}

impl<'p> Builder<'p> {
    fn new(plan: &'p Plan, room: usize) -> Builder<'p> {
        Builder {
            plan,
            room,
            values: Vec::new(),
            computed: Vec::new(),
            dims: vec![None; plan.fixed.len()],
            copies: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// `None` where a call needs more room than there is, or binds dimensions in a way that there are no means for.
    fn build<const VALUES: usize>(
        mut self,
        variant: &Variant,
        flat: &VariantPlan,
        functions: &[PhaseFn],
    ) -> Option<Quick<VALUES>> {
        let plan = self.plan;
        if !plan.computed.is_empty() || flat.tensors.len() > ARRAYS || flat.numbers.len() >= NUMBERS {
            return None;
        }
        self.place_what_the_code_takes(variant, flat)?;
        let mut counts = Vec::new();
        let shared = self.count(&variant.shared, &mut counts)?;
        let mut phases = Vec::new();
        for (phase, &function) in variant.phases.iter().zip(functions) {
            let extent = self.count(&phase.extent, &mut counts)?;
            let scratch = self.count(&phase.scratch, &mut counts)?;
            phases.push(Phase { function, extent, scratch });
        }
        let guard = match &variant.guard {
            Some((size, most)) => Some((self.compute(size)?, *most)),
            None => None,
        };
        let arrays = (0..plan.slots.len()).map(|index| self.array(index, flat));
        let mut inputs: Vec<Array> = arrays.collect::<Option<_>>()?;
        let outputs = inputs.split_off(plan.inputs);
        let leading = self.leading()?;
        let (axes, known_axes, shared_axes) = self.axes()?;
        let mut scratch: Vec<u8> = phases.iter().map(|phase| phase.scratch).collect();
        scratch.sort_unstable();
        scratch.dedup();
        let constant = |place: u8| usize::try_from(self.values[usize::from(place)]?).ok();
        let most = scratch.iter().try_fold(0, |most, &place| Some(constant(place)?.max(most)));
        let little = constant(shared).zip(most).and_then(|(shared, scratch)| Little::start(shared, scratch));
        let mut template = Values([0; VALUES]);
        for (to, value) in template.0.iter_mut().zip(&self.values) {
            *to = value.unwrap_or(0);
        }
        let nothing = self.steps.is_empty() && counts.is_empty() && guard.is_none();
        let computation = Computation { steps: self.steps.into(), counts: counts.into(), guard };
        Some(Quick {
            inputs: inputs.into(),
            outputs: outputs.into(),
            leading,
            axes,
            known_axes,
            shared_axes,
            copies: self.copies.into(),
            computation: if nothing { None } else { Some(computation) },
            // Where there are none, nothing is read there.
            strides: if self.values.len() > variant.sizes.len() { variant.sizes.len() as u8 } else { 0 },
            shared,
            scratch: scratch.into(),
            little,
            defaults: defaults(plan, flat),
            numbers: numbers(plan, flat)?,
            phases: phases.into(),
            template,
            dims: self.dims.into_iter().collect::<Option<_>>()?,
        })
    }

    /// Gives the sizes and strides that the code takes the first places, and all dimensions one.
    fn place_what_the_code_takes(&mut self, variant: &Variant, flat: &VariantPlan) -> Option<()> {
        let strides = flat.tensors.iter().flat_map(strides_of);
        let taken: Vec<SizeExpr> = variant.sizes.iter().cloned().chain(strides).collect();
        for size in &taken {
            let place = self.add(None)?;
            if let SizeExpr::Dim(dim) = size {
                self.dims[*dim as usize].get_or_insert(place);
            }
        }
        for dim in 0..self.dims.len() {
            let place = match self.dims[dim] {
                Some(place) => place,
                None => self.add(None)?,
            };
            let fixed = Some(self.plan.fixed[dim]).filter(|&fixed| fixed != UNKNOWN);
            self.values[usize::from(place)] = fixed;
            self.dims[dim] = Some(place);
        }
        for (place, size) in taken.iter().enumerate() {
            self.compute_to(size, place as u8)?;
        }
        Some(())
    }

    /// A new place.
    fn add(&mut self, value: Option<i64>) -> Option<u8> {
        let place = self.values.len();
        self.values.push(value);
        (place < self.room).then_some(place as u8)
    }

    /// The place of a size. If it is computed, it is computed once.
    fn compute(&mut self, size: &SizeExpr) -> Option<u8> {
        if let SizeExpr::Dim(dim) = size {
            return self.dims[*dim as usize];
        }
        if let Some((_, place)) = self.computed.iter().find(|(computed, _)| computed == size) {
            return Some(*place);
        }
        let place = self.add(None)?;
        self.compute_to(size, place)?;
        Some(place)
    }

    /// Has a size at this place.
    fn compute_to(&mut self, size: &SizeExpr, to: u8) -> Option<()> {
        let (op, a, b) = match size {
            SizeExpr::Const(value) => {
                self.values[usize::from(to)] = Some(*value);
                self.computed.push((size.clone(), to));
                return Some(());
            }
            SizeExpr::Dim(dim) => {
                let from = self.dims[*dim as usize]?;
                match self.values[usize::from(from)] {
                    Some(fixed) => self.values[usize::from(to)] = Some(fixed),
                    None if from == to => {}
                    None => self.copies.push((from, to)),
                }
                return Some(());
            }
            SizeExpr::Add(a, b) => (Op::Add, a, b),
            SizeExpr::Sub(a, b) => (Op::Sub, a, b),
            SizeExpr::Mul(a, b) => (Op::Mul, a, b),
            SizeExpr::Div(a, b) => (Op::Div, a, b),
            SizeExpr::CeilDiv(a, b) => (Op::CeilDiv, a, b),
        };
        let (a, b) = (self.compute(a)?, self.compute(b)?);
        self.steps.push(Step { op, a, b, to });
        self.computed.push((size.clone(), to));
        Some(())
    }

    /// As `compute`, for a number of bytes or units; remembered in `counts` if it could be negative.
    fn count(&mut self, size: &SizeExpr, counts: &mut Vec<u8>) -> Option<u8> {
        let place = self.compute(size)?;
        if !matches!(size, SizeExpr::Dim(_) | SizeExpr::Const(0..)) && !counts.contains(&place) {
            counts.push(place);
        }
        Some(place)
    }

    /// An array.
    fn array(&self, index: usize, flat: &VariantPlan) -> Option<Array> {
        let slot = &self.plan.slots[index];
        // Arrays that the code does not take go to one place behind all others.
        let mut places = (0..flat.tensors.len()).filter(|&at| flat.tensors[at].slot as usize == index);
        let place = places.next().unwrap_or(flat.tensors.len());
        let axes = slot.axes.len();
        if places.next().is_some() || place.max(index) >= ARRAYS || axes > MAX_AXES {
            return None;
        }
        let leading = u8::from(slot.leading.is_some());
        let kind = Kind::plain(slot.dtype, axes as u8 - leading);
        Some(Array { kind, leading, place: place as u8 })
    }

    /// The axes `..`, if there are any. Only results of a kernel that has them in no parameter can't be told.
    fn leading(&self) -> Option<Option<Leading>> {
        let Some(dim) = self.plan.leading else { return Some(None) };
        let slots = self.plan.slots.iter().enumerate();
        let all = slots.filter_map(|(array, slot)| {
            let at = slot.leading?;
            Some(LeadingAxes { array: array as u8, at: at as u8 })
        });
        let mut others: Vec<LeadingAxes> = all.collect();
        if others.is_empty() || usize::from(others[0].array) > self.plan.inputs {
            return None;
        }
        let first = others.remove(0);
        let rank = self.plan.slots[usize::from(first.array)].axes.len() as u8 - 1;
        let place = self.dims[dim as usize]?;
        let others = others.into();
        Some(Some(Leading { array: first.array, at: first.at, rank, place, others }))
    }

    /// All axes but `..`, in the order in which they tell all dimensions; `None` if they don't. Takes over copies.
    fn axes(&mut self) -> Option<(Box<[Axis]>, Box<[Axis]>, Box<[SharedAxis]>)> {
        let plan = self.plan;
        let mut known: Vec<bool> = plan.fixed.iter().map(|&size| size != UNKNOWN).collect();
        if let Some(leading) = plan.leading {
            known[leading as usize] = true;
        }
        let (mut first, mut second, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for (array, slot) in plan.slots.iter().enumerate() {
            for (at, dims) in plan.axes_of(slot).enumerate() {
                if slot.leading == Some(at as u32) {
                    continue;
                }
                let after = u8::from(slot.leading.is_some_and(|leading| at > leading as usize));
                // Counted without `..`, which is one of the declared axes.
                let size = Place { array: array as u8, at: at as u8 - after, after };
                let [dim] = dims else {
                    shared.push((size, dims));
                    continue;
                };
                let place = self.dims[*dim as usize]?;
                if !std::mem::replace(&mut known[*dim as usize], true) {
                    first.push(Axis { size, dim: place, to: place });
                    continue;
                }
                let copy = self.copies.iter().position(|(from, _)| *from == place);
                let to = copy.map_or(place, |copy| self.copies.swap_remove(copy).1);
                second.push(Axis { size, dim: place, to });
            }
        }
        let shared_axis = |(size, dims): (Place, &[u32])| {
            let (told, rest): (Vec<u32>, Vec<u32>) = dims.iter().partition(|&&dim| known[dim as usize]);
            let missing = match rest[..] {
                [] => NONE,
                [dim] => {
                    known[dim as usize] = true;
                    self.dims[dim as usize]?
                }
                _ => return None,
            };
            let told = told.iter().map(|&dim| self.dims[dim as usize]).collect::<Option<_>>()?;
            Some(SharedAxis { size, known: told, missing })
        };
        let shared = shared.into_iter().map(shared_axis).collect::<Option<_>>()?;
        if known.contains(&false) { None } else { Some((first.into(), second.into(), shared)) }
    }
}

/// The strides of the groups of a dense array.
fn strides_of(tensor: &TensorPlan) -> Vec<SizeExpr> {
    let mut strides = vec![SizeExpr::Const(1); tensor.groups.len()];
    let mut inner: Option<SizeExpr> = None;
    for (stride, group) in strides.iter_mut().zip(&tensor.groups).rev() {
        if let Some(inner) = &inner {
            *stride = inner.clone();
        }
        for &dim in &tensor.dims[group.start as usize..group.end as usize] {
            let size = SizeExpr::Dim(dim);
            inner = Some(match inner {
                None => size,
                Some(inner) => SizeExpr::Mul(Box::new(inner), Box::new(size)),
            });
        }
    }
    strides
}

/// The number parameters; `None` where the code takes one twice.
fn numbers(plan: &Plan, flat: &VariantPlan) -> Option<Box<[Number]>> {
    let number = |(index, number): (usize, &crate::plan::Number)| {
        let mut places = (0..flat.numbers.len()).filter(|&at| flat.numbers[at] as usize == index);
        let place = places.next().unwrap_or(NUMBERS - 1) as u8;
        let once = places.next().is_none();
        once.then_some(Number { dtype: number.dtype, default: number.default, place })
    };
    plan.numbers.iter().enumerate().map(number).collect()
}

/// The numbers that the code takes where none is given; `None` where one has no default that its type can hold.
fn defaults(plan: &Plan, flat: &VariantPlan) -> Option<Box<[u64]>> {
    let all = plan.numbers.iter().map(|number| bits(number.dtype, number.default?));
    let all: Vec<u64> = all.collect::<Option<_>>()?;
    Some(flat.numbers.iter().map(|&number| all[number as usize]).collect())
}
