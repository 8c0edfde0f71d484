//! Kernels and modules, and the call itself. All `unsafe` of calling compiled code is here and in `pool`, on the
//! contract of [`Kernel::from_raw`].

use crate::abi::{
    Abi, DType, KernelArgs, NUMERICS_VERSION, ParamDecl, ParamKind, Phase, PhaseFn, Signature, SizeExpr,
};
use crate::bind::Bind;
use crate::cpu::Isa;
use crate::error::Error;
use crate::fpenv::FpEnv;
use crate::layout::{self, Strides};
use crate::memory::{Buffer, Little, Loan};
use crate::plan::{Number, Plan, Slot, VariantPlan};
use crate::pool::{self, LEAST_WORK, Work};
use crate::quick::{self, FEW, Fit, Frame as QuickFrame, MANY, Quick};
use crate::shape::{self, Asked, Bound, Sizes, slot_axes, slot_name};
use crate::small::element_bits;
use crate::tensor::{Raw, Tensor, TensorView, TensorViewMut};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Kernels that were compiled together. Cheap to clone; the code lives as long as any handle.
#[derive(Clone, Debug)]
pub struct Module {
    kernels: Arc<[Kernel]>,
}

impl Module {
    /// A module of these kernels.
    pub fn new(kernels: impl IntoIterator<Item = Kernel>) -> Module {
        Module { kernels: kernels.into_iter().collect() }
    }

    /// The same module, whose kernels use up to this many threads a call: see [`Kernel::with_threads`].
    pub fn with_threads(self, threads: usize) -> Module {
        Module::new(self.kernels.iter().cloned().map(|kernel| kernel.with_threads(threads)))
    }

    /// The kernel of that name.
    pub fn kernel(&self, name: &str) -> Result<Kernel, Error> {
        self.kernels.iter().find(|kernel| kernel.signature().name == name).cloned().ok_or_else(|| {
            Error::NoKernel {
                name: name.to_owned(),
                known: self.kernels.iter().map(|kernel| kernel.signature().name.clone()).collect(),
            }
        })
    }

    /// All kernels, in the order of the text.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }
}

/// A compiled kernel. Cheap to clone, may be called from several threads at once; the code lives as long as any
/// handle.
#[derive(Clone)]
pub struct Kernel {
    inner: Arc<Inner>,
    /// The form for calls with fewer places than threads.
    split: Option<Arc<Split>>,
    /// The form for calls that no variant is for.
    later: Option<Arc<Later>>,
    threads: usize,
    /// The most threads of a call.
    most_threads: usize,
    /// Operations for each thread, below which another one does not pay.
    least_work: i64,
    numerics_version: u32,
}

