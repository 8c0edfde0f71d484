//! Binds named dimensions to sizes: from the shapes of the arrays, from what compilation fixed, and from other
//! dimensions. Needs views without faults; leaves a size for every dimension, or an error that names the dimension,
//! where it was seen, and both sizes.
//!
//! One pass over the axes binds and checks almost every kernel. Axes such as `(g k)` whose parts are bound later, and
//! computed dimensions, are settled by repeating the pass until nothing changes.

use crate::abi::{Axis, DimDecl, DimKind, Signature, SizeExpr};
use crate::error::{DimConflict, Error, GroupMismatch, Origin};
use crate::plan::{Plan, Slot, UNKNOWN};
use crate::tensor::{DIM_LIMIT, Raw};
use smallvec::SmallVec;
use std::fmt;

/// One size per dimension.
pub(crate) type Sizes = SmallVec<[i64; 32]>;

/// Sizes that a call asks for without an array.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Dimension and size.
    pub(crate) dims: &'a [(u32, i64)],
    /// The leading axes.
    pub(crate) leading: Option<&'a [i64]>,
}

impl Asked<'_> {
    /// Whether nothing is asked for.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.dims.is_empty() && self.leading.is_none()
    }
}

/// Where the size of a dimension was first seen.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Nowhere,
    Compiled,
    Computed,
    Asked,
    /// Slot, and axis as declared.
    Axis(u16, u16),
}

/// The outcome of binding.
pub(crate) struct Bound<'a> {
    /// Size of each dimension.
    pub(crate) sizes: Sizes,
    /// The leading axes as the caller has them, and the slot they were seen in.
    pub(crate) leading: Option<(&'a [i64], Option<u16>)>,
}

/// Binds all dimensions. `array(slot)` is the array given for a slot, if any.
#[inline]
pub(crate) fn bind<'a>(
    signature: &Signature,
    plan: &Plan,
    array: &impl Fn(usize) -> Option<&'a Raw>,
    asked: Asked<'a>,
) -> Result<Bound<'a>, Error> {
    let mut binder = Binder::new(signature, plan);
    binder.ask(asked)?;
    let mut open = binder.pass(array)?;
    if open || !plan.computed.is_empty() {
        loop {
            let before = binder.unknown();
            binder.compute(false)?;
            open = binder.pass(array)?;
            if binder.unknown() == before {
                break;
            }
        }
        binder.compute(true)?;
    }
    binder.finish(open)
}

/// What is known so far.
struct Binder<'p, 'a> {
    signature: &'p Signature,
    plan: &'p Plan,
    sizes: Sizes,
    seen: SmallVec<[Seen; 32]>,
    leading: Option<(&'a [i64], Option<u16>)>,
}

impl<'p, 'a> Binder<'p, 'a> {
    #[inline]
    fn new(signature: &'p Signature, plan: &'p Plan) -> Binder<'p, 'a> {
        let sizes = Sizes::from_slice(&plan.fixed);
        let seen =
            sizes.iter().map(|&size| if size == UNKNOWN { Seen::Nowhere } else { Seen::Compiled }).collect();
        Binder { signature, plan, sizes, seen, leading: None }
    }

    fn ask(&mut self, asked: Asked<'a>) -> Result<(), Error> {
        for &(dim, size) in asked.dims {
            if size < 0 {
                return Err(Error::DimSize { dim: self.dim(dim), size });
            }
            self.set(dim, size, Seen::Asked)?;
        }
        if let (Some(shape), Some(dim)) = (asked.leading, self.plan.leading) {
            self.leading = Some((shape, None));
            self.set(dim, fold(shape), Seen::Asked)?;
        }
        Ok(())
    }

    /// Goes over all axes once. True if some axis has parts that are not known yet.
    #[inline]
    fn pass(&mut self, array: &impl Fn(usize) -> Option<&'a Raw>) -> Result<bool, Error> {
        let plan = self.plan;
        let mut open = false;
        for (index, slot) in plan.slots.iter().enumerate() {
            let Some(raw) = array(index) else { continue };
            open |= self.bind_slot(index as u16, slot, raw.shape())?;
        }
        Ok(open)
    }

    #[inline]
    fn bind_slot(&mut self, index: u16, slot: &Slot, shape: &'a [i64]) -> Result<bool, Error> {
        let declared = slot.axes.len();
        if let Some(leading) = slot.leading {
            return self.bind_with_leading(index, slot, shape, leading as usize);
        }
        if shape.len() != declared {
            return Err(self.wrong_axes(slot, shape));
        }
        let mut open = false;
        for (axis, (dims, &size)) in self.plan.axes_of(slot).zip(shape).enumerate() {
            open |= self.bind_axis(dims, size, index, axis, 0)?;
        }
        Ok(open)
    }

