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
use crate::kernel::{Numbers, bits};
use crate::plan::{Plan, Slot, UNKNOWN, VariantPlan};
use crate::shape::Sizes;
use crate::tensor::{DIM_LIMIT, Raw, TensorView, TensorViewMut};
use std::ops::Range;

/// How many numbers a call may need.
const VALUES: usize = 24;
/// How many arrays the code may take.
const ARRAYS: usize = 8;
/// How many numbers the code may take, and one place for all that it does not.
const NUMBERS: usize = 8;
/// Stands for no index.
const NONE: u8 = u8::MAX;

/// The short way to call one variant of a kernel.
#[derive(Debug)]
pub(crate) struct Quick {
    /// What [`Frame::values`] starts as.
    template: [i64; VALUES],
    /// The array parameters.
    inputs: Box<[Array]>,
    /// The results.
    outputs: Box<[Array]>,
    /// The axes of all arrays, without `..`.
    axes: Box<[Axis]>,
    /// Places of dimensions that share an axis; [`Parts::known`] are ranges of this.
    shared_axes: Box<[u8]>,
    /// What is computed once the dimensions are bound, in order.
    steps: Box<[Step]>,
    /// Places of what may not be negative.
    counts: Box<[u8]>,
    /// The variant is for calls where the value at this place is at most this number.
    guard: Option<(u8, i64)>,
    /// Where the strides start.
    strides: u8,
    /// Number parameters, in order.
    numbers: Box<[Number]>,
    /// The numbers that the code takes where none is given, if all have a default.
    defaults: Option<Box<[u64]>>,
    /// Place of the bytes of shared memory.
    shared: u8,
    /// Places of the bytes of scratch memory, each once.
    scratch: Box<[u8]>,
    /// The phases.
    pub(crate) phases: Box<[Phase]>,
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
    leading: Option<Leading>,
    /// Its part of [`Quick::axes`].
    axes: Range<u8>,
}

/// The axes `..` of an array.
#[derive(Debug)]
struct Leading {
    /// How many axes stand before them.
    at: u8,
    /// The place of their product.
    place: u8,
    /// Where they were bound, unless they are here.
    first: Option<Before>,
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

/// An axis that is not `..`.
#[derive(Debug)]
struct Axis {
    /// Its index in an array without leading axes.
    at: u8,
    /// Whether it comes after `..`.
    after: bool,
    kind: AxisKind,
}

/// What an axis says of the dimensions.
#[derive(Debug)]
enum AxisKind {
    /// The size of the dimension at this place, which no axis before it tells.
    Bind(u8),
    /// A dimension that is known.
    Check(u8),
    /// Several dimensions, all but at most one of them known.
    Parts(Parts),
}

/// Dimensions that share an axis.
#[derive(Debug)]
struct Parts {
    /// Those that are known: a range of [`Quick::shared_axes`].
    known: Range<u8>,
    /// The place of the one that is not, or [`NONE`].
    missing: u8,
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
    /// The first operand.
    Copy,
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
        Frame { values: self.template, data: [std::ptr::null_mut(); ARRAYS] }
    }