struct Inner {
    signature: Signature,
    abi: Abi,
    plan: Plan,
    /// The short way of a call for each variant, up to the first that has none.
    quick: Vec<Quick<FEW>>,
    /// The same for calls that need more values; empty where the other one is not.
    quick_many: Vec<Quick<MANY>>,
    functions: Vec<Vec<PhaseFn>>,
    /// What keeps the code in memory.
    _keep_alive: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("signature", &self.inner.signature)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Kernel {
    /// A kernel from its description and its code: `functions[v][p]` is phase `p` of variant `v`. Fails with
    /// [`Error::Description`] where the parts contradict each other.
    ///
    /// # Safety
    /// - The functions live as long as `keep_alive`, and this machine has the instructions in them.
    /// - Called as [`crate::abi`] says, with arguments laid out as `abi` says, they only read the arrays of
    ///   parameters at their positions, read and write the arrays of results at theirs, the shared memory, and the
    ///   thread's scratch memory; they depend on no other memory that may change.
    /// - They may run on several threads at once, on different ranges of one phase.
    /// - They do not unwind. What they write to arrays of `bool` is 0 or 1.
    pub unsafe fn from_raw(
        signature: Signature,
        abi: Abi,
        functions: Vec<Vec<PhaseFn>>,
        keep_alive: Arc<dyn Any + Send + Sync>,
    ) -> Result<Kernel, Error> {
        // SAFETY: promised by the caller.
        unsafe { Kernel::from_parts(signature, abi, functions, keep_alive, None) }
    }

    /// The same for code whose every variant has a guard: `make` is asked, once, by the first call that none is for, for a kernel
    /// that is for it. It must take the same arguments; an error says why there is none.
    ///
    /// # Safety
    /// As for [`Kernel::from_raw`].
    pub unsafe fn from_raw_open(
        signature: Signature,
        abi: Abi,
        functions: Vec<Vec<PhaseFn>>,
        keep_alive: Arc<dyn Any + Send + Sync>,
        make: impl Fn() -> Result<Kernel, String> + Send + Sync + 'static,
    ) -> Result<Kernel, Error> {
        let later = Some(Arc::new(Later { made: OnceLock::new(), make: Box::new(make) }));
        // SAFETY: promised by the caller.
        unsafe { Kernel::from_parts(signature, abi, functions, keep_alive, later) }
    }

    /// # Safety
    /// As for [`Kernel::from_raw`].
    unsafe fn from_parts(
        signature: Signature,
        abi: Abi,
        functions: Vec<Vec<PhaseFn>>,
        keep_alive: Arc<dyn Any + Send + Sync>,
        later: Option<Arc<Later>>,
    ) -> Result<Kernel, Error> {
        let plan = Plan::new(&signature, &abi, later.is_some())?;
        let counts = abi.variants.iter().map(|variant| variant.phases.len());
        if !counts.eq(functions.iter().map(Vec::len)) {
            let problem = "there is not one function for each phase".to_owned();
            return Err(Error::Description { kernel: signature.name, problem });
        }
        let quick = quick::all(&plan, &abi, &functions);
        let many = if quick.is_empty() { quick::all(&plan, &abi, &functions) } else { Vec::new() };
        let inner =
            Inner { signature, abi, plan, quick, quick_many: many, functions, _keep_alive: keep_alive };
        let (inner, numerics_version) = (Arc::new(inner), NUMERICS_VERSION);
        Ok(Kernel {
            inner,
            split: None,
            later,
            threads: 1,
            most_threads: usize::MAX,
            least_work: LEAST_WORK,
            numerics_version,
        })
    }

    /// The same kernel with another form of it, in which threads share what is in a row. `make` is asked for it once, by the
    /// first call that has fewer places than threads and much to do at each; it must take the same arguments and give the same
    /// bits. Where `make` gives none, or a call of it fails, calls are made without it.
    pub fn with_split(mut self, make: impl Fn() -> Option<Kernel> + Send + Sync + 'static) -> Kernel {
        self.split = Some(Arc::new(Split::new(make)));
        self
    }

    /// The form for calls that no variant is for, made if it is not there yet.
    pub fn later(&self) -> Result<&Kernel, Error> {
        let made = self.later.as_ref().map(|later| later.made.get_or_init(|| (later.make)()));
        match made {
            Some(Ok(kernel)) => Ok(kernel),
            Some(Err(problem)) => Err(self.described(problem)),
            None => Err(self.described("there is no variant for these sizes")),
        }
    }

    #[cold]
    fn described(&self, problem: &str) -> Error {
        Error::Description { kernel: self.inner.signature.name.clone(), problem: problem.to_owned() }
    }

    /// The form of [`Kernel::with_split`], made if it is not there yet.
    pub fn split(&self) -> Option<&Kernel> {
        self.split.as_ref()?.get()
    }

    /// The same kernel, whose calls use up to this many threads where the work is large enough; 0 means as many as
    /// rayon has. Kernels start with 1: the calling thread only. The threads are those of the rayon pool that the
    /// call is made in, by default the global one. Without feature `threads` it is always 1.
    pub fn with_threads(mut self, threads: usize) -> Kernel {
        self.threads = threads;
        self
    }

    /// The same kernel, whose calls never use more threads than that (at least 1), however many they are offered.
    pub fn with_most_threads(mut self, threads: usize) -> Kernel {
        self.most_threads = threads.max(1);
        self
    }

    /// The same kernel, which takes another thread only where each has so many operations on elements (a load, a sum and a store
    /// are three, an exponential is 12). The default is measured: below it a second thread is woken too late to help.
    pub fn with_least_work(mut self, operations: i64) -> Kernel {
        self.least_work = operations.max(1);
        self
    }

    /// The same kernel, marked as compiled with this version of the numerics.
    pub(crate) fn with_numerics_version(mut self, version: u32) -> Kernel {
        self.numerics_version = version;
        self
    }

    /// [`Error::Isa`] unless this machine runs code for that level.
    pub fn check_isa(name: &str, needs: Isa) -> Result<(), Error> {
        let machine = Isa::detect();
        if machine.runs(needs) { Ok(()) } else { Err(Error::Isa { kernel: name.to_owned(), needs, machine }) }
    }

    /// Parameters, results, dimensions, defaults and documentation.
    pub fn signature(&self) -> &Signature {
        &self.inner.signature
    }

    /// How the code wants its arguments.
    pub fn abi(&self) -> &Abi {
        &self.inner.abi
    }

    /// How many threads a call uses; see [`Kernel::with_threads`] and [`Kernel::with_most_threads`].
    pub fn threads(&self) -> usize {
        self.at_most(self.threads)
    }

    /// The threads for a call that asks for so many.
    #[inline]
    fn team(&self, threads: usize) -> Team {
        Team { threads: self.at_most(threads), least_work: self.least_work }
    }

    /// That many threads, or as many as there may be.
    #[inline]
    fn at_most(&self, threads: usize) -> usize {
        if threads != 0 && threads <= self.most_threads || self.most_threads == usize::MAX {
            return threads;
        }
        thread_count(threads).min(self.most_threads)
    }

    /// Two kernels of one text with the same number here give the same bits for the same call.
    pub fn numerics_version(&self) -> u32 {
        self.numerics_version
    }

    /// Whether the result `output` may be written into the memory of the parameter `input`.
    pub fn in_place(&self, input: &str, output: &str) -> bool {
        let signature = &self.inner.signature;
        let param = signature.params.iter().position(|param| param.name == input);
        let result = signature.results.iter().position(|result| result.name == output);
        let (Some(param), Some(result)) = (param, result) else { return false };
        let pair = (param as u32, result as u32);
        self.inner.abi.variants.iter().all(|variant| variant.in_place.contains(&pair))
    }

    /// Starts a call by name.
    pub fn bind(&self) -> Bind<'_> {
        Bind::new(self)
    }

