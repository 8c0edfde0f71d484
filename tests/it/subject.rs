//! A compiled kernel with what the compiler made on the way, and the ways to run it: the graph's evaluator, the
//! interpreter before and after the layout passes, machine code.

use act::backend::{BackendError, Engine, wide};
use act::diag::{Source, Sources, render};
use act::emit::jit;
use act::graph::eval::{all_sizes, eval};
use act::graph::wide::Wide;
use act::graph::{Constant, Graph, Node};
use act::graph_passes::fuse;
use act::loops::interp::{self, Arg, Array};
use act::loops::{Elem, Func, Verified};
use act::pipeline::{self, Blind, Observer, Options};
use act::types::{DimId, DimKind};
use act::{DType, Kernel, Target, TensorView, TensorViewMut};
use act::{lower, schedule};

use crate::inputs::Input;

/// A kernel at every stage that can be run.
pub struct Subject {
    /// `file: kernel`, for messages.
    pub name: String,
    /// As the text says it.
    pub source: Graph,
    /// After the graph passes.
    pub optimized: Graph,
    /// After the numeric passes.
    pub numeric: Func,
    /// After all passes.
    pub layout: Func,
    /// Machine code, by the wide back end where this machine has it.
    pub kernel: Kernel,
    /// Machine code by Cranelift.
    pub narrow: Kernel,
}

/// Keeps what the compiler shows.
#[derive(Default)]
struct Keep {
    optimized: Option<Graph>,
    funcs: Option<(Func, Func)>,
}

impl Observer for Keep {
    fn graph(&mut self, graph: &Graph) {
        self.optimized = Some(graph.clone());
    }

    fn funcs(&mut self, numeric: &Func, layout: &Verified) {
        self.funcs = Some((numeric.clone(), layout.func().clone()));
    }
}

/// The kernels of a text as graphs.
pub fn graphs(name: &str, text: &str) -> Vec<Graph> {
    let mut sources = Sources::new();
    let file = sources.add(Source::new(name, text));
    match pipeline::front(&sources, file, &Options::default(), &mut Blind) {
        Ok(lowered) => lowered.graphs,
        Err(found) => panic!("{}", render(&found, &sources, false)),
    }
}

/// The kernels of a file, compiled for this machine.
pub fn subjects(input: &Input) -> Vec<Subject> {
    let graphs = graphs(&input.path.to_string_lossy(), &input.text);
    let subject =
        |graph| subject(&input.name, graph).unwrap_or_else(|error| panic!("{}: {error}", input.name));
    graphs.into_iter().map(subject).collect()
}

/// A graph, compiled for this machine.
pub fn subject(file: &str, source: Graph) -> Result<Subject, BackendError> {
    subject_with(file, source, &Options::default())
}

/// A graph, compiled for a level that this machine has.
pub fn subject_for(file: &str, source: Graph, target: &Target) -> Result<Subject, BackendError> {
    subject_with(file, source, &Options { target: target.clone(), ..Options::default() })
}

/// The same with options.
pub fn subject_with(file: &str, source: Graph, options: &Options) -> Result<Subject, BackendError> {
    let mut keep = Keep::default();
    let compile = |engine, watch: &mut dyn Observer| {
        let options = Options { engine, ..options.clone() };
        let compiled = pipeline::compile_graph(source.clone(), &options, watch)?;
        let module = jit::load(vec![compiled]).expect("this machine runs its own code");
        Ok::<Kernel, BackendError>(module.kernels()[0].clone())
    };
    // Nothing falls back.
    let engine = if wide::serves(&options.target) { Engine::Wide } else { Engine::Auto };
    let (narrow, kernel) = (compile(Engine::Cranelift, &mut Blind)?, compile(engine, &mut keep)?);
    let (numeric, layout) = keep.funcs.expect("the compiler shows the loop IR");
    Ok(Subject {
        name: format!("{file}: {}", source.name),
        optimized: keep.optimized.expect("the compiler shows the graph"),
        source,
        numeric,
        layout,
        kernel,
        narrow,
    })
}

/// The form of a kernel in which threads share what is in a row.
pub struct Split {
    /// After the numeric passes.
    pub numeric: Func,
    /// After all passes.
    pub layout: Func,
}

impl Subject {
    /// Its form in which threads share what is in a row, if it has one.
    pub fn split(&self) -> Option<Split> {
        let options = Options::default();
        let regions = fuse(&self.optimized);
        let plan = schedule::plan(&self.optimized, &regions, &options.layout_target());
        let func = lower::lower(&self.optimized, &regions, &plan);
        if !act::loop_passes::split::applies(&func) {
            return None;
        }
        let mut keep = Keep::default();
        let signature = pipeline::signature(&self.source);
        pipeline::compile_split(&signature, func, &options, &mut keep).expect("the target is this machine");
        let (numeric, layout) = keep.funcs.expect("the compiler shows the loop IR");
        Some(Split { numeric, layout })
    }
}