    fn bind_with_leading(
        &mut self,
        index: u16,
        slot: &Slot,
        shape: &'a [i64],
        leading: usize,
    ) -> Result<bool, Error> {
        let others = slot.axes.len() - 1;
        let Some(count) = shape.len().checked_sub(others) else { return Err(self.wrong_axes(slot, shape)) };
        let mut open = false;
        for (axis, dims) in self.plan.axes_of(slot).enumerate() {
            if axis == leading {
                self.bind_leading(dims[0], &shape[axis..axis + count], index)?;
            } else {
                // How far the caller's axis is from the declared one.
                let shift = if axis > leading { count as isize - 1 } else { 0 };
                let size = shape[axis.wrapping_add_signed(shift)];
                open |= self.bind_axis(dims, size, index, axis, shift)?;
            }
        }
        Ok(open)
    }

    #[inline]
    fn bind_leading(&mut self, dim: u32, shape: &'a [i64], slot: u16) -> Result<(), Error> {
        match self.leading {
            None => {
                self.leading = Some((shape, Some(slot)));
                self.set(dim, fold(shape), Seen::Axis(slot, 0))
            }
            Some((first, _)) if first == shape => Ok(()),
            Some((first, first_slot)) => Err(Error::Leading {
                first: first_slot.map_or_else(|| "the call".to_owned(), |slot| self.name(slot)),
                first_shape: first.to_vec(),
                second: self.name(slot),
                second_shape: shape.to_vec(),
            }),
        }
    }

    /// `shift`: how many axes further the caller has what is declared at `axis`; only for messages.
    #[inline]
    fn bind_axis(
        &mut self,
        dims: &[u32],
        size: i64,
        slot: u16,
        axis: usize,
        shift: isize,
    ) -> Result<bool, Error> {
        if let [dim] = dims {
            self.set(*dim, size, Seen::Axis(slot, axis as u16))?;
            return Ok(false);
        }
        let (mut product, mut missing, mut unknown) = (Some(1i64), None, 0);
        for &dim in dims {
            match self.sizes[dim as usize] {
                UNKNOWN => (missing, unknown) = (Some(dim), unknown + 1),
                known => product = product.and_then(|product| product.checked_mul(known)),
            }
        }
        match (missing, product) {
            (None, Some(product)) if product == size => Ok(false),
            (None, _) => Err(self.group_error(dims, size, slot, axis.wrapping_add_signed(shift))),
            (Some(_), _) if unknown > 1 => Ok(true),
            // Nothing can be said of the other part until something else tells it.
            (Some(_), Some(0)) if size == 0 => Ok(true),
            (Some(dim), Some(product)) if product > 0 && size % product == 0 => {
                self.set(dim, size / product, Seen::Axis(slot, axis as u16))?;
                Ok(false)
            }
            (Some(_), _) => Err(self.group_error(dims, size, slot, axis.wrapping_add_signed(shift))),
        }
    }

    /// Computes what can be. When `all`, also checks what was bound before.
    fn compute(&mut self, all: bool) -> Result<(), Error> {
        let plan = self.plan;
        for (dim, formula) in &plan.computed {
            if !self.ready(formula) || (self.sizes[*dim as usize] != UNKNOWN && !all) {
                continue;
            }
            match formula.eval(&self.sizes) {
                Some(size) if size >= 0 => self.set(*dim, size, Seen::Computed)?,
                value => return Err(self.computed_error(*dim, formula, value)),
            }
        }
        Ok(())
    }

    /// Whether all dimensions of a formula are known.
    fn ready(&self, formula: &SizeExpr) -> bool {
        let mut ready = true;
        visit(formula, &mut |dim| ready &= self.sizes[dim as usize] != UNKNOWN);
        ready
    }

    /// Binds a dimension, or checks it against the size it has.
    #[inline]
    fn set(&mut self, dim: u32, size: i64, seen: Seen) -> Result<(), Error> {
        let known = &mut self.sizes[dim as usize];
        if *known == size {
            return Ok(());
        }
        if *known != UNKNOWN {
            return Err(self.conflict(dim, size, seen));
        }
        if !(0..DIM_LIMIT).contains(&size) {
            return Err(Error::DimSize { dim: self.dim(dim), size });
        }
        *known = size;
        self.seen[dim as usize] = seen;
        Ok(())
    }

