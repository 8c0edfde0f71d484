//! Works out the short way of a call from a kernel's plan: gives every number that a call needs a place, and finds the
//! order in which the axes tell the dimensions. Runs once, when the kernel is made; leaves a [`Quick`], or nothing
//! where a call needs more room than there is or has to be bound in a way that there are no means for.

use super::{
    ARRAYS, Array, Axis, Computation, Leading, LeadingAxes, NONE, NUMBERS, Number, Op, Phase, Place,
};
use super::{Quick, SharedAxis, Step, Values};
use crate::abi::{Abi, PhaseFn, SizeExpr, Variant};
use crate::memory::Little;
use crate::plan::{Plan, TensorPlan, UNKNOWN, VariantPlan};
use crate::small::element_bits;
use crate::tensor::{Kind, MAX_AXES};

/// The short way of each variant, up to the first that has none.
pub(crate) fn all<const VALUES: usize>(
    plan: &Plan,
    abi: &Abi,
    functions: &[Vec<PhaseFn>],
) -> Vec<Quick<VALUES>> {
    let variants = abi.variants.iter().zip(&plan.variants).zip(functions);
    variants
        .map_while(|((variant, flat), functions)| Builder::new(plan, VALUES).build(variant, flat, functions))
        .collect()
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

/// All axes but `..`.
struct Axes {
    /// Those that are the first to tell a dimension.
    first: Vec<Axis>,
    /// Those that are one dimension, known by then.
    second: Vec<Axis>,
    /// Those that are several.
    shared: Vec<SharedAxis>,
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
        let axes = self.axes()?;
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
            axes: axes.first.into(),
            known_axes: axes.second.into(),
            shared_axes: axes.shared.into(),
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
    fn axes(&mut self) -> Option<Axes> {
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
        if known.contains(&false) { None } else { Some(Axes { first, second, shared }) }
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
        once.then_some(Number { dtype: number.dtype, default: number.default, range: number.range, place })
    };
    plan.numbers.iter().enumerate().map(number).collect()
}

/// The numbers that the code takes where none is given; `None` where one has no default that its type can hold.
fn defaults(plan: &Plan, flat: &VariantPlan) -> Option<Box<[u64]>> {
    let all = plan.numbers.iter().map(|number| element_bits(number.dtype, number.default?));
    let all: Vec<u64> = all.collect::<Option<_>>()?;
    Some(flat.numbers.iter().map(|&number| all[number as usize]).collect())
}