/// What one call gets: the sizes of all dimensions and the elements of each parameter, dense.
#[derive(Clone, Debug)]
pub struct Data {
    /// By dimension.
    pub sizes: Vec<i64>,
    /// By parameter; numbers are arrays of one element.
    pub args: Vec<Array>,
}

/// What numbers the arrays hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Between -4 and 4.
    Ordinary,
    /// Of every magnitude.
    Extreme,
    /// Every tenth or so NaN, infinite, zero, subnormal or huge.
    Special,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Ordinary, Kind::Extreme, Kind::Special];
}

/// A small generator of numbers, the same everywhere.
pub struct Numbers(u64);

impl Numbers {
    /// Starts at a place of the sequence.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    /// A number below `below`.
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// Between -1 and 1.
    fn unit(&mut self) -> f64 {
        (self.below(1 << 24) as f64 + 0.5) / f64::from(1 << 23) - 1.0
    }

    fn float(&mut self, kind: Kind, dtype: DType) -> f64 {
        let ordinary = 4.0 * self.unit();
        let (most, least) = match dtype {
            DType::F64 => (f64::MAX, 5e-324),
            DType::F16 => (65504.0, 2f64.powi(-24)),
            DType::BF16 => (2f64.powi(128) - 2f64.powi(120), 2f64.powi(-133)),
            DType::F32 | DType::I32 | DType::I8 | DType::U8 | DType::Bool => {
                (f64::from(f32::MAX), f64::from(f32::from_bits(1)))
            }
        };
        match (kind, self.below(40)) {
            (Kind::Ordinary, _) => ordinary,
            (Kind::Extreme, 0..=19) => ordinary * 30.0,
            (Kind::Extreme, _) => {
                let span = match dtype {
                    DType::F64 => 2000,
                    DType::F16 => 38,
                    _ => 250,
                };
                let below = if dtype == DType::F16 { 24 } else { span / 2 };
                ordinary * 2f64.powi(self.below(span) as i32 - below as i32)
            }
            (Kind::Special, 0) => f64::NAN,
            (Kind::Special, 1) => f64::INFINITY,
            (Kind::Special, 2) => f64::NEG_INFINITY,
            (Kind::Special, 3) => 0.0,
            (Kind::Special, 4) => -0.0,
            (Kind::Special, 5) => least * (self.below(9) as f64 - 4.0),
            (Kind::Special, 6) => most * (0.5 + 0.5 * self.unit()),
            (Kind::Special, 7) => -most,
            (Kind::Special, 8) => 100.0 * ordinary,
            (Kind::Special, 9) => ordinary.round(),
            (Kind::Special, _) => ordinary,
        }
    }

    /// An element of an array.
    fn element(&mut self, kind: Kind, dtype: DType) -> u64 {
        match dtype {
            DType::F32 => u64::from((self.float(kind, dtype) as f32).to_bits()),
            DType::F64 => self.float(kind, dtype).to_bits(),
            DType::F16 | DType::BF16 => Constant::new(dtype, self.float(kind, dtype)).bits,
            DType::I8 | DType::U8 => self.below(256),
            DType::I32 if kind == Kind::Ordinary => u64::from((self.below(41) as i32 - 20) as u32),
            // Positions just inside and just outside, too.
            DType::I32 if self.below(2) == 0 => {
                let edges = [i32::MIN, i32::MAX, -1, 0, 1, 2, 3, 4, 5, 8];
                u64::from(edges[self.below(edges.len() as u64) as usize] as u32)
            }
            DType::I32 => u64::from((self.below(1 << 31) as u32).rotate_left(self.below(32) as u32)),
            DType::Bool => self.below(2),
        }
    }
}

/// The type of an element of the loop IR.
pub fn elem(dtype: DType) -> Elem {
    match dtype {
        DType::F32 => Elem::F32,
        DType::F64 => Elem::F64,
        DType::F16 => Elem::F16,
        DType::BF16 => Elem::BF16,
        DType::I32 => Elem::I32,
        DType::I8 => Elem::I8,
        DType::U8 => Elem::U8,
        DType::Bool => Elem::Bool,
    }
}

/// The value of an element.
pub fn value(dtype: DType, bits: u64) -> f64 {
    Constant { dtype, bits }.value()
}

