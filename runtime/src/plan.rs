//! A kernel's description, checked once and flattened for the hot path of a call: no nested vectors, no names.
//!
//! Arrays are numbered by *slot*: the array parameters in their order, then the results.

use crate::abi::{Abi, Axis, DType, DimKind, ParamDecl, ParamKind, Phase, Signature, SizeExpr, Variant};
use crate::error::Error;
use std::ops::Range;

/// A dimension whose size is not known yet.
pub(crate) const UNKNOWN: i64 = -1;

/// What a call needs to know of a kernel.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Arrays, parameters first.
    pub(crate) slots: Vec<Slot>,
    /// How many of the slots are parameters.
    pub(crate) inputs: usize,
    /// Axes of all slots after one another.
    pub(crate) axes: Vec<Range<u32>>,
    /// The dimensions of the axes; [`Plan::axes`] are ranges of this.
    pub(crate) axis_dims: Vec<u32>,
    /// Size of each dimension where compilation fixed it, otherwise [`UNKNOWN`].
    pub(crate) fixed: Vec<i64>,
    /// The dimension `..`.
    pub(crate) leading: Option<u32>,
    /// Computed dimensions.
    pub(crate) computed: Vec<(u32, SizeExpr)>,
    /// Number parameters, in order.
    pub(crate) numbers: Vec<Number>,
    /// One per variant.
    pub(crate) variants: Vec<VariantPlan>,
}

/// An array that a call passes.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Index into the parameters (`Ok`) or the results.
    pub(crate) source: Result<u32, u32>,
    /// Element type.
    pub(crate) dtype: DType,
    /// Its part of [`Plan::axes`].
    pub(crate) axes: Range<u32>,
    /// Which of its axes is `..`.
    pub(crate) leading: Option<u32>,
    /// What fills it when it is left out.
    pub(crate) default: Option<f64>,
}

/// A number parameter.
#[derive(Debug)]
pub(crate) struct Number {
    /// Index into the parameters.
    pub(crate) param: u32,
    /// Its type.
    pub(crate) dtype: DType,
    /// Its value when left out.
    pub(crate) default: Option<f64>,
    /// From which number to which it goes.
    pub(crate) range: Option<(f64, f64)>,
}

/// A variant, flattened.
#[derive(Debug)]
pub(crate) struct VariantPlan {
    /// Arrays in the order of the code.
    pub(crate) tensors: Vec<TensorPlan>,
    /// Indices into [`Plan::numbers`], in the order of the code.
    pub(crate) numbers: Vec<u32>,
    /// Pairs of slots that may be one array.
    pub(crate) in_place: Vec<(u32, u32)>,
}

/// An array as the code sees it.
#[derive(Debug)]
pub(crate) struct TensorPlan {
    /// Which array.
    pub(crate) slot: u32,
    /// Groups of dimensions, as ranges of `dims`.
    pub(crate) groups: Vec<Range<u32>>,
    /// Its dimensions.
    pub(crate) dims: Vec<u32>,
}

impl Plan {
    /// Flattens the description, or says what is wrong with it. `open`: every variant has a guard.
    pub(crate) fn new(signature: &Signature, abi: &Abi, open: bool) -> Result<Plan, Error> {
        Plan::build(signature, abi, open)
            .map_err(|problem| Error::Description { kernel: signature.name.clone(), problem })
    }

    fn build(signature: &Signature, abi: &Abi, open: bool) -> Result<Plan, String> {
        let mut plan = Plan {
            slots: Vec::new(),
            inputs: 0,
            axes: Vec::new(),
            axis_dims: Vec::new(),
            fixed: Vec::new(),
            leading: None,
            computed: Vec::new(),
            numbers: Vec::new(),
            variants: Vec::new(),
        };
        plan.add_dims(signature)?;
        for (index, param) in signature.params.iter().enumerate() {
            match &param.kind {
                ParamKind::Array { axes, default } => {
                    plan.add_slot(Ok(index as u32), param, axes, *default)?
                }
                ParamKind::Scalar { default } => plan.numbers.push(Number {
                    param: index as u32,
                    dtype: param.dtype,
                    default: *default,
                    range: param.range,
                }),
            }
        }
        plan.inputs = plan.slots.len();
        for (index, result) in signature.results.iter().enumerate() {
            let ParamKind::Array { axes, .. } = &result.kind else {
                return Err(format!("result `{}` is not an array", result.name));
            };
            plan.add_slot(Err(index as u32), result, axes, None)?;
        }
        for (index, variant) in abi.variants.iter().enumerate() {
            if variant.guard.is_none() != (index + 1 == abi.variants.len() && !open) {
                return Err("the last variant, and no other, has no guard".to_owned());
            }
            let flat = plan.variant(variant)?;
            plan.variants.push(flat);
        }
        if plan.variants.is_empty() { Err("there are no variants".to_owned()) } else { Ok(plan) }
    }

