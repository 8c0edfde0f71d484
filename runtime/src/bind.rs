//! A call by name. Names are looked up as they come; the first mistake is kept and told when the call is made.

use crate::abi::{DimDecl, DimKind, ParamDecl, ParamKind};
use crate::error::Error;
use crate::kernel::{Kernel, Numbers};
use crate::shape::{Asked, slot_name};
use crate::tensor::{Tensor, TensorView, TensorViewMut};

/// A call being put together; see [`Kernel::bind`].
#[must_use = "a call does nothing until `run`"]
#[derive(Debug)]
pub struct Bind<'a> {
    kernel: &'a Kernel,
    /// One per array parameter.
    inputs: Vec<Option<TensorView<'a>>>,
    /// One per result.
    outputs: Vec<Option<TensorViewMut<'a>>>,
    /// One per number parameter.
    numbers: Vec<Option<f64>>,
    dims: Vec<(u32, i64)>,
    leading: Option<Vec<i64>>,
    threads: usize,
    mistake: Option<Error>,
}

/// The shapes of a call; see [`Bind::shapes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shapes {
    /// One per parameter of the signature; `None` for numbers.
    pub params: Vec<Option<Vec<usize>>>,
    /// One per result.
    pub results: Vec<Vec<usize>>,
    /// The size of each dimension of the signature.
    pub dims: Vec<i64>,
}

