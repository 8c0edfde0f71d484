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

use crate::abi::{DType, KernelArgs, PhaseFn, SizeExpr, Variant};
use crate::kernel::bits;
use crate::memory::Little;
use crate::plan::{Plan, Slot, UNKNOWN, TensorPlan, VariantPlan};
use crate::shape::Sizes;
use crate::tensor::{DIM_LIMIT, MAX_AXES, Raw, TensorView, TensorViewMut};

/// How many values a call may need.
const VALUES: usize = 32;
/// How many of them are copied in one go.
const FEW_VALUES: usize = 16;
/// How many arrays the code may take.
const ARRAYS: usize = 8;
/// How many numbers the code may take, and one place for all that it does not.
const NUMBERS: usize = 8;
/// Stands for no index.
const NONE: u8 = u8::MAX;

/// The short way to call one variant of a kernel.
#[derive(Debug)]
pub(crate) struct Quick {
    /// The array parameters.
    inputs: Box<[Array]>,
    /// The first result.
    result: Array,
    /// The other ones.
    more_results: Box<[Array]>,
    /// Values that are there twice, copied once the dimensions are bound: from, to.
    copies: Box<[(u8, u8)]>,
    /// What is computed and tested after that, if anything is.
    computation: Option<Computation>,
    /// Where the strides start.
    strides: u8,
    /// Whether there are more than [`FEW_VALUES`].
    many_values: bool,
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
    template: [i64; VALUES],
    /// Place of each dimension.
    dims: Box<[u8]>,
}

/// An array.
#[derive(Debug)]
struct Array {
    dtype: DType,
    /// Its place in [`Frame::data`].
    place: u8,
    /// An input before it with the same axes, or [`NONE`].
    like: u8,
    /// How many axes it has besides `..`.
    rank: u8,
    /// Its axes `..`.
    leading: Option<Leading>,
    /// The axes that are one dimension.
    axes: Box<[Axis]>,
    /// The axes that are several.
    shared_axes: Box<[SharedAxis]>,
}

/// The axes `..` of an array.
#[derive(Debug)]
struct Leading {
    /// How many axes stand before them.
    at: u8,
    /// The place of their product.
    place: u8,
    /// Where they were bound, unless they are here.
    before: Option<Before>,
}

/// The axes `..` of an input before.
#[derive(Clone, Copy, Debug)]
struct Before {
    input: u8,
    /// How many axes stand before them.
    at: u8,
    /// How many axes there are besides.
    rank: u8,
}

/// Where an axis is in the caller's shape.
#[derive(Clone, Copy, Debug)]
struct Index {
    /// Its index if there were no leading axes.
    at: u8,
    /// Whether it comes after them.
    after: bool,
}

/// An axis that is one dimension.
#[derive(Debug)]
struct Axis {
    index: Index,
    /// Place of the dimension.
    place: u8,
    /// Whether the dimension is known, so that this is a second size of it.
    known: bool,
}

/// An axis that is several dimensions.
#[derive(Debug)]
struct SharedAxis {
    index: Index,
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
pub(crate) struct Frame {
    values: [i64; VALUES],
    data: [*mut u8; ARRAYS],
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

impl Quick {
    /// Works out the short way, if there is one.
    pub(crate) fn new(
        plan: &Plan,
        variant: &Variant,
        flat: &VariantPlan,
        functions: &[PhaseFn],
    ) -> Option<Quick> {
        Builder::new(plan).build(variant, flat, functions)
    }

    /// A frame to lay out.
    #[inline]
    pub(crate) fn frame(&self) -> Frame {
        let mut values = [0; VALUES];
        values[..FEW_VALUES].copy_from_slice(&self.template[..FEW_VALUES]);
        if self.many_values {
            values = self.template;
        }
        Frame { values, data: [std::ptr::null_mut(); ARRAYS] }
    }