    /// Checks and binds the arrays, and fills the frame. There are as many arrays as the kernel takes.
    pub(crate) fn lay_out(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        frame: &mut Frame,
    ) -> Fit {
        let Frame { values, data } = frame;
        for (array, view) in self.inputs.iter().zip(inputs) {
            let raw = &view.raw;
            if !array.takes(raw) {
                return Fit::No;
            }
            let fits = match inputs.get(usize::from(array.like)) {
                Some(like) => same(raw.shape(), like.raw.shape()),
                None => self.bind_axes(array, raw.shape(), inputs, values),
            };
            if !fits {
                return Fit::No;
            }
            data[usize::from(array.place)] = raw.ptr;
        }
        let mut overlapping = false;
        for (index, (array, view)) in self.outputs.iter().zip(outputs).enumerate() {
            let raw = &view.raw;
            if !array.takes(raw) {
                return Fit::No;
            }
            let fits = match inputs.get(usize::from(array.like)) {
                Some(like) => same(raw.shape(), like.raw.shape()),
                None => self.bind_result(array, raw.shape(), inputs, values),
            };
            if !fits {
                return Fit::No;
            }
            data[usize::from(array.place)] = raw.ptr;
            overlapping |= inputs.iter().any(|other| overlap(raw, &other.raw));
            overlapping |= outputs[..index].iter().any(|other| overlap(raw, &other.raw));
        }
        for step in &self.steps {
            let (a, b) = (values[usize::from(step.a)], values[usize::from(step.b)]);
            let Some(value) = step.op.apply(a, b) else { return Fit::No };
            values[usize::from(step.to)] = value;
        }
        if self.counts.iter().any(|&place| values[usize::from(place)] < 0) {
            return Fit::No;
        }
        match self.guard {
            Some((place, most)) if values[usize::from(place)] > most => Fit::NextVariant,
            Some(_) | None if overlapping => Fit::Overlapping,
            Some(_) | None => Fit::Yes,
        }
    }

    /// As `bind_axes`, for a result that has not the axes of an input.
    #[inline(never)]
    fn bind_result(
        &self,
        array: &Array,
        shape: &[i64],
        inputs: &[TensorView<'_>],
        values: &mut [i64; VALUES],
    ) -> bool {
        self.bind_axes(array, shape, inputs, values)
    }

    /// Binds or checks the dimensions of an array.
    #[inline]
    fn bind_axes(
        &self,
        array: &Array,
        shape: &[i64],
        inputs: &[TensorView<'_>],
        values: &mut [i64; VALUES],
    ) -> bool {
        let Some(count) = shape.len().checked_sub(usize::from(array.rank)) else { return false };
        let extra = match &array.leading {
            None if count != 0 => return false,
            None => 0,
            Some(own) => {
                let at = usize::from(own.at);
                let Some(sizes) = shape.get(at..at + count) else { return false };
                match own.first {
                    None => {
                        let product = sizes.iter().fold(1, |product: i64, &size| product.wrapping_mul(size));
                        if product >= DIM_LIMIT {
                            return false;
                        }
                        values[usize::from(own.place)] = product;
                    }
                    Some(Before { input, at, rank }) => {
                        let shape = inputs[usize::from(input)].raw.shape();
                        let same_count = shape.len() == count + usize::from(rank);
                        if !same_count || !same(sizes, &shape[usize::from(at)..usize::from(at) + count]) {
                            return false;
                        }
                    }
                }
                count
            }
        };
        let axes = &self.axes[usize::from(array.axes.start)..usize::from(array.axes.end)];
        axes.iter().all(|axis| {
            let at = usize::from(axis.at) + if axis.after { extra } else { 0 };
            let Some(&size) = shape.get(at) else { return false };
            match &axis.kind {
                AxisKind::Bind(place) => {
                    values[usize::from(*place)] = size;
                    true
                }
                AxisKind::Check(place) => values[usize::from(*place)] == size,
                AxisKind::Parts(parts) => self.bind_parts(parts, size, values),
            }
        })
    }

    fn bind_parts(&self, parts: &Parts, size: i64, values: &mut [i64; VALUES]) -> bool {
        let mut known = self.shared_axes[usize::from(parts.known.start)..usize::from(parts.known.end)].iter();
        let product = known.try_fold(1i64, |product, &place| product.checked_mul(values[usize::from(place)]));
        let Some(product) = product else { return false };
        if parts.missing == NONE {
            return product == size;
        }
        if product <= 0 || size % product != 0 {
            return false;
        }
        values[usize::from(parts.missing)] = size / product;
        true
    }

    /// The numbers that the code takes, eight bytes each, where none is given.
    #[inline]
    pub(crate) fn defaults(&self) -> Option<&[u64]> {
        self.defaults.as_deref()
    }

    /// The numbers that the code takes, eight bytes each.
    pub(crate) fn numbers(&self, numbers: Numbers<'_>) -> Option<[u64; NUMBERS]> {
        let mut scalars = [0; NUMBERS];
        for (index, number) in self.numbers.iter().enumerate() {
            let value = numbers.get(index).or(number.default)?;
            scalars[usize::from(number.place)] = bits(number.dtype, value)?;
        }
        Some(scalars)
    }

    /// The arguments of the code.
    #[inline]
    pub(crate) fn args(&self, frame: &Frame, scalars: &[u64], shared: *mut u8) -> KernelArgs {
        KernelArgs {
            data: frame.data.as_ptr(),
            sizes: frame.values.as_ptr(),
            strides: frame.values[usize::from(self.strides)..].as_ptr(),
            scalars: scalars.as_ptr(),
            shared,
        }
    }

    /// The bytes of shared memory, and the most scratch memory that a phase needs.
    #[inline]
    pub(crate) fn memory(&self, frame: &Frame) -> (usize, usize) {
        let scratch = self.scratch.iter().map(|&place| frame.count(place)).max();
        (frame.count(self.shared), scratch.unwrap_or(0))
    }

    /// The size of every dimension.
    pub(crate) fn sizes(&self, frame: &Frame) -> Sizes {
        self.dims.iter().map(|&place| frame.values[usize::from(place)]).collect()
    }
}

impl Array {
    /// Whether it may be this view: dense, of its type, and not empty, so that sizes multiply without overflow.
    #[inline]
    fn takes(&self, raw: &Raw) -> bool {
        raw.is_dense() && raw.dtype == self.dtype && raw.bytes != 0
    }
}

impl Phase {
    /// Units of parallel work.
    #[inline]
    pub(crate) fn extent(&self, frame: &Frame) -> i64 {
        frame.values[usize::from(self.extent)]
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
        self.values[usize::from(place)] as usize
    }
}

impl Op {
    /// Its value, where [`SizeExpr::eval`] has one.
    #[inline]
    fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Op::Copy => Some(a),
            Op::Add => a.checked_add(b),
            Op::Sub => a.checked_sub(b),
            Op::Mul => a.checked_mul(b),
            Op::Div => (b > 0 && a % b == 0).then(|| a / b),
            Op::CeilDiv => (b > 0 && a >= 0).then(|| a / b + i64::from(a % b != 0)),
        }
    }
}