    /// Calls the kernel by place. `inputs` are the array parameters in order ([`TensorView::absent`] for one that is
    /// left out), `outputs` the results. `numbers` are the scalar parameters in order, after which the dimension
    /// parameters may follow (they must be what the kernel was compiled with); or it is empty, for the defaults.
    ///
    /// Allocates nothing where no array has to be copied or filled, up to 16 arrays and 32 dimensions. If it fails,
    /// nothing was written.
    pub fn call(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        numbers: &[f64],
    ) -> Result<(), Error> {
        self.check_input_count(inputs.len())?;
        if outputs.len() != self.inner.signature.results.len() {
            let results = self.inner.signature.results.iter();
            return Err(self.count("output arrays", results.map(|result| &result.name), outputs.len()));
        }
        let mut numbers = numbers;
        if !numbers.is_empty() && numbers.len() != self.inner.plan.numbers.len() {
            numbers = self.without_dim_params(numbers)?;
        }
        let team = self.team(self.threads);
        if team.threads != 1
            && self.run_split(inputs, outputs, Numbers::ByPlace(numbers), Asked::default(), team)
        {
            return Ok(());
        }
        let given = |index: usize| numbers.get(index).copied();
        let call = Call { inputs, outputs, given, defaults: numbers.is_empty(), team };
        if self.run_quickly(&call) {
            return Ok(());
        }
        self.run_generally(inputs, outputs, Numbers::ByPlace(numbers), Asked::default(), team)
    }

