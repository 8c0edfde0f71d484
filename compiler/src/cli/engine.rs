//! The ways to run a kernel: machine code, and the two evaluators that it is checked against.

use act::graph::eval::{default_input, eval};
use act::graph::{Constant, Graph};
use act::loops::interp::{self, Arg, Array};
use act::loops::{Elem, Func, Verified};
use act::lower::elem;
use act::pipeline::Observer;
use act::{DType, Data, Element, Kernel, Tensor};
use act_runtime::abi::ParamKind;
use act_runtime::{bf16, f16, small};

use super::inputs::Call;
use super::{Failure, Outcome};

/// An engine on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// The fastest that this machine has
    Auto,
    /// Machine code with vectors of 256 bits
    Wide,
    /// Machine code made by Cranelift, with vectors of 128 bits
    Cranelift,
    /// The interpreter of the loop IR: the same bits, slowly
    Interp,
    /// The formula itself, in double-double: what the results should be
    Eval,
}

impl Engine {
    /// The back end of an engine that runs machine code.
    pub fn code(self) -> Option<act::Engine> {
        match self {
            Engine::Auto => Some(act::Engine::Auto),
            Engine::Wide => Some(act::Engine::Wide),
            Engine::Cranelift => Some(act::Engine::Cranelift),
            Engine::Interp | Engine::Eval => None,
        }
    }
}

/// Which back end makes the code.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Backend {
    /// The back end: auto (wide where it can), wide (vectors of 256 bits), cranelift (128 bits)
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto", hide_possible_values = true)]
    engine: Maker,
}

/// The name of the back end that makes the code.
pub fn maker(options: &act::Options) -> &'static str {
    if options.engine.attempts(&options.target)[0] { "wide" } else { "cranelift" }
}

/// A back end on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Maker {
    Auto,
    Wide,
    Cranelift,
}

impl Backend {
    /// For the compiler's options.
    pub fn engine(self) -> act::Engine {
        match self.engine {
            Maker::Auto => act::Engine::Auto,
            Maker::Wide => act::Engine::Wide,
            Maker::Cranelift => act::Engine::Cranelift,
        }
    }
}

/// Keeps the loop IR as the numeric passes leave it.
#[derive(Default)]
pub struct Numeric {
    /// The function.
    pub func: Option<Func>,
}

impl Observer for Numeric {
    fn funcs(&mut self, numeric: &Func, _layout: &Verified) {
        self.func = Some(numeric.clone());
    }
}

/// Machine code.
pub fn run_code(kernel: &Kernel, call: &Call, threads: usize) -> Outcome<Vec<Tensor>> {
    Ok(call.bind(kernel).threads(threads).run_alloc()?)
}

/// The interpreter.
pub fn run_interp(func: &Func, kernel: &Kernel, call: &Call) -> Outcome<Vec<Tensor>> {
    let params = kernel.signature().params.iter().enumerate();
    let args = params.map(|(index, param)| match &param.kind {
        ParamKind::Scalar { default } => {
            let number = call.numbers[index].or(*default).unwrap_or(0.0);
            Ok(Arg::Scalar(Constant::new(param.dtype, number).bits))
        }
        ParamKind::Array { default, .. } => match &call.arrays[index] {
            Some(tensor) => Ok(Arg::Array(array(tensor))),
            None => {
                let shape = call.shapes.params[index].clone().unwrap_or_default();
                let mut array = array(&Tensor::zeros(param.dtype, &shape)?);
                array.bits.fill(Constant::new(param.dtype, default.unwrap_or(0.0)).bits);
                Ok(Arg::Array(array))
            }
        },
    });
    let args = args.collect::<Outcome<Vec<_>>>()?;
    let results = interp::run(func, &call.shapes.dims, &args);
    results.iter().zip(&call.shapes.results).map(|(result, shape)| tensor(result, shape)).collect()
}