/// Whether two shapes are the same. They are short, so this is faster than comparing memory.
#[inline]
fn same(a: &[i64], b: &[i64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
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
    /// The sizes that have a place and are known there.
    known: Vec<(SizeExpr, u8)>,
    /// Place of each dimension.
    dims: Vec<Option<u8>>,
    steps: Vec<Step>,
    axes: Vec<Axis>,
    shared_axes: Vec<u8>,
}

impl<'p> Builder<'p> {
    fn new(plan: &'p Plan) -> Builder<'p> {
        Builder {
            plan,
            values: Vec::new(),
            known: Vec::new(),
            dims: vec![None; plan.fixed.len()],
            steps: Vec::new(),
            axes: Vec::new(),
            shared_axes: Vec::new(),
        }
    }

    /// `None` where a call needs more than the arrays hold, or binds dimensions in a way that there are no means for
    /// here.
    fn build(mut self, variant: &Variant, flat: &VariantPlan, functions: &[PhaseFn]) -> Option<Quick> {
        let plan = self.plan;
        if !plan.computed.is_empty() || flat.tensors.len() > ARRAYS || flat.numbers.len() >= NUMBERS {
            return None;
        }
        // First the places that the code looks at, then what they are computed from.
        let strides = flat.tensors.iter().flat_map(|tensor| {
            let groups = tensor.groups.iter().rev().scan(SizeExpr::Const(1), |inner, group| {
                let stride = inner.clone();
                for &dim in &tensor.dims[group.start as usize..group.end as usize] {
                    let size = SizeExpr::Dim(dim);
                    *inner = match std::mem::replace(inner, SizeExpr::Const(1)) {
                        SizeExpr::Const(1) => size,
                        inner => SizeExpr::Mul(Box::new(inner), Box::new(size)),
                    };
                }
                Some(stride)
            });
            groups.collect::<Vec<_>>().into_iter().rev()
        });
        let wanted: Vec<SizeExpr> = variant.sizes.iter().cloned().chain(strides).collect();
        self.values = vec![None; wanted.len()];
        for (place, size) in wanted.iter().enumerate() {
            if let SizeExpr::Dim(dim) = size {
                self.dims[*dim as usize].get_or_insert(u8::try_from(place).ok()?);
            }
        }
        for dim in 0..plan.fixed.len() {
            self.place_of_dim(dim)?;
        }
        for (place, size) in wanted.iter().enumerate() {
            self.compute(size, Some(place as u8))?;
        }
        let mut counts = Vec::new();
        let mut count = |builder: &mut Self, size: &SizeExpr| {
            let place = builder.compute(size, None)?;
            if !matches!(size, SizeExpr::Dim(_) | SizeExpr::Const(0..)) && !counts.contains(&place) {
                counts.push(place);
            }
            Some(place)
        };
        let shared = count(&mut self, &variant.shared)?;
        let mut phases = Vec::new();
        for (phase, &function) in variant.phases.iter().zip(functions) {
            let (extent, scratch) = (count(&mut self, &phase.extent)?, count(&mut self, &phase.scratch)?);
            phases.push(Phase { function, extent, scratch });
        }
        let mut scratch: Vec<u8> = phases.iter().map(|phase| phase.scratch).collect();
        scratch.sort_unstable();
        scratch.dedup();
        scratch.retain(|&place| self.values[usize::from(place)] != Some(0));
        let guard = match &variant.guard {
            Some((size, most)) => Some((self.compute(size, None)?, *most)),
            None => None,
        };
        let mut bound: Vec<bool> = plan.fixed.iter().map(|&size| size != UNKNOWN).collect();
        let mut arrays: Vec<Array> = Vec::new();
        for index in 0..plan.slots.len() {
            let array = self.array(index, flat, &arrays, &mut bound)?;
            arrays.push(array);
        }
        let outputs = arrays.split_off(plan.inputs);
        if bound.contains(&false) {
            return None;
        }
        let mut template = [0; VALUES];
        template.get_mut(..self.values.len())?;
        for (to, value) in template.iter_mut().zip(&self.values) {
            *to = value.unwrap_or(0);
        }
        Some(Quick {
            template,
            inputs: arrays.into(),
            outputs: outputs.into(),
            axes: self.axes.into(),
            shared_axes: self.shared_axes.into(),
            steps: self.steps.into(),
            counts: counts.into(),
            guard,
            strides: variant.sizes.len() as u8,
            numbers: numbers(plan, flat)?,
            defaults: defaults(plan, flat),
            shared,
            scratch: scratch.into(),
            phases: phases.into(),
            dims: self.dims.into_iter().collect::<Option<_>>()?,
        })
    }

    /// A new place.
    fn add(&mut self, value: Option<i64>) -> Option<u8> {
        let place = u8::try_from(self.values.len()).ok().filter(|&place| usize::from(place) < VALUES)?;
        self.values.push(value);
        Some(place)
    }

    /// The place of a dimension. All dimensions are known before anything is computed.
    fn place_of_dim(&mut self, dim: usize) -> Option<u8> {
        let place = match self.dims[dim] {
            Some(place) => place,
            None => self.add(None)?,
        };
        let fixed = self.plan.fixed[dim];
        if fixed != UNKNOWN {
            self.values[usize::from(place)] = Some(fixed);
        }
        self.dims[dim] = Some(place);
        self.known.push((SizeExpr::Dim(dim as u32), place));
        Some(place)
    }

    /// Has a size computed, at the place `to` or wherever it is found.
    fn compute(&mut self, size: &SizeExpr, to: Option<u8>) -> Option<u8> {
        let found = self.known.iter().find(|(known, _)| known == size).map(|(_, place)| *place);
        match (found, to) {
            (Some(found), None) => return Some(found),
            (Some(found), Some(to)) if found == to => return Some(to),
            (Some(found), Some(to)) => match self.values[usize::from(found)] {
                Some(value) => self.values[usize::from(to)] = Some(value),
                None => self.steps.push(Step { op: Op::Copy, a: found, b: found, to }),
            },
            (None, _) => {
                let (op, a, b) = match size {
                    SizeExpr::Const(value) => {
                        let to = match to {
                            Some(to) => to,
                            None => self.add(None)?,
                        };
                        self.values[usize::from(to)] = Some(*value);
                        self.known.push((size.clone(), to));
                        return Some(to);
                    }
                    // All that there are were found.
                    SizeExpr::Dim(_) => return None,
                    SizeExpr::Add(a, b) => (Op::Add, a, b),
                    SizeExpr::Sub(a, b) => (Op::Sub, a, b),
                    SizeExpr::Mul(a, b) => (Op::Mul, a, b),
                    SizeExpr::Div(a, b) => (Op::Div, a, b),
                    SizeExpr::CeilDiv(a, b) => (Op::CeilDiv, a, b),
                };
                let (a, b) = (self.compute(a, None)?, self.compute(b, None)?);
                let to = match to {
                    Some(to) => to,
                    None => self.add(None)?,
                };
                self.steps.push(Step { op, a, b, to });
                self.known.push((size.clone(), to));
                return Some(to);
            }
        }
        to
    }

    /// An array; `before` are those before it, `bound` the dimensions that are known by them, and then by it too.
    fn array(
        &mut self,
        index: usize,
        flat: &VariantPlan,
        before: &[Array],
        bound: &mut [bool],
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
        let (start, mut leading) = (u8::try_from(self.axes.len()).ok()?, None);
        for (at, dims) in plan.axes_of(slot).enumerate() {
            let at = u8::try_from(at).ok()?;
            let places = dims.iter().map(|&dim| self.dims[dim as usize]).collect::<Option<Vec<_>>>()?;
            if slot.leading == Some(u32::from(at)) {
                let known = std::mem::replace(&mut bound[dims[0] as usize], true);
                let first = if known { Some(leading_before(&before[..index.min(plan.inputs)])?) } else { None };
                leading = Some(Leading { at, place: places[0], first });
                continue;
            }
            let missing: Vec<usize> = (0..dims.len()).filter(|&part| !bound[dims[part] as usize]).collect();
            let kind = match (&places[..], &missing[..]) {
                ([place], []) => AxisKind::Check(*place),
                ([place], _) => AxisKind::Bind(*place),
                (_, [] | [_]) => {
                    let start = u8::try_from(self.shared_axes.len()).ok()?;
                    let known = (0..dims.len()).filter(|part| !missing.contains(part));
                    self.shared_axes.extend(known.map(|part| places[part]));
                    let known = start..u8::try_from(self.shared_axes.len()).ok()?;
                    AxisKind::Parts(Parts { known, missing: missing.first().map_or(NONE, |&part| places[part]) })
                }
                _ => return None,
            };
            missing.iter().for_each(|&part| bound[dims[part] as usize] = true);
            // Counted without `..`, which is one of the declared axes.
            let after = leading.is_some();
            self.axes.push(Axis { at: at - u8::from(after), after, kind });
        }
        let axes = start..u8::try_from(self.axes.len()).ok()?;
        let rank = axes.end - axes.start;
        let like = like.map_or(NONE, |like| like as u8);
        Some(Array { dtype: slot.dtype, place: place as u8, like, rank, leading, axes })
    }
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