    /// The shapes of the results for these array parameters (see [`Kernel::call`]).
    pub fn result_shapes(&self, inputs: &[TensorView<'_>]) -> Result<Vec<Vec<usize>>, Error> {
        self.check_input_count(inputs.len())?;
        let bound = self.bind_dims(inputs, &[], Asked::default())?;
        let results = self.inner.plan.slots[self.inner.plan.inputs..].iter();
        Ok(results.map(|slot| self.shape_of(slot, &bound)).collect())
    }

    /// As [`Kernel::call`], with new arrays for the results.
    pub fn run_alloc(&self, inputs: &[TensorView<'_>], numbers: &[f64]) -> Result<Vec<Tensor>, Error> {
        let shapes = self.result_shapes(inputs)?;
        let results = self.inner.signature.results.iter();
        let mut tensors = results
            .zip(&shapes)
            .map(|(result, shape)| Tensor::zeros(result.dtype, shape))
            .collect::<Result<Vec<_>, _>>()?;
        let mut outputs: Vec<_> = tensors.iter_mut().map(Tensor::view_mut).collect();
        self.call(inputs, &mut outputs, numbers)?;
        Ok(tensors)
    }

    /// Checks a view, if there is one.
    pub(crate) fn check_given(&self, slot: &Slot, raw: Option<&Raw>) -> Result<(), Error> {
        if raw.is_none_or(|raw| raw.absent()) { Ok(()) } else { self.inner.check_view(slot, raw) }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    /// The whole call, with the right number of arrays.
    pub(crate) fn run(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        numbers: Numbers<'_>,
        asked: Asked<'_>,
        threads: usize,
    ) -> Result<(), Error> {
        self.run_in(inputs, outputs, numbers, asked, self.team(threads))
    }

    /// The same with the threads decided.
    fn run_in(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        numbers: Numbers<'_>,
        asked: Asked<'_>,
        team: Team,
    ) -> Result<(), Error> {
        if team.threads != 1 && self.run_split(inputs, outputs, numbers, asked, team) {
            return Ok(());
        }
        let given = |index: usize| numbers.get(index);
        let call = Call { inputs, outputs, given, defaults: numbers.are_defaults(), team };
        if asked.is_nothing() && self.run_quickly(&call) {
            return Ok(());
        }
        self.run_generally(inputs, outputs, numbers, asked, team)
    }

    /// Makes the call the short way, if there is one; otherwise does nothing and returns false.
    #[inline(always)]
    fn run_quickly(&self, call: &Call<'_, impl Fn(usize) -> Option<f64>>) -> bool {
        let inner = &*self.inner;
        match inner.quick.first() {
            Some(quick) => inner.run_quick(&inner.quick, quick, 0, call),
            None => inner.run_quick_later(&inner.quick_many, 0, call),
        }
    }

    /// Makes the call in the form in which threads share what is in a row, if that pays; otherwise does nothing and returns
    /// false.
    #[inline(never)]
    fn run_split(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        numbers: Numbers<'_>,
        asked: Asked<'_>,
        team: Team,
    ) -> bool {
        let Some(split) = &self.split else { return false };
        let raws = inputs.iter().map(|view| &view.raw).chain(outputs.iter().map(|view| &view.raw));
        let len = |raw: &Raw| raw.shape().iter().fold(1i64, |len, &size| len.saturating_mul(size));
        let largest = raws.map(len).max().unwrap_or(0);
        let threads = thread_count(team.threads);
        // An element is one operation or more.
        if threads <= 1 || largest < LEAST_SPLIT.min(team.least_work) {
            return false;
        }
        let Ok(bound) = self.bind_dims(inputs, outputs, asked) else { return false };
        let Ok(Some(index)) = self.inner.pick(&bound.sizes) else { return false };
        let phases = &self.inner.abi.variants[index].phases;
        let too_few = |phase: &Phase| {
            let extent = phase.extent.eval(&bound.sizes).unwrap_or(i64::MAX);
            let ranges = extent / phase.grain + i64::from(extent % phase.grain != 0);
            0 < ranges && ranges < i64::try_from(threads).unwrap_or(i64::MAX)
        };
        // If it fails, nothing was written; the ordinary way says what is wrong.
        phases.iter().any(too_few)
            && split
                .get()
                .is_some_and(|split| split.run_generally(inputs, outputs, numbers, asked, team).is_ok())
    }

    /// Makes the call the short way, or does nothing and returns false.
    #[cfg(test)]
    pub(crate) fn runs_quickly(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        numbers: &[f64],
    ) -> bool {
        let given = |index: usize| numbers.get(index).copied();
        let defaults = numbers.is_empty();
        self.run_quickly(&Call { inputs, outputs, given, defaults, team: self.team(self.threads) })
    }

    /// As [`Kernel::run`], whatever the arrays are; says what is wrong.
    #[inline(never)]
    pub(crate) fn run_generally(
        &self,
        inputs: &[TensorView<'_>],
        outputs: &[TensorViewMut<'_>],
        numbers: Numbers<'_>,
        asked: Asked<'_>,
        team: Team,
    ) -> Result<(), Error> {
        let inner = &*self.inner;
        let sizes = self.bind_dims(inputs, outputs, asked)?.sizes;
        let Some(index) = inner.pick(&sizes)? else {
            return self.later()?.run_in(inputs, outputs, numbers, asked, team);
        };
        let array = |slot: usize| array(inputs, outputs, slot);
        inner.check_overlaps(&inner.plan.variants[index], &array)?;
        let mut frame = Frame::default();
        inner.lay_out(index, &sizes, &array, &mut frame)?;
        inner.lay_out_numbers(index, numbers, &mut frame.scalars)?;
        // SAFETY: the frame was laid out for this variant, over views that are readable and, for results, writable
        // until the end of this function; results share memory with nothing but what the variant allows.
        unsafe { inner.run_phases(index, &sizes, &frame, team) }?;
        for (slot, copy) in frame.copies.iter().filter(|(slot, _)| *slot >= inner.plan.inputs) {
            if let Some(raw) = array(*slot) {
                // SAFETY: the copy was made for this view in `lay_out`, and the view is one of the outputs.
                unsafe { layout::copy_back(raw, copy) };
            }
        }
        Ok(())
    }

    /// Checks the views themselves and binds all dimensions.
    #[inline]
    pub(crate) fn bind_dims<'a>(
        &self,
        inputs: &'a [TensorView<'_>],
        outputs: &'a [TensorViewMut<'_>],
        asked: Asked<'a>,
    ) -> Result<Bound<'a>, Error> {
        let inner = &*self.inner;
        let array = |slot: usize| array(inputs, outputs, slot);
        for (index, slot) in inner.plan.slots[..inputs.len() + outputs.len()].iter().enumerate() {
            inner.check_view(slot, array(index))?;
        }
        shape::bind(&inner.signature, &inner.plan, &array, asked)
    }

    /// The shape that an array has, as the caller sees it.
    pub(crate) fn shape_of(&self, slot: &Slot, bound: &Bound<'_>) -> Vec<usize> {
        let mut shape = Vec::new();
        for (axis, dims) in slot_axes(&self.inner.signature, slot).iter().enumerate() {
            match bound.leading {
                Some((leading, _)) if slot.leading == Some(axis as u32) => {
                    shape.extend(leading.iter().map(|&size| size as usize));
                }
                Some(_) | None => {
                    let sizes = dims.iter().map(|&dim| bound.sizes[dim as usize] as usize);
                    shape.push(sizes.fold(1, usize::saturating_mul));
                }
            }
        }
        shape
    }

    #[inline]
    fn check_input_count(&self, given: usize) -> Result<(), Error> {
        if given == self.inner.plan.inputs {
            return Ok(());
        }
        let names = self.inner.plan.slots[..self.inner.plan.inputs].iter();
        Err(self.count("input arrays", names.map(|slot| slot_name(&self.inner.signature, slot)), given))
    }

    /// The number parameters among these numbers, which are not as many; checks the dimension parameters that follow.
    #[cold]
    fn without_dim_params<'n>(&self, numbers: &'n [f64]) -> Result<&'n [f64], Error> {
        let inner = &*self.inner;
        let (scalars, dims) = (inner.plan.numbers.len(), &inner.signature.dim_params);
        if numbers.len() != scalars + dims.len() {
            let params = inner.signature.params.iter();
            let names = params.filter(|param| matches!(param.kind, ParamKind::Scalar { .. }));
            let names = names.map(|param| &param.name).chain(dims.iter().map(|(name, _)| name));
            return Err(self.count("numbers", names, numbers.len()));
        }
        let (numbers, given) = numbers.split_at(scalars);
        for ((name, compiled), &given) in dims.iter().zip(given) {
            if given != *compiled as f64 {
                return Err(Error::DimParam { name: name.clone(), compiled: *compiled, given });
            }
        }
        Ok(numbers)
    }

    #[cold]
    fn count(&self, what: &'static str, names: impl Iterator<Item = impl AsRef<str>>, given: usize) -> Error {
        let expected = names.map(|name| name.as_ref().to_owned()).collect();
        Error::Count { kernel: self.inner.signature.name.clone(), what, expected, given }
    }
}