    fn unknown(&self) -> usize {
        self.sizes.iter().filter(|&&size| size == UNKNOWN).count()
    }

    #[inline]
    fn finish(self, open: bool) -> Result<Bound<'a>, Error> {
        if open || self.sizes.contains(&UNKNOWN) {
            return Err(self.unbound());
        }
        Ok(Bound { sizes: self.sizes, leading: self.leading })
    }

    // From here on: messages.

    #[cold]
    fn unbound(&self) -> Error {
        let unknown = |index: &usize| self.sizes[*index] == UNKNOWN;
        let unknown: Vec<usize> = (0..self.sizes.len()).filter(unknown).collect();
        // What is computed follows from the others.
        let given = |index: &usize| !matches!(self.signature.dims[*index].kind, DimKind::Computed(_));
        let computed = unknown.iter().all(|index| !given(index));
        let mut dims: Vec<String> = Vec::new();
        for index in unknown.into_iter().filter(|index| computed || given(index)) {
            let name = self.dim(index as u32);
            if !dims.contains(&name) {
                dims.push(name);
            }
        }
        Error::Unbound { dims }
    }

    fn dim(&self, dim: u32) -> String {
        self.signature.dims[dim as usize].name.clone()
    }

    fn name(&self, slot: u16) -> String {
        slot_name(self.signature, &self.plan.slots[slot as usize]).to_owned()
    }

    fn origin(&self, dim: u32, seen: Seen) -> Origin {
        match seen {
            Seen::Nowhere | Seen::Asked => Origin::Call,
            Seen::Compiled => Origin::Compiled,
            Seen::Computed => {
                let formula = self.plan.computed.iter().find(|(computed, _)| *computed == dim);
                Origin::Computed(formula.map_or_else(String::new, |(_, formula)| self.formula(formula)))
            }
            Seen::Axis(slot, _) if Some(dim) == self.plan.leading => {
                Origin::Leading { name: self.name(slot) }
            }
            Seen::Axis(slot, axis) => {
                let leading = self.plan.slots[slot as usize].leading;
                let after = leading.is_some_and(|leading| u32::from(axis) > leading);
                let count = self.leading.map_or(1, |(shape, _)| shape.len());
                let axis = if after { usize::from(axis) + count - 1 } else { usize::from(axis) };
                Origin::Axis { name: self.name(slot), axis }
            }
        }
    }

    fn formula(&self, formula: &SizeExpr) -> String {
        SizeText { size: formula, dims: &self.signature.dims }.to_string()
    }

    #[cold]
    fn conflict(&self, dim: u32, size: i64, seen: Seen) -> Error {
        Error::Dim(Box::new(DimConflict {
            dim: self.dim(dim),
            first: self.origin(dim, self.seen[dim as usize]),
            first_size: self.sizes[dim as usize],
            second: self.origin(dim, seen),
            second_size: size,
        }))
    }

    #[cold]
    fn group_error(&self, dims: &[u32], size: i64, slot: u16, axis: usize) -> Error {
        let known = dims.iter().map(|&dim| (self.dim(dim), self.sizes[dim as usize]));
        let known: Vec<_> = known.filter(|(_, size)| *size != UNKNOWN).collect();
        let group = AxesText { axes: &[dims.to_vec()], dims: &self.signature.dims }.to_string();
        Error::Group(Box::new(GroupMismatch {
            name: self.name(slot),
            axis,
            group: group.trim_matches(['[', ']']).to_owned(),
            size,
            complete: known.len() == dims.len(),
            known,
        }))
    }

    #[cold]
    fn computed_error(&self, dim: u32, formula: &SizeExpr, value: Option<i64>) -> Error {
        let mut from: Vec<(String, i64)> = Vec::new();
        visit(formula, &mut |dim| {
            let entry = (self.dim(dim), self.sizes[dim as usize]);
            if !from.contains(&entry) {
                from.push(entry);
            }
        });
        Error::Computed { dim: self.dim(dim), formula: self.formula(formula), value, from }
    }

    #[cold]
    fn wrong_axes(&self, slot: &Slot, shape: &[i64]) -> Error {
        Error::Axes {
            name: slot_name(self.signature, slot).to_owned(),
            expected: AxesText { axes: slot_axes(self.signature, slot), dims: &self.signature.dims }
                .to_string(),
            given: shape.to_vec(),
        }
    }
}