impl Subject {
    /// The dimensions whose sizes a call chooses.
    pub fn free_dims(&self) -> Vec<String> {
        let free = self.source.dims.values().filter(|dim| match dim.kind {
            DimKind::Free | DimKind::Leading => true,
            DimKind::Fixed(_) | DimKind::Computed(_) => false,
        });
        free.map(|dim| dim.name.clone()).collect()
    }

    /// Sizes of all dimensions, where those are given that a call chooses. None where the shapes of arrays don't tell them: of
    /// two dimensions that share an axis none may be 0.
    pub fn sizes(&self, known: &[(&str, i64)]) -> Option<Vec<i64>> {
        let sizes = all_sizes(&self.source, known)?;
        let free = |dim: &&DimId| self.source.dims[**dim].kind == DimKind::Free;
        let told = self.source.params.iter().flat_map(|decl| decl.axes.iter().flatten()).all(|axis| {
            axis.iter().filter(free).count() < 2 || axis.iter().all(|dim| sizes[dim.as_u32() as usize] > 0)
        });
        told.then_some(sizes)
    }

    /// The number of elements of a parameter.
    fn len(&self, param: usize, sizes: &[i64]) -> usize {
        let dims = self.source.params[param].dim_list();
        dims.map(|dim| sizes[dim.as_u32() as usize]).product::<i64>() as usize
    }

    /// The number of elements of the largest array, or of a value on the way, whichever is more.
    pub fn largest(&self, sizes: &[i64]) -> usize {
        let size = |dim: DimId| sizes[dim.as_u32() as usize];
        let places = |node: &Node| node.dims.iter().map(size).fold(1, i64::saturating_mul);
        self.source.nodes.values().map(places).max().unwrap_or(0) as usize
    }

    /// Numbers for a call.
    pub fn data(&self, sizes: Vec<i64>, kind: Kind, seed: u64) -> Data {
        let mut numbers = Numbers::new(seed);
        let args = self.source.params.iter().enumerate().map(|(param, decl)| {
            // Numbers come from the caller as f64: what they can't hold is not asked for.
            let kind = if decl.axes.is_none() { Kind::Ordinary } else { kind };
            let element = |numbers: &mut Numbers| {
                let bits = numbers.element(kind, decl.dtype);
                let Some((low, high)) = decl.range else { return bits };
                Constant::new(decl.dtype, value(decl.dtype, bits).clamp(low, high)).bits
            };
            let bits = (0..self.len(param, &sizes)).map(|_| element(&mut numbers)).collect();
            Array { elem: elem(decl.dtype), bits }
        });
        Data { args: args.collect(), sizes }
    }

    /// The same, but parameters that have a default have that.
    pub fn data_with_defaults(&self, sizes: Vec<i64>, kind: Kind, seed: u64) -> Data {
        let mut data = self.data(sizes, kind, seed);
        for (decl, array) in self.source.params.iter().zip(&mut data.args) {
            if let Some(value) = act::graph::eval::default_input(decl) {
                array.bits.fill(Constant::new(decl.dtype, value).bits);
            }
        }
        data
    }

    /// What the formula gives, in real numbers.
    pub fn exact(&self, data: &Data) -> Vec<Vec<Wide>> {
        let inputs: Vec<Vec<f64>> = self
            .source
            .params
            .iter()
            .zip(&data.args)
            .map(|(decl, array)| array.bits.iter().map(|&bits| value(decl.dtype, bits)).collect())
            .collect();
        let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        eval(&self.source, &data.sizes, &inputs)
    }

    /// What the interpreter makes of a function of this kernel.
    pub fn interpret(&self, func: &Func, data: &Data, options: &interp::Options<'_>) -> Vec<Array> {
        let args = self.source.params.iter().zip(&data.args).map(|(decl, array)| match decl.axes {
            Some(_) => Arg::Array(array.clone()),
            None => Arg::Scalar(array.bits[0]),
        });
        interp::run_with(func, &data.sizes, &args.collect::<Vec<_>>(), options)
    }

    /// Runs the machine code.
    pub fn execute(&self, data: &Data, how: &How) -> Vec<Array> {
        let mut heap = Heap::default();
        self.execute_in(data, how, &mut heap)
    }

    /// The same, with the call made by `call`.
    pub fn execute_by(&self, data: &Data, how: &How, call: &dyn Fn(&mut dyn FnMut())) -> Vec<Array> {
        self.execute_with(data, how, &mut Heap::default(), call)
    }