    fn add_dims(&mut self, signature: &Signature) -> Result<(), String> {
        let count = signature.dims.len();
        for (index, dim) in signature.dims.iter().enumerate() {
            let mut fixed = UNKNOWN;
            match &dim.kind {
                DimKind::Free => {}
                DimKind::Leading if self.leading.is_some() => return Err("there are two `..`".to_owned()),
                DimKind::Leading => self.leading = Some(index as u32),
                DimKind::Fixed(size) if *size < 0 => {
                    return Err(format!("dimension `{}` is {size}", dim.name));
                }
                DimKind::Fixed(size) => fixed = *size,
                DimKind::Computed(formula) => {
                    check_size(formula, count)?;
                    self.computed.push((index as u32, formula.clone()));
                }
            }
            self.fixed.push(fixed);
        }
        Ok(())
    }

    fn add_slot(
        &mut self,
        source: Result<u32, u32>,
        decl: &ParamDecl,
        axes: &[Axis],
        default: Option<f64>,
    ) -> Result<(), String> {
        let first = self.axes.len() as u32;
        let mut leading = None;
        for (index, axis) in axes.iter().enumerate() {
            if axis.iter().any(|dim| *dim as usize >= self.fixed.len()) {
                return Err(format!("`{}` has a dimension that there is not", decl.name));
            }
            if axis.iter().any(|dim| Some(*dim) == self.leading) {
                if axis.len() > 1 || leading.is_some() {
                    return Err(format!("`..` is not one axis of `{}`", decl.name));
                }
                leading = Some(index as u32);
            }
            let start = self.axis_dims.len() as u32;
            self.axis_dims.extend(axis);
            self.axes.push(start..self.axis_dims.len() as u32);
        }
        let axes = first..self.axes.len() as u32;
        self.slots.push(Slot { source, dtype: decl.dtype, axes, leading, default });
        Ok(())
    }

    fn variant(&self, variant: &Variant) -> Result<VariantPlan, String> {
        let dims = self.fixed.len();
        let phases = variant.phases.iter().flat_map(|phase| [&phase.extent, &phase.scratch, &phase.work]);
        let guard = variant.guard.iter().map(|(size, _)| size);
        for size in guard.chain(&variant.sizes).chain([&variant.shared]).chain(phases) {
            check_size(size, dims)?;
        }
        if let Some(Phase { symbol, .. }) = variant.phases.iter().find(|phase| phase.grain < 1) {
            return Err(format!("the grain of `{symbol}` is less than 1"));
        }
        let tensors = variant.tensors.iter().map(|tensor| {
            let slot = self.slot(tensor.source)?;
            let (mut dims, mut groups) = (Vec::new(), Vec::new());
            for group in &tensor.groups {
                let start = dims.len() as u32;
                dims.extend(group);
                groups.push(start..dims.len() as u32);
            }
            let declared = &self.slots[slot as usize].axes;
            let declared = self.axes[declared.start as usize..declared.end as usize].iter();
            let declared = declared.flat_map(|axis| &self.axis_dims[axis.start as usize..axis.end as usize]);
            if !declared.eq(&dims) {
                return Err(format!("the groups of {:?} are not its dimensions in order", tensor.source));
            }
            Ok(TensorPlan { slot, groups, dims })
        });
        let numbers = variant.scalars.iter().map(|&param| {
            let found = self.numbers.iter().position(|number| number.param == param);
            found.map(|index| index as u32).ok_or_else(|| format!("parameter {param} is not a number"))
        });
        let in_place = variant.in_place.iter();
        let in_place = in_place.map(|&(param, result)| Ok((self.slot(Ok(param))?, self.slot(Err(result))?)));
        Ok(VariantPlan {
            tensors: tensors.collect::<Result<_, String>>()?,
            numbers: numbers.collect::<Result<_, String>>()?,
            in_place: in_place.collect::<Result<_, String>>()?,
        })
    }

    /// The slot of an array parameter or result.
    pub(crate) fn slot(&self, source: Result<u32, u32>) -> Result<u32, String> {
        let found = self.slots.iter().position(|slot| slot.source == source);
        found.map(|index| index as u32).ok_or_else(|| format!("{source:?} is not an array"))
    }

    /// The axes of a slot, each the list of its dimensions.
    #[inline]
    pub(crate) fn axes_of(&self, slot: &Slot) -> impl DoubleEndedIterator<Item = &[u32]> + ExactSizeIterator {
        let axes = &self.axes[slot.axes.start as usize..slot.axes.end as usize];
        axes.iter().map(|axis| &self.axis_dims[axis.start as usize..axis.end as usize])
    }
}

/// Checks that a size speaks of dimensions that exist.
fn check_size(size: &SizeExpr, dims: usize) -> Result<(), String> {
    match size {
        SizeExpr::Const(_) => Ok(()),
        SizeExpr::Dim(dim) if (*dim as usize) < dims => Ok(()),
        SizeExpr::Dim(dim) => Err(format!("there is no dimension {dim}")),
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b) => check_size(a, dims).and_then(|()| check_size(b, dims)),
    }
}