/// The number of positions of the leading axes; too large a number where it can't be counted.
#[inline]
fn fold(shape: &[i64]) -> i64 {
    if shape.contains(&0) {
        0
    } else {
        shape.iter().fold(1i64, |product, &size| product.saturating_mul(size))
    }
}

/// Calls `each` with every dimension of a size.
fn visit(size: &SizeExpr, each: &mut impl FnMut(u32)) {
    match size {
        SizeExpr::Const(_) => {}
        SizeExpr::Dim(dim) => each(*dim),
        SizeExpr::Add(a, b)
        | SizeExpr::Sub(a, b)
        | SizeExpr::Mul(a, b)
        | SizeExpr::Div(a, b)
        | SizeExpr::CeilDiv(a, b) => {
            visit(a, each);
            visit(b, each);
        }
    }
}

/// The name of a slot.
pub(crate) fn slot_name<'s>(signature: &'s Signature, slot: &Slot) -> &'s str {
    match slot.source {
        Ok(param) => &signature.params[param as usize].name,
        Err(result) => &signature.results[result as usize].name,
    }
}

/// The declared axes of a slot.
pub(crate) fn slot_axes<'s>(signature: &'s Signature, slot: &Slot) -> &'s [Axis] {
    let decl = match slot.source {
        Ok(param) => &signature.params[param as usize],
        Err(result) => &signature.results[result as usize],
    };
    match &decl.kind {
        crate::abi::ParamKind::Array { axes, .. } => axes,
        crate::abi::ParamKind::Scalar { .. } => &[],
    }
}

/// Writes a size as the text would: `k + 1`.
#[derive(Clone, Copy, Debug)]
pub struct SizeText<'a> {
    /// The size.
    pub size: &'a SizeExpr,
    /// The dimensions of its signature.
    pub dims: &'a [DimDecl],
}

impl SizeText<'_> {
    /// `binding`: 0 the whole, 1 an operand of a sum's right side or of a product, 2 a divisor.
    fn write(&self, f: &mut fmt::Formatter<'_>, size: &SizeExpr, binding: u8) -> fmt::Result {
        let (a, sign, b, own) = match size {
            SizeExpr::Const(value) => return write!(f, "{value}"),
            SizeExpr::Dim(dim) => {
                return f.write_str(self.dims.get(*dim as usize).map_or("?", |dim| &dim.name));
            }
            SizeExpr::CeilDiv(a, b) => {
                f.write_str("ceil(")?;
                self.write(f, a, 1)?;
                f.write_str(" / ")?;
                self.write(f, b, 2)?;
                return f.write_str(")");
            }
            SizeExpr::Add(a, b) => (a, "+", b, 0),
            SizeExpr::Sub(a, b) => (a, "-", b, 0),
            SizeExpr::Mul(a, b) => (a, "*", b, 1),
            SizeExpr::Div(a, b) => (a, "/", b, 1),
        };
        if own < binding {
            f.write_str("(")?;
        }
        self.write(f, a, own)?;
        write!(f, " {sign} ")?;
        self.write(f, b, own + 1)?;
        if own < binding { f.write_str(")") } else { Ok(()) }
    }
}

impl fmt::Display for SizeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.size, 0)
    }
}

/// Writes axes as the text would: `[.., (half=2 d)]`.
#[derive(Clone, Copy, Debug)]
pub struct AxesText<'a> {
    /// The axes.
    pub axes: &'a [Axis],
    /// The dimensions of their signature.
    pub dims: &'a [DimDecl],
}

impl AxesText<'_> {
    fn dim(&self, f: &mut fmt::Formatter<'_>, dim: u32) -> fmt::Result {
        let Some(dim) = self.dims.get(dim as usize) else { return f.write_str("?") };
        match &dim.kind {
            DimKind::Free | DimKind::Leading => f.write_str(&dim.name),
            DimKind::Fixed(size) => write!(f, "{}={size}", dim.name),
            DimKind::Computed(size) => write!(f, "{}={}", dim.name, SizeText { size, dims: self.dims }),
        }
    }
}

impl fmt::Display for AxesText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, axis) in self.axes.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            if let [dim] = axis[..] {
                self.dim(f, dim)?;
                continue;
            }
            f.write_str("(")?;
            for (index, dim) in axis.iter().enumerate() {
                if index > 0 {
                    f.write_str(" ")?;
                }
                self.dim(f, *dim)?;
            }
            f.write_str(")")?;
        }
        f.write_str("]")
    }
}
