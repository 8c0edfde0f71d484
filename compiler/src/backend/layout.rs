//! Where a function finds sizes, arrays and scalars at run time: the contract of one compiled variant.

use act_runtime::abi;
use cranelift_entity::SecondaryMap;

use crate::loops::{Buffer, BufferDecl, BufferKind, Func, Size, Stmt};
use crate::types::SizeExpr;

/// Offsets of the fields of [`act_runtime::abi::KernelArgs`].
pub(in crate::backend) mod args {
    use std::mem::offset_of;

    use act_runtime::abi::KernelArgs;

    pub(in crate::backend) const DATA: i32 = offset_of!(KernelArgs, data) as i32;
    pub(in crate::backend) const SIZES: i32 = offset_of!(KernelArgs, sizes) as i32;
    pub(in crate::backend) const STRIDES: i32 = offset_of!(KernelArgs, strides) as i32;
    pub(in crate::backend) const SCALARS: i32 = offset_of!(KernelArgs, scalars) as i32;
    pub(in crate::backend) const SHARED: i32 = offset_of!(KernelArgs, shared) as i32;
}

/// Bytes at multiples of which arrays in scratch and shared memory start.
const ALIGNMENT: i64 = 64;

/// A number of the layout: known, or at a place of [`abi::KernelArgs::sizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::backend) enum Number {
    /// The number.
    Known(i64),
    /// Its index among the sizes.
    Size(u32),
}

/// How far apart neighbours along an axis are, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::backend) enum Stride {
    /// A number of the layout.
    Number(Number),
    /// An index into [`abi::KernelArgs::strides`].
    Argument(u32),
}

/// Where an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend) enum Place {
    /// At this index of [`abi::KernelArgs::data`].
    Data(u32),
    /// So many bytes into the memory shared by the call.
    Shared(Number),
    /// So many bytes into the thread's memory.
    Scratch(Number),
    /// On the stack, with so many bytes.
    Stack(u32),
}

/// Where everything is.
pub(in crate::backend) struct Layout {
    sizes: Vec<SizeExpr>,
    tensors: Vec<abi::TensorLayout>,
    /// For each buffer: its place, and the stride of each axis.
    buffers: SecondaryMap<Buffer, Option<(Place, Vec<Stride>)>>,
    shared: SizeExpr,
    scratch: SizeExpr,
}

impl Layout {
    /// Lays out a function.
    pub(in crate::backend) fn new(func: &Func) -> Layout {
        let mut layout = Layout {
            sizes: func.sizes.values().cloned().collect(),
            tensors: Vec::new(),
            buffers: SecondaryMap::new(),
            shared: SizeExpr::Const(0),
            scratch: SizeExpr::Const(0),
        };
        let mut strides = 0;
        for (buffer, decl) in &func.buffers {
            layout.buffers[buffer] = Some(match decl.kind {
                BufferKind::Param(param) => layout.tensor(decl, Ok(param), &mut strides),
                BufferKind::Result(result) => layout.tensor(decl, Err(result), &mut strides),
                BufferKind::Shared => {
                    let start = grow(&mut layout.shared, decl);
                    (Place::Shared(layout.number(&start)), layout.dense(decl))
                }
                BufferKind::Scratch => {
                    let start = grow(&mut layout.scratch, decl);
                    (Place::Scratch(layout.number(&start)), layout.dense(decl))
                }
                BufferKind::Local => (Place::Stack(stack_bytes(decl)), layout.dense(decl)),
            });
        }
        layout
    }

    /// Where a buffer is.
    pub(in crate::backend) fn place(&self, buffer: Buffer) -> Place {
        self.buffers[buffer].as_ref().expect("every buffer is laid out").0
    }

    /// The stride of each of its axes.
    pub(in crate::backend) fn strides(&self, buffer: Buffer) -> &[Stride] {
        &self.buffers[buffer].as_ref().expect("every buffer is laid out").1
    }

    /// A size of the function.
    pub(in crate::backend) fn size(&self, size: Size) -> Number {
        match self.sizes[size.as_u32() as usize] {
            SizeExpr::Const(value) => Number::Known(value),
            _ => Number::Size(size.as_u32()),
        }
    }

    /// What the runtime has to provide.
    pub(in crate::backend) fn into_variant(
        self,
        func: &Func,
        symbols: impl Iterator<Item = String>,
    ) -> abi::Variant {
        let phases = func.phases.iter().zip(symbols).map(|(phase, symbol)| abi::Phase {
            symbol,
            extent: phase.extent.clone(),
            grain: phase.grain,
            scratch: if uses_scratch(func, &phase.body) { self.scratch.clone() } else { SizeExpr::Const(0) },
            work: times(&phase.work, phase.cost),
        });
        abi::Variant {
            guard: None,
            phases: phases.collect(),
            sizes: self.sizes,
            tensors: self.tensors,
            scalars: func.scalars.values().map(|scalar| scalar.param).collect(),
            shared: self.shared,
            in_place: func.in_place.clone(),
        }
    }

