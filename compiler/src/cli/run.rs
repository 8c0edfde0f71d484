//! `actc run`: a kernel on data.

use std::path::PathBuf;

use act::emit;
use act::pipeline::{self, Blind, Observer};
use act::{Kernel, Tensor};
use act_runtime::abi::{ParamKind, Signature};

use super::engine::{self, Engine, Numeric};
use super::inputs::{Call, Place, Request, Setting, Sizes, binder};
use super::source::Text;
use super::{Compile, Failure, Outcome, Session, files, npy, preview, words};

/// What may be given to `actc run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Arrays that are not given are made up (standard normal; integers are labels; the same on every machine), numbers
without a default are 1, and sizes that nothing tells are 4 for the leading axes `..` and 8 for every other dimension.

Examples:
  actc run examples/kernels/softmax.act
  actc run softmax.act --in x=logits.npy --out y=weights.npy
  actc run layer_norm.act --shape ..=8x16,d=768 --set eps=1e-6
  actc run softmax.act --in x=data.npz:logits --cast --engine eval --out y=all.npz:exact")]
pub struct Args {
    /// A file of kernels; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    compile: Compile,
    /// An array from a .npy, or one of a .npz (x=data.npz:name)
    #[arg(long = "in", value_name = "NAME=FILE")]
    inputs: Vec<Place>,
    /// A number (eps=1e-6), a small array (a=[0.5,0.25]), or the number that stands everywhere in an array
    #[arg(long = "set", value_name = "NAME=VALUE", allow_hyphen_values = true)]
    settings: Vec<Setting>,
    /// Sizes of dimensions: n=4,d=8; the leading axes are ..=64 or ..=8x16
    #[arg(long, value_name = "SIZES")]
    shape: Option<Sizes>,
    /// Writes a result to a .npy, or into a .npz (y=all.npz:name)
    #[arg(long = "out", value_name = "NAME=FILE")]
    outputs: Vec<Place>,
    /// What runs the kernel
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = Engine::Auto)]
    engine: Engine,
    /// How many threads a call may use; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Convert arrays to the dtypes of the parameters
    #[arg(long)]
    cast: bool,
    /// Another number makes up other data
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// What is known of the results, as one JSON object per result and line
    #[arg(long)]
    json: bool,
    /// No preview
    #[arg(short, long)]
    quiet: bool,
}

/// Compiles, prepares the arrays, runs, writes and shows the results.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let text = Text::read(&args.file)?;
    let mut options = args.compile.options();
    options.engine = args.engine.code().unwrap_or_default();
    options.kernel = Some(text.choose(args.compile.kernel.as_deref(), session)?);
    let graph = text.graph(&options, session)?;
    let signature = pipeline::signature(&graph);
    check_outputs(&args.outputs, &signature)?;

    let mut numeric = Numeric::default();
    let kernel = match args.engine {
        Engine::Eval => binder(&signature)?,
        Engine::Interp => {
            // Targets that there is no code for have a loop IR all the same.
            let _ = pipeline::compile_graph(graph.clone(), &options, &mut numeric);
            binder(&signature)?
        }
        Engine::Auto | Engine::Wide | Engine::Cranelift => load(graph.clone(), &options, &mut Blind)?,
    };
    let request = Request {
        places: &args.inputs,
        settings: &args.settings,
        sizes: args.shape.clone().unwrap_or_default(),
        cast: args.cast,
        seed: args.seed,
        period: usize::MAX,
    };
    let call = Call::prepare(&graph, &signature, &request)?;
    let results = match (args.engine, &numeric.func) {
        (Engine::Eval, _) => engine::run_eval(&graph, &call)?,
        (_, Some(func)) => engine::run_interp(func, &kernel, &call)?,
        (_, None) => engine::run_code(&kernel, &call, args.threads)?,
    };
    write(&args.outputs, &signature, &results)?;
    show(args, &signature, &call, &results, session)
}

/// Compiles a graph and loads its code.
pub fn load(graph: act::graph::Graph, options: &act::Options, watch: &mut dyn Observer) -> Outcome<Kernel> {
    let name = graph.name.clone();
    let compiled = pipeline::compile_graph(graph, options, watch);
    let compiled = compiled.map_err(|error| Failure::Message(error.to_string()))?;
    let module = emit::jit::load(vec![compiled]).map_err(|error| Failure::Message(error.to_string()))?;
    Ok(module.kernel(&name)?)
}

/// Results must exist before anything is computed.
fn check_outputs(outputs: &[Place], signature: &Signature) -> Outcome {
    for place in outputs {
        if !signature.results.iter().any(|result| result.name == place.name) {
            let known = signature.results.iter().map(|result| result.name.clone()).collect();
            let (kernel, name) = (signature.name.clone(), place.name.clone());
            return Err(act_runtime::Error::UnknownName { kernel, what: "result", name, known }.into());
        }
    }
    Ok(())
}

fn write(outputs: &[Place], signature: &Signature, results: &[Tensor]) -> Outcome {
    let named = outputs.iter().map(|place| {
        let index = signature.results.iter().position(|result| result.name == place.name);
        (place.clone(), &results[index.expect("the results were checked")])
    });
    let named: Vec<(Place, &Tensor)> = named.collect();
    files::commit(npy::stage(&named)?)
}

fn show(
    args: &Args,
    signature: &Signature,
    call: &Call,
    results: &[Tensor],
    session: &mut Session<'_>,
) -> Outcome {
    let named = || signature.results.iter().zip(results);
    if args.json {
        for (result, tensor) in named() {
            writeln!(session.out, "{}", preview::object(&result.name, tensor))?;
        }
        return Ok(());
    }
    if args.quiet {
        return Ok(());
    }
    writeln!(session.out, "{}", words::heading(signature))?;
    for (index, param) in signature.params.iter().enumerate() {
        writeln!(session.out, "  {}", origin(index, call, signature, param))?;
    }
    if !call.chosen.is_empty() {
        let sizes = call.chosen.iter().map(|(name, size)| format!("{name} = {size}"));
        writeln!(session.out, "  sizes nobody gave: {}", sizes.collect::<Vec<_>>().join(", "))?;
    }
    for (result, tensor) in named() {
        write!(session.out, "\n{}", preview::text(&result.name, tensor))?;
    }
    for place in &args.outputs {
        writeln!(session.out, "wrote {} to {place}", place.name)?;
    }
    Ok(())
}

/// What a parameter got.
fn origin(index: usize, call: &Call, signature: &Signature, param: &act_runtime::abi::ParamDecl) -> String {
    let name = &signature.params[index].name;
    let from = call.origins[index].as_deref().unwrap_or("its default");
    match &param.kind {
        ParamKind::Scalar { default } => {
            let number = call.numbers[index].or(*default).unwrap_or(f64::NAN);
            format!("{name} = {}, {from}", preview::short(number))
        }
        ParamKind::Array { .. } => {
            let shape = call.shapes.params[index].clone().unwrap_or_default();
            format!("{name}: {}{shape:?}, {from}", param.dtype)
        }
    }
}