fn array(tensor: &Tensor) -> Array {
    let bits = match tensor.data() {
        Data::F32(values) => values.iter().map(|value| u64::from(value.to_bits())).collect(),
        Data::F64(values) => values.iter().map(|value| value.to_bits()).collect(),
        Data::F16(values) => values.iter().map(|value| u64::from(value.to_bits())).collect(),
        Data::BF16(values) => values.iter().map(|value| u64::from(value.to_bits())).collect(),
        Data::I32(values) => values.iter().map(|&value| u64::from(value as u32)).collect(),
        Data::I8(values) => values.iter().map(|&value| u64::from(value as u8)).collect(),
        Data::U8(values) => values.iter().map(|&value| u64::from(value)).collect(),
        Data::Bool(values) => values.iter().map(|&value| u64::from(value)).collect(),
    };
    Array { elem: elem(tensor.dtype()), bits }
}

fn tensor(array: &Array, shape: &[usize]) -> Outcome<Tensor> {
    let bits = || array.bits.iter();
    match array.elem {
        Elem::F32 => whole(array.f32s(), shape),
        Elem::F64 => whole(array.f64s(), shape),
        Elem::F16 => whole(bits().map(|&bits| f16::from_bits(bits as u16)).collect(), shape),
        Elem::BF16 => whole(bits().map(|&bits| bf16::from_bits(bits as u16)).collect(), shape),
        Elem::I32 => whole(array.i32s(), shape),
        Elem::I8 => whole(bits().map(|&bits| bits as i8).collect(), shape),
        Elem::U8 => whole(bits().map(|&bits| bits as u8).collect(), shape),
        Elem::Bool => whole(array.bools(), shape),
        Elem::I64 => unreachable!("no result is i64"),
    }
}

/// The evaluator. Its results are rounded to the dtypes of the results.
pub fn run_eval(graph: &Graph, call: &Call) -> Outcome<Vec<Tensor>> {
    let params = graph.params.iter().enumerate();
    let inputs = params.map(|(index, decl)| match (&call.arrays[index], call.numbers[index]) {
        (Some(tensor), _) => tensor.data().to_f64(),
        (None, Some(number)) => vec![Constant::new(decl.dtype, number).value()],
        (None, None) => default_input(decl).into_iter().collect(),
    });
    let inputs: Vec<Vec<f64>> = inputs.collect();
    let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    let results = eval(graph, &call.shapes.dims, &inputs);
    let results = results.iter().zip(&graph.results).zip(&call.shapes.results);
    results
        .map(|((values, (decl, _)), shape)| {
            let numbers = values.iter().map(|value| value.to_f64());
            match decl.dtype {
                DType::F32 => whole(values.iter().map(|value| value.to_f32()).collect(), shape),
                DType::F64 => whole(numbers.collect(), shape),
                DType::F16 => whole(values.iter().map(|value| f16_of(value.to_f16())).collect(), shape),
                DType::BF16 => whole(values.iter().map(|value| bf16_of(value.to_bf16())).collect(), shape),
                DType::I32 => whole(numbers.map(|number| number as i32).collect(), shape),
                DType::I8 => whole(numbers.map(|number| number as i8).collect(), shape),
                DType::U8 => whole(numbers.map(|number| number as u8).collect(), shape),
                DType::Bool => whole(numbers.map(|number| number != 0.0).collect(), shape),
            }
        })
        .collect()
}

/// The nearest `f16`.
pub fn f16_of(value: f64) -> f16 {
    f16::from_bits(small::f16_bits(value))
}

/// The nearest `bf16`.
pub fn bf16_of(value: f64) -> bf16 {
    bf16::from_bits(small::bf16_bits(value))
}

fn whole<T: Element>(values: Vec<T>, shape: &[usize]) -> Outcome<Tensor> {
    let count = values.len();
    Tensor::from_vec(values, shape)
        .ok_or_else(|| Failure::Message(format!("{count} elements do not fill {shape:?}; this is a bug")))
}