    /// Checks and binds the arrays, and fills the frame. There are as many arrays as the kernel takes.
    #[inline(always)]
    pub(crate) fn lay_out(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        frame: &mut Frame,
    ) -> Fit {
        let Some((result, more_results)) = outputs.split_first() else { return Fit::No };
        let mut overlapping = false;
        for (array, view) in self.inputs.iter().zip(inputs) {
            if !array.bind(&view.raw, inputs, frame) {
                return Fit::No;
            }
            overlapping |= overlap(&view.raw, &result.raw);
        }
        if !self.result.bind(&result.raw, inputs, frame) {
            return Fit::No;
        }
        if !more_results.is_empty() {
            match self.lay_out_more(inputs, outputs, frame) {
                Some(more) => overlapping |= more,
                None => return Fit::No,
            }
        }
        for &(from, to) in &self.copies {
            frame.values[value(to)] = frame.values[value(from)];
        }
        match &self.computation {
            Some(computation) => match computation.run(&mut frame.values) {
                Fit::Yes if overlapping => Fit::Overlapping,
                fit => fit,
            },
            None if overlapping => Fit::Overlapping,
            None => Fit::Yes,
        }
    }

    /// The results after the first; whether one overlaps another array, or `None` if they don't fit.
    fn lay_out_more(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        frame: &mut Frame,
    ) -> Option<bool> {
        let mut overlapping = false;
        for (index, (array, view)) in self.more_results.iter().zip(&outputs[1..]).enumerate() {
            if !array.bind(&view.raw, inputs, frame) {
                return None;
            }
            overlapping |= inputs.iter().any(|other| overlap(&view.raw, &other.raw));
            overlapping |= outputs[..=index].iter().any(|other| overlap(&view.raw, &other.raw));
        }
        Some(overlapping)
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
    pub(crate) fn args(&self, frame: &Frame, scalars: &[u64], shared: *mut u8) -> KernelArgs {
        KernelArgs {
            data: frame.data.as_ptr(),
            sizes: frame.values.as_ptr(),
            strides: frame.values[value(self.strides)..].as_ptr(),
            scalars: scalars.as_ptr(),
            shared,
        }
    }

    /// The bytes of shared memory, and the most scratch memory that a phase needs.
    pub(crate) fn memory(&self, frame: &Frame) -> (usize, usize) {
        let scratch = self.scratch.iter().map(|&place| frame.count(place)).max();
        (frame.count(self.shared), scratch.unwrap_or(0))
    }

    /// Where scratch memory starts in [`Little`], if it has room for all memory.
    #[inline]
    pub(crate) fn little(&self, frame: &Frame) -> Option<usize> {
        self.little.or_else(|| {
            let (shared, scratch) = self.memory(frame);
            Little::start(shared, scratch)
        })
    }

    /// The size of every dimension.
    pub(crate) fn sizes(&self, frame: &Frame) -> Sizes {
        self.dims.iter().map(|&place| frame.values[value(place)]).collect()
    }
}

impl Array {
    /// Checks the array and binds its dimensions, or checks them.
    #[inline(always)]
    fn bind(&self, raw: &Raw, inputs: &[TensorView<'_>], frame: &mut Frame) -> bool {
        // The sizes of an array that is not empty multiply without overflow.
        if !raw.is_dense() || raw.dtype != self.dtype || raw.bytes == 0 {
            return false;
        }
        frame.data[usize::from(self.place) % ARRAYS] = raw.ptr;
        match inputs.get(usize::from(self.like)) {
            Some(like) => raw.same_shape(&like.raw),
            None => self.bind_axes(raw, inputs, &mut frame.values),
        }
    }

    #[inline(never)]
    fn bind_axes(&self, raw: &Raw, inputs: &[TensorView<'_>], values: &mut [i64; VALUES]) -> bool {
        let Some(count) = raw.rank().checked_sub(usize::from(self.rank)) else { return false };
        match &self.leading {
            None if count > 0 => return false,
            None => {}
            Some(leading) => {
                let sizes = (0..count).map(|index| raw.size(usize::from(leading.at) + index));
                if let Some(before) = leading.before {
                    let raw = &inputs[usize::from(before.input)].raw;
                    let others = (0..count).map(|index| raw.size(usize::from(before.at) + index));
                    if raw.rank() != usize::from(before.rank) + count || !sizes.eq(others) {
                        return false;
                    }
                } else {
                    let product = sizes.fold(1, |product: i64, size| product.wrapping_mul(size));
                    if product >= DIM_LIMIT {
                        return false;
                    }
                    values[value(leading.place)] = product;
                }
            }
        }
        let mut differ = 0;
        for axis in &self.axes {
            let size = axis.index.size(raw, count);
            let known = &mut values[value(axis.place)];
            differ |= if axis.known { *known ^ size } else { 0 };
            *known = size;
        }
        differ == 0 && self.shared_axes.iter().all(|axis| axis.bind(axis.index.size(raw, count), values))
    }
}

impl Index {
    /// The size of the axis in an array with so many leading axes.
    #[inline]
    fn size(self, raw: &Raw, leading: usize) -> i64 {
        raw.size(usize::from(self.at) + if self.after { leading } else { 0 })
    }
}

impl SharedAxis {
    /// Binds the dimension that is missing, or checks the size.
    fn bind(&self, size: i64, values: &mut [i64; VALUES]) -> bool {
        let mut known = self.known.iter();
        let product = known.try_fold(1i64, |product, &place| product.checked_mul(values[value(place)]));
        let Some(product) = product else { return false };
        if self.missing == NONE {
            return product == size;
        }
        if product <= 0 || size % product != 0 {
            return false;
        }
        values[value(self.missing)] = size / product;
        true
    }
}

impl Computation {
    /// Computes the values that are left, and tests them.
    fn run(&self, values: &mut [i64; VALUES]) -> Fit {
        for step in &self.steps {
            let Some(result) = step.op.apply(values[value(step.a)], values[value(step.b)]) else {
                return Fit::No;
            };
            values[value(step.to)] = result;
        }
        if self.counts.iter().any(|&place| values[value(place)] < 0) {
            return Fit::No;
        }
        match self.guard {
            Some((place, most)) if values[value(place)] > most => Fit::NextVariant,
            Some(_) | None => Fit::Yes,
        }
    }
}

impl Phase {
    /// Units of parallel work.
    #[inline]
    pub(crate) fn extent(&self, frame: &Frame) -> i64 {
        frame.values[value(self.extent)]
    }

    /// Bytes of scratch memory of a thread.
    #[inline]
    pub(crate) fn scratch(&self, frame: &Frame) -> usize {
        frame.count(self.scratch)
    }
}

impl Frame {
    /// A value that was checked not to be negative.
    #[inline]
    fn count(&self, place: u8) -> usize {
        self.values[value(place)] as usize
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

/// The index of a value. All places are below [`VALUES`]; this says so in a form that needs no test.
#[inline]
fn value(place: u8) -> usize {
    debug_assert!(usize::from(place) < VALUES);
    usize::from(place) % VALUES
}

/// Whether two arrays, dense and not empty, share an address.
#[inline]
fn overlap(a: &Raw, b: &Raw) -> bool {
    let (from, to) = (a.ptr as usize, b.ptr as usize);
    (to.wrapping_sub(from) < a.bytes as usize) | (from.wrapping_sub(to) < b.bytes as usize)
}

/// Works out the short way.
struct Builder<'p> {
    plan: &'p Plan,
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
    fn new(plan: &'p Plan) -> Builder<'p> {
        Builder {
            plan,
            values: Vec::new(),
            computed: Vec::new(),
            dims: vec![None; plan.fixed.len()],
            copies: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// `None` where a call needs more room than there is, or binds dimensions in a way that there are no means for.
    fn build(mut self, variant: &Variant, flat: &VariantPlan, functions: &[PhaseFn]) -> Option<Quick> {
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
        let mut known: Vec<bool> = plan.fixed.iter().map(|&size| size != UNKNOWN).collect();
        let mut arrays: Vec<Array> = Vec::new();
        for index in 0..plan.slots.len() {
            let array = self.array(index, flat, &arrays, &mut known)?;
            arrays.push(array);
        }
        let more_results = arrays.split_off((plan.inputs + 1).min(arrays.len()));
        let result = arrays.pop().filter(|_| plan.slots.len() > plan.inputs && !known.contains(&false))?;
        let mut scratch: Vec<u8> = phases.iter().map(|phase| phase.scratch).collect();
        scratch.sort_unstable();
        scratch.dedup();
        let constant = |place: u8| usize::try_from(self.values[usize::from(place)]?).ok();
        let most = scratch.iter().try_fold(0, |most, &place| Some(constant(place)?.max(most)));
        let little = constant(shared).zip(most).and_then(|(shared, scratch)| Little::start(shared, scratch));
        let mut template = [0; VALUES];
        for (to, value) in template.iter_mut().zip(&self.values) {
            *to = value.unwrap_or(0);
        }
        let nothing = self.steps.is_empty() && counts.is_empty() && guard.is_none();
        let computation = Computation { steps: self.steps.into(), counts: counts.into(), guard };
        Some(Quick {
            inputs: arrays.into(),
            result,
            more_results: more_results.into(),
            copies: self.copies.into(),
            computation: if nothing { None } else { Some(computation) },
            strides: variant.sizes.len() as u8,
            many_values: self.values.len() > FEW_VALUES,
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
        (place < VALUES).then_some(place as u8)
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

    /// An array; `before` are those before it, `known` the dimensions that are known by them, and then by it too.
    fn array(
        &self,
        index: usize,
        flat: &VariantPlan,
        before: &[Array],
        known: &mut [bool],
    ) -> Option<Array> {
        let plan = self.plan;
        let slot = &plan.slots[index];
        // Arrays that the code does not take go to one place behind all others.
        let mut places = (0..flat.tensors.len()).filter(|&at| flat.tensors[at].slot as usize == index);
        let place = places.next().unwrap_or(flat.tensors.len());
        if places.next().is_some() || place >= ARRAYS {
            return None;
        }
        let same = |other: &Slot| plan.axes_of(other).eq(plan.axes_of(slot));
        let like = plan.slots[..index.min(plan.inputs)].iter().position(same);
        let mut leading = None;
        let (mut axes, mut shared_axes) = (Vec::new(), Vec::new());
        for (at, dims) in plan.axes_of(slot).enumerate() {
            let at = u8::try_from(at).ok().filter(|&at| usize::from(at) < MAX_AXES)?;
            // Counted without `..`, which is one of the declared axes.
            let index = Index { at: at - u8::from(leading.is_some()), after: leading.is_some() };
            if slot.leading == Some(u32::from(at)) {
                let place = self.dims[dims[0] as usize]?;
                let bound = std::mem::replace(&mut known[dims[0] as usize], true);
                let before = &before[..before.len().min(plan.inputs)];
                let before = if bound { Some(leading_before(before)?) } else { None };
                leading = Some(Leading { at, place, before });
            } else if let [dim] = dims {
                let known = std::mem::replace(&mut known[*dim as usize], true);
                axes.push(Axis { index, place: self.dims[*dim as usize]?, known });
            } else {
                shared_axes.push((index, dims));
            }
        }
        let shared_axis = |(index, dims): (Index, &[u32])| {
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
            Some(SharedAxis { index, known: told, missing })
        };
        let shared_axes: Vec<SharedAxis> = shared_axes.into_iter().map(shared_axis).collect::<Option<_>>()?;
        Some(Array {
            dtype: slot.dtype,
            place: place as u8,
            like: like.map_or(NONE, |like| u8::try_from(like).unwrap_or(NONE)),
            rank: (axes.len() + shared_axes.len()) as u8,
            leading,
            axes: axes.into(),
            shared_axes: shared_axes.into(),
        })
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

/// The first of these inputs that has the axes `..`.
fn leading_before(inputs: &[Array]) -> Option<Before> {
    inputs.iter().enumerate().find_map(|(input, array)| {
        let at = array.leading.as_ref()?.at;
        Some(Before { input: input as u8, at, rank: array.rank })
    })
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