impl<'a> Bind<'a> {
    pub(crate) fn new(kernel: &'a Kernel) -> Bind<'a> {
        let plan = kernel.plan();
        Bind {
            kernel,
            inputs: vec![None; plan.inputs],
            outputs: plan.slots[plan.inputs..].iter().map(|_| None).collect(),
            numbers: vec![None; plan.numbers.len()],
            dims: Vec::new(),
            leading: None,
            threads: kernel.threads(),
            mistake: None,
        }
    }

    /// Gives an array parameter. One that has a default may be left out.
    pub fn input(self, name: &str, view: TensorView<'a>) -> Bind<'a> {
        self.with(|bind| {
            let slot = bind.input_slot(name)?;
            put(&mut bind.inputs[slot], view, name)
        })
    }

    /// Gives the memory of a result. A single unnamed result is `y`.
    pub fn output(self, name: &str, view: TensorViewMut<'a>) -> Bind<'a> {
        self.with(|bind| {
            let result = bind.result(name)?;
            put(&mut bind.outputs[result], view, name)
        })
    }

    /// Gives one array as the parameter `input` and the result `output`: the kernel runs in place. An error unless
    /// [`Kernel::in_place`].
    pub fn inout(self, input: &str, output: &str, view: TensorViewMut<'a>) -> Bind<'a> {
        self.with(|bind| {
            let (slot, result) = (bind.input_slot(input)?, bind.result(output)?);
            if !bind.kernel.in_place(input, output) {
                return Err(Error::NotInPlace { input: input.to_owned(), output: output.to_owned() });
            }
            put(&mut bind.inputs[slot], view.as_input(), input)?;
            put(&mut bind.outputs[result], view, output)
        })
    }

    /// Gives a number.
    pub fn set(self, name: &str, value: f64) -> Bind<'a> {
        self.with(|bind| {
            let kernel = bind.kernel;
            let params = &kernel.signature().params;
            let number = |number: &crate::plan::Number| params[number.param as usize].name == name;
            let Some(index) = kernel.plan().numbers.iter().position(number) else {
                let numbers = params.iter().filter(|param| matches!(param.kind, ParamKind::Scalar { .. }));
                return Err(bind.unknown("number", name, numbers.map(|param| &param.name)));
            };
            put(&mut bind.numbers[index], value, name)
        })
    }

    /// Asks for the size of a dimension. For a dimension parameter it must be the size the kernel was compiled with;
    /// any other one is bound to it, and checked against the arrays.
    pub fn dim(self, name: &str, size: i64) -> Bind<'a> {
        self.with(|bind| {
            let signature = bind.kernel.signature();
            let wrong =
                |compiled: i64| Err(Error::DimParam { name: name.to_owned(), compiled, given: size as f64 });
            if let Some((_, compiled)) = signature.dim_params.iter().find(|(param, _)| param == name) {
                return if *compiled == size { Ok(()) } else { wrong(*compiled) };
            }
            // A computed dimension may share the name of one that it is the size of.
            let named = |free: bool| {
                let fits = |dim: &DimDecl| !(free && matches!(dim.kind, DimKind::Computed(_)));
                signature.dims.iter().position(|dim| dim.name == name && fits(dim))
            };
            let Some(index) = named(true).or_else(|| named(false)) else {
                let params = || signature.dim_params.iter().map(|(param, _)| param);
                let dims = signature.dims.iter().map(|dim| &dim.name);
                let names = params().chain(dims.filter(|dim| params().all(|param| param != *dim)));
                return Err(bind.unknown("dimension", name, names));
            };
            match signature.dims[index].kind {
                DimKind::Fixed(compiled) if compiled != size => wrong(compiled),
                DimKind::Fixed(_) => Ok(()),
                DimKind::Free | DimKind::Leading | DimKind::Computed(_) => {
                    bind.dims.push((index as u32, size));
                    Ok(())
                }
            }
        })
    }

    /// Asks for the leading axes `..`.
    pub fn leading(self, shape: &[usize]) -> Bind<'a> {
        self.with(|bind| {
            if bind.kernel.plan().leading.is_none() {
                let names = bind.kernel.signature().dims.iter().map(|dim| &dim.name);
                return Err(bind.unknown("dimension", "..", names));
            }
            let sizes = shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX));
            put(&mut bind.leading, sizes.collect(), "..")
        })
    }

    /// Uses up to this many threads instead of the kernel's number; see [`Kernel::with_threads`].
    pub fn threads(mut self, threads: usize) -> Bind<'a> {
        self.threads = threads;
        self
    }

    /// The shapes of all arrays, given or not, as far as the arrays given and the sizes asked for tell them. Needs
    /// no array that its dimensions can be told without.
    pub fn shapes(&self) -> Result<Shapes, Error> {
        self.mistake.clone().map_or(Ok(()), Err)?;
        let kernel = self.kernel;
        let plan = kernel.plan();
        for (slot, view) in plan.slots.iter().zip(&self.inputs) {
            kernel.check_given(slot, view.as_ref().map(|view| &view.raw))?;
        }
        for (slot, view) in plan.slots[plan.inputs..].iter().zip(&self.outputs) {
            kernel.check_given(slot, view.as_ref().map(|view| &view.raw))?;
        }
        let array = |slot: usize| match slot.checked_sub(plan.inputs) {
            None => self.inputs[slot].as_ref().map(|view| &view.raw).filter(|raw| !raw.absent()),
            Some(result) => self.outputs[result].as_ref().map(|view| &view.raw),
        };
        let bound = crate::shape::bind(kernel.signature(), plan, &array, self.asked())?;
        let shape = |source| {
            let slot = plan.slots.iter().find(|slot| slot.source == source)?;
            Some(kernel.shape_of(slot, &bound))
        };
        let signature = kernel.signature();
        Ok(Shapes {
            params: (0..signature.params.len()).map(|param| shape(Ok(param as u32))).collect(),
            results: (0..signature.results.len()).filter_map(|result| shape(Err(result as u32))).collect(),
            dims: bound.sizes.to_vec(),
        })
    }

    /// Makes the call. If it fails, nothing was written.
    pub fn run(mut self) -> Result<(), Error> {
        self.mistake.take().map_or(Ok(()), Err)?;
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (view, result) in std::mem::take(&mut self.outputs).into_iter().zip(self.results()) {
            let missing = || Error::Missing { what: "result", name: result.name.clone() };
            outputs.push(view.ok_or_else(missing)?);
        }
        self.run_into(&outputs)
    }

    /// Makes the call, with new arrays for the results that were not given. Returns these, in order.
    pub fn run_alloc(mut self) -> Result<Vec<Tensor>, Error> {
        let shapes = self.shapes()?;
        let given = std::mem::take(&mut self.outputs);
        let mut made = Vec::new();
        for ((view, result), shape) in given.iter().zip(self.results()).zip(&shapes.results) {
            if view.is_none() {
                made.push(Tensor::zeros(result.dtype, shape)?);
            }
        }
        let mut new = made.iter_mut();
        let mut outputs: Vec<TensorViewMut<'_>> = Vec::new();
        for view in given {
            outputs.extend(view.or_else(|| new.next().map(Tensor::view_mut)));
        }
        self.run_into(&outputs)?;
        Ok(made)
    }

    fn run_into(&self, outputs: &[TensorViewMut<'_>]) -> Result<(), Error> {
        let absent = TensorView::absent();
        let inputs: Vec<_> = self.inputs.iter().map(|view| view.unwrap_or(absent)).collect();
        self.kernel.run(&inputs, outputs, Numbers::ByName(&self.numbers), self.asked(), self.threads)
    }

    fn asked(&self) -> Asked<'_> {
        Asked { dims: &self.dims, leading: self.leading.as_deref() }
    }

    fn results(&self) -> &'a [ParamDecl] {
        &self.kernel.signature().results
    }

    fn with(mut self, step: impl FnOnce(&mut Bind<'a>) -> Result<(), Error>) -> Bind<'a> {
        if self.mistake.is_none() {
            self.mistake = step(&mut self).err();
        }
        self
    }

    fn input_slot(&self, name: &str) -> Result<usize, Error> {
        let (signature, plan) = (self.kernel.signature(), self.kernel.plan());
        let slots = &plan.slots[..plan.inputs];
        let found = slots.iter().position(|slot| slot_name(signature, slot) == name);
        let names = slots.iter().map(|slot| slot_name(signature, slot));
        found.ok_or_else(|| self.unknown("array parameter", name, names))
    }

    fn result(&self, name: &str) -> Result<usize, Error> {
        let found = self.results().iter().position(|result| result.name == name);
        let names = self.results().iter().map(|result| &result.name);
        found.ok_or_else(|| self.unknown("result", name, names))
    }

    fn unknown(&self, what: &'static str, name: &str, known: impl Iterator<Item = impl AsRef<str>>) -> Error {
        // Dimensions may share a name.
        let mut names: Vec<String> = Vec::new();
        for name in known {
            if names.iter().all(|other| other != name.as_ref()) {
                names.push(name.as_ref().to_owned());
            }
        }
        let kernel = self.kernel.signature().name.clone();
        Error::UnknownName { kernel, what, name: name.to_owned(), known: names }
    }
}

/// Fills a place that must be empty.
fn put<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), Error> {
    if place.is_some() {
        return Err(Error::Twice { name: name.to_owned() });
    }
    *place = Some(value);
    Ok(())
}