/// A call by place of which nothing else is asked.
struct Call<'a, Given> {
    inputs: &'a [TensorView<'a>],
    outputs: &'a [TensorViewMut<'a>],
    /// The numbers given, by their index.
    given: Given,
    /// Whether there are none.
    defaults: bool,
    team: Team,
}

/// The values of the number parameters of a call.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    /// All of them, or none for the defaults.
    ByPlace(&'a [f64]),
    /// One entry each.
    ByName(&'a [Option<f64>]),
}

impl Numbers<'_> {
    /// Whether none is given.
    #[inline]
    pub(crate) fn are_defaults(&self) -> bool {
        match self {
            Numbers::ByPlace(numbers) => numbers.is_empty(),
            Numbers::ByName(numbers) => numbers.iter().all(Option::is_none),
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<f64> {
        match self {
            Numbers::ByPlace(numbers) => numbers.get(index).copied(),
            Numbers::ByName(numbers) => numbers[index],
        }
    }
}

/// The array given for a slot.
#[inline]
fn array<'a>(inputs: &'a [TensorView<'_>], outputs: &'a [TensorViewMut<'_>], slot: usize) -> Option<&'a Raw> {
    match slot.checked_sub(inputs.len()) {
        None => Some(&inputs[slot].raw).filter(|raw| !raw.absent()),
        Some(output) => outputs.get(output).map(|view| &view.raw),
    }
}

/// Elements of the largest array below which splitting rows costs more than it brings.
const LEAST_SPLIT: i64 = 1 << 18;

/// Another form of a kernel, made when it is first needed.
struct Split {
    made: OnceLock<Option<Kernel>>,
    make: Box<dyn Fn() -> Option<Kernel> + Send + Sync>,
}

/// The form for calls that no variant is for, made when it is first needed.
struct Later {
    made: OnceLock<Result<Kernel, String>>,
    make: Box<dyn Fn() -> Result<Kernel, String> + Send + Sync>,
}

impl Split {
    fn new(make: impl Fn() -> Option<Kernel> + Send + Sync + 'static) -> Split {
        Split { made: OnceLock::new(), make: Box::new(make) }
    }

    fn get(&self) -> Option<&Kernel> {
        self.made.get_or_init(|| (self.make)()).as_ref()
    }
}

/// What [`KernelArgs`] points to.
#[derive(Default)]
struct Frame {
    data: SmallVec<[*mut u8; 16]>,
    sizes: SmallVec<[i64; 32]>,
    strides: Strides,
    scalars: SmallVec<[u64; 16]>,
    /// Arrays that stand for those of a slot, because they were left out or have strides of their own.
    copies: SmallVec<[(usize, Buffer); 2]>,
}

impl Inner {
    #[inline]
    fn check_view(&self, slot: &Slot, raw: Option<&Raw>) -> Result<(), Error> {
        let name = || slot_name(&self.signature, slot).to_owned();
        match raw {
            None if slot.default.is_some() => Ok(()),
            None => Err(Error::Missing { what: "array parameter", name: name() }),
            Some(raw) => match raw.fault() {
                Some(cause) => Err(Error::View { name: name(), cause }),
                None if raw.dtype == slot.dtype => Ok(()),
                None => Err(Error::DType { name: name(), expected: slot.dtype, given: raw.dtype }),
            },
        }
    }

    /// The first variant whose guard admits these sizes; none only if all have one.
    #[inline]
    fn pick(&self, sizes: &Sizes) -> Result<Option<usize>, Error> {
        for (index, variant) in self.abi.variants.iter().enumerate() {
            match &variant.guard {
                Some((size, most)) if self.eval(size, sizes)? > *most => {}
                Some(_) | None => return Ok(Some(index)),
            }
        }
        Ok(None)
    }

    #[inline]
    fn eval(&self, size: &SizeExpr, sizes: &Sizes) -> Result<i64, Error> {
        match size {
            SizeExpr::Const(value) => Ok(*value),
            SizeExpr::Dim(dim) => Ok(sizes[*dim as usize]),
            _ => size.eval(sizes).ok_or_else(|| self.too_large()),
        }
    }

    /// As `eval`, for a number of bytes or units.
    #[inline]
    fn eval_count(&self, size: &SizeExpr, sizes: &Sizes) -> Result<usize, Error> {
        usize::try_from(self.eval(size, sizes)?).map_err(|_| self.too_large())
    }

    #[cold]
    fn too_large(&self) -> Error {
        Error::TooLarge { what: format!("the work of `{}`", self.signature.name) }
    }

    /// Refuses results that share memory with another array, unless it is the same array and the variant is made
    /// for that. Compares address ranges, so arrays that lie between each other's rows are refused too.
    #[inline]
    fn check_overlaps<'a>(
        &self,
        variant: &VariantPlan,
        array: &impl Fn(usize) -> Option<&'a Raw>,
    ) -> Result<(), Error> {
        for output in self.plan.inputs..self.plan.slots.len() {
            let Some(written) = array(output).filter(|raw| raw.bytes > 0) else { continue };
            let (start, end) = written.span();
            for slot in 0..output {
                let Some(other) = array(slot).filter(|raw| raw.bytes > 0) else { continue };
                let (other_start, other_end) = other.span();
                if start < other_end && other_start < end {
                    self.check_in_place(variant, (slot, other), (output, written))?;
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn check_in_place(
        &self,
        variant: &VariantPlan,
        other: (usize, &Raw),
        written: (usize, &Raw),
    ) -> Result<(), Error> {
        let same = other.1.same_array(written.1);
        if same && variant.in_place.contains(&(other.0 as u32, written.0 as u32)) {
            return Ok(());
        }
        let name = |slot: usize| slot_name(&self.signature, &self.plan.slots[slot]).to_owned();
        Err(Error::Overlap { first: name(other.0), second: name(written.0), same })
    }

    /// Pointers, strides and sizes.
    #[inline]
    fn lay_out<'a>(
        &self,
        index: usize,
        sizes: &Sizes,
        array: &impl Fn(usize) -> Option<&'a Raw>,
        frame: &mut Frame,
    ) -> Result<(), Error> {
        for tensor in &self.plan.variants[index].tensors {
            let slot = tensor.slot as usize;
            let Some(raw) = array(slot) else {
                let (dtype, default) = (self.plan.slots[slot].dtype, self.plan.slots[slot].default);
                let bits = self.slot_bits(slot, dtype, default.unwrap_or(0.0))?;
                frame.keep(slot, layout::filled(tensor, sizes, dtype, bits)?);
                layout::dense_strides(tensor, sizes, &mut frame.strides);
                continue;
            };
            if raw.is_dense() {
                frame.data.push(raw.ptr);
                layout::dense_strides(tensor, sizes, &mut frame.strides);
            } else if layout::own_strides(&self.plan, tensor, sizes, raw, &mut frame.strides) {
                frame.data.push(raw.ptr);
            } else {
                let input = slot < self.plan.inputs;
                frame.keep(slot, if input { layout::dense_copy(raw) } else { layout::room_for(raw) }?);
                layout::dense_strides(tensor, sizes, &mut frame.strides);
            }
        }
        for size in &self.abi.variants[index].sizes {
            frame.sizes.push(self.eval(size, sizes)?);
        }
        Ok(())
    }

    fn slot_bits(&self, slot: usize, dtype: DType, value: f64) -> Result<u64, Error> {
        let name = || slot_name(&self.signature, &self.plan.slots[slot]).to_owned();
        element_bits(dtype, value).ok_or_else(|| Error::Number { name: name(), dtype, value })
    }

    /// Eight bytes per number. All numbers are checked, also those that this variant does not take.
    #[inline]
    fn lay_out_numbers(
        &self,
        index: usize,
        numbers: Numbers<'_>,
        scalars: &mut SmallVec<[u64; 16]>,
    ) -> Result<(), Error> {
        if self.plan.numbers.is_empty() {
            return Ok(());
        }
        let mut all: SmallVec<[u64; 16]> = SmallVec::new();
        for (index, number) in self.plan.numbers.iter().enumerate() {
            all.push(self.number_bits(number, numbers.get(index))?);
        }
        scalars.extend(self.plan.variants[index].numbers.iter().map(|&number| all[number as usize]));
        Ok(())
    }

    #[inline]
    fn number_bits(&self, number: &Number, given: Option<f64>) -> Result<u64, Error> {
        let decl: &ParamDecl = &self.signature.params[number.param as usize];
        let Some(value) = given.or(number.default) else {
            return Err(Error::Missing { what: "number", name: decl.name.clone() });
        };
        let dtype = number.dtype;
        if let Some((low, high)) = number.range.filter(|&range| !within(dtype, value, range)) {
            return Err(Error::Range { name: decl.name.clone(), low, high, value });
        }
        element_bits(dtype, value).ok_or_else(|| Error::Number { name: decl.name.clone(), dtype, value })
    }

    /// Makes a call the short way, in this variant or a later one; or does nothing and returns false.
    #[inline(always)]
    fn run_quick<const VALUES: usize>(
        &self,
        variants: &[Quick<VALUES>],
        quick: &Quick<VALUES>,
        index: usize,
        call: &Call<'_, impl Fn(usize) -> Option<f64>>,
    ) -> bool {
        let mut frame = quick.frame();
        match quick.lay_out(call.inputs, call.outputs, &mut frame) {
            Fit::Yes => {}
            Fit::Overlapping => {
                let array = |slot: usize| array(call.inputs, call.outputs, slot);
                if self.check_overlaps(&self.plan.variants[index], &array).is_err() {
                    return false;
                }
            }
            Fit::NextVariant => return self.run_quick_later(variants, index + 1, call),
            Fit::No => return false,
        }
        let own;
        let scalars = if call.defaults {
            quick.defaults()
        } else {
            own = quick.numbers(&call.given);
            own.as_ref().map(|own| &own[..])
        };
        let Some(scalars) = scalars else { return false };
        // SAFETY: the frame was laid out by this very plan, over views that are readable and, for results, writable
        // as long as the call; results share memory with nothing but what the variant allows.
        unsafe { self.run_quick_phases(quick, index, &frame, scalars, call.team) }
    }

    /// As `run_quick`, apart from the call that most often goes there.
    #[inline(never)]
    fn run_quick_later<const VALUES: usize>(
        &self,
        variants: &[Quick<VALUES>],
        index: usize,
        call: &Call<'_, impl Fn(usize) -> Option<f64>>,
    ) -> bool {
        variants.get(index).is_some_and(|quick| self.run_quick(variants, quick, index, call))
    }

    /// Runs the phases in order; false, before the first one, where there is no memory for them.
    ///
    /// # Safety
    /// The frame was laid out by this short way of this variant; its arrays may be read, those of results written, by
    /// this call alone; they overlap only as the variant allows.
    #[inline(always)]
    unsafe fn run_quick_phases<const VALUES: usize>(
        &self,
        quick: &Quick<VALUES>,
        index: usize,
        frame: &QuickFrame<VALUES>,
        scalars: &[u64],
        team: Team,
    ) -> bool {
        let mut little = Little::new();
        let Some(start) = quick.little(frame).filter(|_| team.threads == 1) else {
            // SAFETY: passed on.
            return unsafe { self.run_quick_phases_with_more(quick, index, frame, scalars, team) };
        };
        let (shared, scratch) = little.parts(start);
        let args = quick.args(frame, scalars, shared);
        let _env = FpEnv::enter();
        for phase in &quick.phases {
            let extent = phase.extent(frame);
            if extent != 0 {
                // SAFETY: as in `run_phases`; the whole extent on one thread.
                unsafe { (phase.function)(&args, scratch, 0, extent) };
            }
        }
        true
    }

    /// As `run_quick_phases`, on several threads or with memory that is lent.
    ///
    /// # Safety
    /// As for `run_quick_phases`.
    #[inline(never)]
    unsafe fn run_quick_phases_with_more<const VALUES: usize>(
        &self,
        quick: &Quick<VALUES>,
        index: usize,
        frame: &QuickFrame<VALUES>,
        scalars: &[u64],
        team: Team,
    ) -> bool {
        let (shared, scratch) = quick.memory(frame);
        let (Ok(shared), Ok(scratch)) = (Loan::take(shared), Loan::take(scratch)) else { return false };
        let args = quick.args(frame, scalars, shared.as_ptr());
        let threads = thread_count(team.threads);
        let sizes = if threads > 1 { quick.sizes(frame) } else { Sizes::new() };
        let _env = FpEnv::enter();
        for (phase, described) in quick.phases.iter().zip(&self.abi.variants[index].phases) {
            let extent = phase.extent(frame);
            if extent == 0 {
                continue;
            }
            // Work that can't be counted is surely enough for all threads.
            let per_unit = if threads > 1 { described.work.eval(&sizes).unwrap_or(i64::MAX) } else { 0 };
            let (function, grain, bytes) = (phase.function, described.grain, phase.scratch(frame));
            let work = Work { function, args: &args, extent, grain, scratch: bytes, per_unit };
            // SAFETY: as in `run_phases`.
            unsafe { pool::run(&work, threads, team.least_work, scratch.as_ptr()) };
        }
        true
    }

    /// Runs the phases in order.
    ///
    /// # Safety
    /// The frame was laid out for this variant and these sizes; its arrays may be read, those of results written,
    /// by this call alone; they overlap only as the variant allows.
    #[inline]
    unsafe fn run_phases(&self, index: usize, sizes: &Sizes, frame: &Frame, team: Team) -> Result<(), Error> {
        let variant = &self.abi.variants[index];
        // Everything that may fail comes before the first phase, so that a failed call writes nothing.
        let mut most_scratch = 0;
        for phase in &variant.phases {
            self.eval_count(&phase.extent, sizes)?;
            most_scratch = most_scratch.max(self.eval_count(&phase.scratch, sizes)?);
        }
        let shared = Loan::take(self.eval_count(&variant.shared, sizes)?)?;
        let scratch = Loan::take(most_scratch)?;
        let args = KernelArgs {
            data: frame.data.as_ptr(),
            sizes: frame.sizes.as_ptr(),
            strides: frame.strides.as_ptr(),
            scalars: frame.scalars.as_ptr(),
            shared: shared.as_ptr(),
        };
        let threads = thread_count(team.threads);
        let _env = FpEnv::enter();
        for (phase, &function) in variant.phases.iter().zip(&self.functions[index]) {
            let extent = self.eval(&phase.extent, sizes)?;
            if extent == 0 {
                continue;
            }
            let (per_unit, bytes) = if threads > 1 {
                // Work that can't be counted is surely enough for all threads.
                (phase.work.eval(sizes).unwrap_or(i64::MAX), self.eval_count(&phase.scratch, sizes)?)
            } else {
                (0, 0)
            };
            let work = Work { function, args: &args, extent, grain: phase.grain, scratch: bytes, per_unit };
            // SAFETY: the arguments are laid out as the abi says, by the caller's promise; the contract of
            // `Kernel::from_raw` allows the call then, and its split. The scratch memory has room for each phase.
            unsafe { pool::run(&work, threads, team.least_work, scratch.as_ptr()) };
        }
        Ok(())
    }
}

impl Frame {
    /// Passes the buffer instead of the array of that slot.
    fn keep(&mut self, slot: usize, buffer: Buffer) {
        self.data.push(buffer.as_ptr());
        self.copies.push((slot, buffer));
    }
}

/// Whether a number, rounded to its type, lies in a range, whose ends belong to it. NaN lies in none.
#[inline]
pub(crate) fn within(dtype: DType, value: f64, (low, high): (f64, f64)) -> bool {
    let value = if dtype == DType::F32 { f64::from(value as f32) } else { value };
    low <= value && value <= high
}

/// Threads for a call.
#[derive(Clone, Copy)]
pub(crate) struct Team {
    /// How many there may be; 0 for as many as rayon has.
    pub(crate) threads: usize,
    /// Operations for each, below which another one does not pay.
    pub(crate) least_work: i64,
}

/// The number of threads that a number asked for means.
#[inline]
fn thread_count(threads: usize) -> usize {
    #[cfg(feature = "threads")]
    return if threads == 0 { rayon::current_num_threads() } else { threads };
    #[cfg(not(feature = "threads"))]
    return threads.min(1);
}