    /// A parameter or result: all strides but the last are given at the call.
    fn tensor(
        &mut self,
        decl: &BufferDecl,
        source: Result<u32, u32>,
        strides: &mut u32,
    ) -> (Place, Vec<Stride>) {
        let first = *strides;
        let axes = decl.axes.len() as u32;
        assert_eq!(decl.groups.len(), decl.axes.len(), "buffer `{}`: a group for each axis", decl.name);
        *strides += axes;
        self.tensors.push(abi::TensorLayout { source, groups: decl.groups.clone() });
        let stride = |axis| {
            if axis + 1 == axes { Stride::Number(Number::Known(1)) } else { Stride::Argument(first + axis) }
        };
        (Place::Data(self.tensors.len() as u32 - 1), (0..axes).map(stride).collect())
    }

    /// The strides of a dense array.
    fn dense(&mut self, decl: &BufferDecl) -> Vec<Stride> {
        let mut stride = SizeExpr::Const(1);
        let mut strides = Vec::new();
        for axis in decl.axes.iter().rev() {
            strides.push(Stride::Number(self.number(&stride)));
            stride = mul(stride, axis.clone());
        }
        strides.reverse();
        strides
    }

    /// The number of an expression; added to the sizes if it is new and not known.
    fn number(&mut self, expr: &SizeExpr) -> Number {
        if let SizeExpr::Const(value) = expr {
            return Number::Known(*value);
        }
        let known = self.sizes.iter().position(|size| size == expr);
        let index = known.unwrap_or_else(|| {
            self.sizes.push(expr.clone());
            self.sizes.len() - 1
        });
        Number::Size(index as u32)
    }
}

/// Puts an array behind the memory used so far; gives where it starts.
fn grow(total: &mut SizeExpr, decl: &BufferDecl) -> SizeExpr {
    let start = total.clone();
    let bytes = decl.axes.iter().cloned().fold(SizeExpr::Const(i64::from(decl.elem.bytes())), mul);
    *total = add(start.clone(), align(bytes));
    start
}

/// Bytes of an array on the stack.
fn stack_bytes(decl: &BufferDecl) -> u32 {
    let elements = decl.axes.iter().try_fold(1i64, |elements, axis| elements.checked_mul(axis.eval(&[])?));
    let bytes = elements.and_then(|elements| elements.checked_mul(i64::from(decl.elem.bytes())));
    bytes
        .and_then(|bytes| u32::try_from(bytes).ok())
        .unwrap_or_else(|| panic!("local buffer `{}` has no constant size", decl.name))
}

fn mul(a: SizeExpr, b: SizeExpr) -> SizeExpr {
    match (a, b) {
        (SizeExpr::Const(1), other) | (other, SizeExpr::Const(1)) => other,
        (SizeExpr::Const(a), SizeExpr::Const(b)) if a.checked_mul(b).is_some() => SizeExpr::Const(a * b),
        // Where it overflows, the call will say so.
        (a, b) => SizeExpr::Mul(Box::new(a), Box::new(b)),
    }
}

fn add(a: SizeExpr, b: SizeExpr) -> SizeExpr {
    match (a, b) {
        (SizeExpr::Const(0), other) | (other, SizeExpr::Const(0)) => other,
        (SizeExpr::Const(a), SizeExpr::Const(b)) if a.checked_add(b).is_some() => SizeExpr::Const(a + b),
        (a, b) => SizeExpr::Add(Box::new(a), Box::new(b)),
    }
}

/// The next multiple of [`ALIGNMENT`].
fn align(bytes: SizeExpr) -> SizeExpr {
    match bytes {
        SizeExpr::Const(bytes) if bytes <= i64::MAX - ALIGNMENT => {
            SizeExpr::Const((bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)
        }
        other => {
            let units = SizeExpr::CeilDiv(Box::new(other), Box::new(SizeExpr::Const(ALIGNMENT)));
            mul(SizeExpr::Const(ALIGNMENT), units)
        }
    }
}

/// Whether statements access an array in scratch memory.
fn uses_scratch(func: &Func, stmts: &[Stmt]) -> bool {
    use crate::loops::Inst;
    let scratch = |buffer: Buffer| func.buffers[buffer].kind == BufferKind::Scratch;
    stmts.iter().any(|stmt| match stmt {
        Stmt::Let(_, Inst::Load(access) | Inst::Gather(access)) | Stmt::Store(access, _) => {
            scratch(access.buffer)
        }
        Stmt::Let(..) => false,
        Stmt::For(each) => uses_scratch(func, &each.body.stmts),
        Stmt::If(choice) => {
            uses_scratch(func, &choice.then.stmts) || uses_scratch(func, &choice.otherwise.stmts)
        }
        Stmt::Reduce(reduce) => uses_scratch(func, &reduce.body),
    })
}

/// A size times a number.
fn times(size: &SizeExpr, by: i64) -> SizeExpr {
    match size {
        SizeExpr::Const(size) => SizeExpr::Const(size.saturating_mul(by)),
        size if by == 1 => size.clone(),
        size => SizeExpr::Mul(Box::new(size.clone()), Box::new(SizeExpr::Const(by))),
    }
}