    /// The same, with all arrays in memory that `memory` gives.
    pub fn execute_in(&self, data: &Data, how: &How, memory: &mut dyn Memory) -> Vec<Array> {
        self.execute_with(data, how, memory, &|call| call())
    }

    fn execute_with(
        &self,
        data: &Data,
        how: &How,
        memory: &mut dyn Memory,
        make: &dyn Fn(&mut dyn FnMut()),
    ) -> Vec<Array> {
        let shape = |axes: &[Vec<DimId>]| -> Vec<usize> {
            let size = |axis: &Vec<DimId>| {
                axis.iter().map(|dim| data.sizes[dim.as_u32() as usize]).product::<i64>() as usize
            };
            axes.iter().map(size).collect()
        };
        let (mut inputs, mut numbers, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (decl, array) in self.source.params.iter().zip(&data.args) {
            places.push(None);
            let Some(axes) = &decl.axes else {
                numbers.push(value(decl.dtype, array.bits[0]));
                continue;
            };
            if how.defaults && decl.default.is_some() {
                inputs.push(TensorView::absent());
                continue;
            }
            let place = Place::new(decl.dtype, shape(axes), how.spacing, memory);
            // SAFETY: the place is as large as its shape and strides say, and ours until the end of this function.
            unsafe { place.write(array) };
            // SAFETY: as above; only the call itself may write it, in place.
            inputs.push(unsafe {
                TensorView::from_raw(decl.dtype, place.start(), &place.shape, &place.strides)
            });
            *places.last_mut().expect("just pushed") = Some(place);
        }
        if how.defaults {
            numbers.clear();
        }
        let results = self.source.results.iter().enumerate().map(|(number, (decl, _))| {
            let shared = how.in_place.iter().find(|(_, result)| *result as usize == number);
            let shared = shared.and_then(|(param, _)| places[*param as usize].take());
            let axes = decl.axes.as_deref().unwrap_or_default();
            shared.unwrap_or_else(|| Place::new(decl.dtype, shape(axes), how.spacing, memory))
        });
        let results: Vec<Place> = results.collect();
        let dtypes = self.source.results.iter().map(|(decl, _)| decl.dtype);
        let mut outputs: Vec<TensorViewMut<'_>> = results
            .iter()
            .zip(dtypes.clone())
            // SAFETY: as above; results share memory with nothing but what the kernel allows, or it refuses.
            .map(|(place, dtype)| unsafe {
                TensorViewMut::from_raw(dtype, place.start(), &place.shape, &place.strides)
            })
            .collect();
        let kernel = if how.narrow { &self.narrow } else { &self.kernel };
        let kernel = match how.split {
            true => kernel.split().expect("the kernel has this form").clone(),
            false => kernel.clone(),
        };
        let mut kernel = kernel.with_threads(how.threads);
        if how.eager {
            kernel = kernel.with_least_work(1);
        }
        let mut outcome = Ok(());
        make(&mut || outcome = kernel.call(&inputs, &mut outputs, &numbers));
        if let Err(error) = outcome {
            panic!("{}: {error}, for the sizes {:?}", self.name, data.sizes);
        }
        // SAFETY: as above.
        results.iter().zip(dtypes).map(|(place, dtype)| unsafe { place.read(elem(dtype)) }).collect()
    }
}

/// How arrays lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Without gaps.
    Dense,
    /// Rows with gaps between them.
    Padded,
    /// Gaps everywhere, also between the elements of a row.
    Spread,
    /// Rows from the last to the first.
    Reversed,
}

/// How to call, where that must not make a difference.
#[derive(Clone, Debug)]
pub struct How {
    /// Of all arrays.
    pub spacing: Spacing,
    /// How many threads the call may use.
    pub threads: usize,
    /// Whether it uses them even where they don't pay.
    pub eager: bool,
    /// Pairs (parameter, result) that are one array.
    pub in_place: Vec<(u32, u32)>,
    /// Whether parameters with a default are left out.
    pub defaults: bool,
    /// Whether Cranelift's code runs.
    pub narrow: bool,
    /// Whether to call the form in which threads share what is in a row.
    pub split: bool,
}

impl How {
    /// The simplest way.
    pub const PLAIN: How = How {
        spacing: Spacing::Dense,
        threads: 1,
        eager: true,
        in_place: Vec::new(),
        defaults: false,
        split: false,
        narrow: false,
    };

    /// The same by Cranelift.
    pub const NARROW: How = How {
        spacing: Spacing::Dense,
        threads: 1,
        eager: true,
        in_place: Vec::new(),
        defaults: false,
        split: false,
        narrow: true,
    };
}

/// Gives memory for arrays.
pub trait Memory {
    /// So many bytes, aligned to `align`, that stay until the giver goes.
    fn get(&mut self, bytes: usize, align: usize) -> *mut u8;
}

/// Ordinary memory.
#[derive(Default)]
pub struct Heap {
    blocks: Vec<Vec<u64>>,
}

impl Memory for Heap {
    fn get(&mut self, bytes: usize, align: usize) -> *mut u8 {
        // Not at a multiple of a vector's size: an element further.
        let mut block = vec![0xa5a5_a5a5_a5a5_a5a5_u64; bytes.div_ceil(8) + 1];
        let start = block.as_mut_ptr().cast::<u8>().wrapping_add(align);
        self.blocks.push(block);
        start
    }
}

/// An array in memory.
struct Place {
    memory: *mut u8,
    /// Where position zero is, in elements.
    first: usize,
    width: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

impl Place {
    fn new(dtype: DType, shape: Vec<usize>, spacing: Spacing, memory: &mut dyn Memory) -> Place {
        let mut strides = vec![0isize; shape.len()];
        let mut stride = if spacing == Spacing::Spread { 2 } else { 1 };
        for (axis, size) in shape.iter().enumerate().rev() {
            strides[axis] = stride;
            stride *= *size as isize;
            stride += if spacing == Spacing::Dense { 0 } else { 3 };
        }
        let empty = shape.contains(&0);
        let steps = |strides: &[isize]| -> isize {
            shape.iter().zip(strides).map(|(size, stride)| (*size as isize - 1) * stride).sum()
        };
        let len = if empty { 0 } else { steps(&strides) as usize + 1 };
        let mut first = 0;
        if spacing == Spacing::Reversed && shape.len() > 1 && !empty {
            first = (shape[0] - 1) * strides[0] as usize;
            strides[0] = -strides[0];
        }
        let width = dtype.bytes();
        Place { memory: memory.get(len * width, width), first, width, shape, strides }
    }

    fn start(&self) -> *mut u8 {
        self.memory.wrapping_add(self.first * self.width)
    }

    /// The address of each element, in order.
    fn elements(&self) -> Vec<*mut u8> {
        let count: usize = self.shape.iter().product();
        let mut addresses = Vec::with_capacity(count);
        for mut number in 0..count {
            let mut offset = 0;
            for (size, stride) in self.shape.iter().zip(&self.strides).rev() {
                offset += (number % size) as isize * stride;
                number /= size;
            }
            addresses.push(self.start().wrapping_offset(offset * self.width as isize));
        }
        addresses
    }

    /// # Safety
    /// The memory must be there.
    unsafe fn write(&self, array: &Array) {
        for (number, (address, bits)) in self.elements().into_iter().zip(&array.bits).enumerate() {
            // A bool holds where its byte is anything but 0.
            let truth = [1, 2, 0x80, 0xff][number % 4];
            let bits = if array.elem == Elem::Bool { *bits * truth } else { *bits };
            // SAFETY: the caller's promise; `elements` are inside.
            unsafe { std::ptr::copy_nonoverlapping(bits.to_le_bytes().as_ptr(), address, self.width) };
        }
    }

    /// # Safety
    /// The memory must be there.
    unsafe fn read(&self, elem: Elem) -> Array {
        let mut bytes = vec![0; self.shape.iter().product::<usize>() * self.width];
        for (address, to) in self.elements().into_iter().zip(bytes.chunks_exact_mut(self.width)) {
            // SAFETY: the caller's promise; `elements` are inside.
            unsafe { std::ptr::copy_nonoverlapping(address, to.as_mut_ptr(), self.width) };
        }
        let array = Array::from_bytes(elem, &bytes);
        let bools = elem != Elem::Bool || bytes.iter().all(|byte| *byte <= 1);
        assert!(bools, "a bool is neither 0 nor 1: {bytes:?}");
        array
    }
}

/// Checks that two ways to run gave the same bits.
pub fn assert_same(subject: &Subject, data: &Data, what: &str, expected: &[Array], found: &[Array]) {
    for ((decl, _), (expected, found)) in subject.source.results.iter().zip(expected.iter().zip(found)) {
        let Some(at) = expected.first_difference(found) else { continue };
        let show = |array: &Array| {
            let bits = array.bits.get(at).copied().unwrap_or_default();
            format!("{:e} (0x{bits:x})", value(decl.dtype, bits))
        };
        panic!(
            "{}: {what}: {}[{at}] is {}, not {}, for the sizes {:?}",
            subject.name,
            decl.name,
            show(found),
            show(expected),
            data.sizes,
        );
    }
}
