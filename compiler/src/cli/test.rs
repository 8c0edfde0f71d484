//! `actc test`: runs the examples that stand in files, on every engine.

use std::path::{Path, PathBuf};

use act::diag::{Diagnostic, Diagnostics, Sources, codes};
use act::graph::{Constant, Graph};
use act::pipeline::{self, Blind};
use act::sema::{Example, Expected, Given, Relation};
use act::{DType, Options, Signature, Tensor};
use act_runtime::abi::ParamKind;

use super::engine::{self, Engine, Numeric};
use super::inputs::{Call, Request, Setting, Sizes, binder};
use super::source::Text;
use super::{Failure, Outcome, Session, files};

/// What may be given to `actc test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An example gives the inputs of a kernel and says what comes out:

  example softmax { x = [1, 2, 3]; y ~= [0.0900, 0.2447, 0.6652]; }

Examples:
  actc test kernels/*.act
  actc test examples/kernels -k softmax          every file below a folder, one kernel
  actc test softmax.act --engine interp          on one engine; without it on all, and these must agree")]
pub struct Args {
    /// Files of kernels, and folders: of these every .act file below them; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Only the examples of this kernel
    #[arg(short, long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// Only this engine
    #[arg(long, value_name = "ENGINE", value_enum)]
    engine: Option<Engine>,
    /// No line for an example that holds
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the examples of every file, also after one that fails.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let (mut count, mut failed, mut broken) = (0, 0, 0);
    for path in files::kernels(&args.paths)? {
        let (text, examples) = match examples(&path, session) {
            Ok(found) => found,
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure) => {
                if let Failure::Message(message) = failure {
                    super::tell("error", &message, session.color);
                }
                broken += 1;
                continue;
            }
        };
        let chosen = |example: &&Example| args.kernel.as_ref().is_none_or(|name| *name == example.kernel);
        for example in examples.iter().filter(chosen) {
            count += 1;
            let wrong = check(&text, example, args.engine);
            let word = if wrong.is_empty() { "ok  " } else { "FAIL" };
            failed += usize::from(!wrong.is_empty());
            if !args.quiet || !wrong.is_empty() {
                writeln!(session.out, "{word} {}", title(example, &text.sources))?;
            }
            if !wrong.is_empty() {
                session.out.flush()?;
                session.show(&wrong, &text.sources);
            }
        }
    }
    match (count, failed) {
        (0, _) if broken == 0 => return Err(Failure::Message("there are no examples to run".to_owned())),
        (0, _) => {}
        (_, 0) if args.quiet => {}
        (1, 0) => writeln!(session.out, "1 example holds")?,
        (_, 0) => writeln!(session.out, "{count} examples hold")?,
        (1, _) => writeln!(session.out, "1 example fails")?,
        (_, 1) => writeln!(session.out, "1 of {count} examples fails")?,
        _ => writeln!(session.out, "{failed} of {count} examples fail")?,
    }
    match broken {
        0 => {}
        1 => writeln!(session.out, "1 file has mistakes, so none of its examples was run")?,
        _ => writeln!(session.out, "{broken} files have mistakes, so none of their examples was run")?,
    }
    if broken > 0 || failed > 0 { Err(Failure::Told) } else { Ok(()) }
}

/// The examples of a file; warnings are not shown, `actc check` does that.
fn examples(path: &Path, session: &Session<'_>) -> Outcome<(Text, Vec<Example>)> {
    let text = Text::read(path)?;
    match pipeline::examples(&text.sources, text.file) {
        Ok(examples) => Ok((text, examples)),
        Err(mistakes) => {
            session.show(&mistakes, &text.sources);
            Err(Failure::Told)
        }
    }
}

/// `file:line kernel: documentation`
fn title(example: &Example, sources: &Sources) -> String {
    let place = sources.locate(example.span).map_or(String::new(), |at| format!("{}:{} ", at.file, at.line));
    let doc = example.doc.lines().next().map_or(String::new(), |doc| format!(": {doc}"));
    format!("{place}{}{doc}", example.kernel)
}

/// What is wrong with an example: nothing, or a message for each line that does not hold.
fn check(text: &Text, example: &Example, only: Option<Engine>) -> Diagnostics {
    let options = options(example);
    let graph = match graph(text, &options) {
        Ok(graph) => graph,
        Err(mistakes) => return mistakes,
    };
    match results(&graph, &options, example, only) {
        Ok(results) => compare(&pipeline::signature(&graph), example, &results),
        Err(failure) => not_run(example, failure),
    }
}

/// What is wrong with the shapes of an example, which nothing has to run for.
pub fn misshapen(text: &Text, example: &Example) -> Diagnostics {
    let graph = match graph(text, &options(example)) {
        Ok(graph) => graph,
        Err(mistakes) => return mistakes,
    };
    let signature = pipeline::signature(&graph);
    let shapes = match prepare(&graph, &signature, example) {
        Ok(call) => call.shapes.results,
        Err(failure) => return not_run(example, failure),
    };
    let mut wrong = Diagnostics::new();
    for expected in &example.expected {
        let index = result_of(&signature, expected);
        if shapes[index] != expected.value.shape {
            wrong.push(other_shape(expected, &shapes[index]));
        }
    }
    wrong
}

/// The kernel of an example as it asks for it.
fn options(example: &Example) -> Options {
    Options {
        kernel: Some(example.kernel.clone()),
        dims: example.dims.clone(),
        dtypes: example.dtypes.clone(),
        ..Options::default()
    }
}

/// The graph of the one kernel chosen.
fn graph(text: &Text, options: &Options) -> Result<Graph, Diagnostics> {
    let mut lowered = pipeline::front(&text.sources, text.file, options, &mut Blind)?;
    Ok(lowered.graphs.pop().expect("the kernel that was chosen"))
}

fn not_run(example: &Example, failure: Failure) -> Diagnostics {
    let message = match failure {
        Failure::Message(message) => message,
        Failure::Told | Failure::Closed => "it failed".to_owned(),
    };
    let message = format!("the example of `{}` can't be run: {message}", example.kernel);
    Diagnostics::from(Diagnostic::error(codes::EXAMPLE_FAILED, example.span, message))
}

/// What an engine made.
struct Results {
    engine: Engine,
    tensors: Vec<Tensor>,
}

/// The call that an example describes.
fn prepare(graph: &Graph, signature: &Signature, example: &Example) -> Outcome<Call> {
    let setting = |given: &Given| Setting {
        name: given.name.clone(),
        shape: given.shape.clone(),
        values: given.values.clone(),
    };
    let settings: Vec<Setting> = example.inputs.iter().map(setting).collect();
    // One number for an array is an array without axes, which `f32[..]` can be.
    let is_array = |given: &Given| {
        let param = signature.params.iter().find(|param| param.name == given.name);
        param.is_some_and(|param| matches!(param.kind, ParamKind::Array { .. }))
    };
    let mut sizes = Sizes::default();
    if example.inputs.iter().any(|given| given.shape.is_empty() && is_array(given)) {
        sizes.leading = Some(Vec::new());
    }
    let request =
        Request { places: &[], settings: &settings, sizes, cast: false, seed: 0, period: usize::MAX };
    Call::prepare(graph, signature, &request)
}

fn results(
    graph: &Graph,
    options: &Options,
    example: &Example,
    only: Option<Engine>,
) -> Outcome<Vec<Results>> {
    let signature = pipeline::signature(graph);
    let call = prepare(graph, &signature, example)?;
    // Not every machine has the wide back end.
    let fastest = if act::backend::wide::serves(&options.target) { Engine::Wide } else { Engine::Cranelift };
    let wanted = |engine| match only {
        None => engine != Engine::Wide || engine == fastest,
        Some(only) => engine == only || only == Engine::Auto && engine == fastest,
    };
    let code: Vec<Engine> =
        [Engine::Wide, Engine::Cranelift].into_iter().filter(|&one| wanted(one)).collect();
    let mut all = Vec::new();
    if wanted(Engine::Eval) {
        all.push(Results { engine: Engine::Eval, tensors: engine::run_eval(graph, &call)? });
    }
    if !wanted(Engine::Interp) && code.is_empty() {
        return Ok(all);
    }
    let mut numeric = Numeric::default();
    if code.is_empty() {
        // Targets that there is no code for have a loop IR all the same.
        let _ = pipeline::compile_graph(graph.clone(), options, &mut numeric);
    }
    let mut made = Vec::new();
    for engine in code {
        let options = Options { engine: engine.code().unwrap_or_default(), ..options.clone() };
        let kernel = super::run::load(graph.clone(), &options, &mut numeric)?;
        made.push(Results { engine, tensors: engine::run_code(&kernel, &call, 1)? });
    }
    if let (true, Some(func)) = (wanted(Engine::Interp), &numeric.func) {
        let tensors = engine::run_interp(func, &binder(&signature)?, &call)?;
        all.push(Results { engine: Engine::Interp, tensors });
    }
    all.extend(made);
    Ok(all)
}

fn compare(signature: &Signature, example: &Example, results: &[Results]) -> Diagnostics {
    let mut wrong = Diagnostics::new();
    for expected in &example.expected {
        let index = result_of(signature, expected);
        let dtype = signature.results[index].dtype;
        let mut found: Vec<(&Results, Difference)> = Vec::new();
        for results in results {
            let difference = Difference::find(expected, &results.tensors[index]);
            found.extend(difference.map(|difference| (results, difference)));
        }
        let Some((first, difference)) = found.first() else { continue };
        let names: Vec<&str> = found.iter().map(|(results, _)| name(results.engine)).collect();
        let mut error = difference.message(expected, dtype, &first.tensors[index]);
        if names.len() < results.len() || results.len() == 1 {
            error = error.with_note(format!("so it is on: {}", names.join(", ")));
        }
        wrong.push(error);
    }
    if let Some(name) = disagreement(signature, results) {
        let message =
            format!("interpreter and machine code differ in the bits of `{name}`: a bug of the compiler");
        wrong.push(Diagnostic::error(codes::EXAMPLE_FAILED, example.span, message));
    }
    wrong
}

/// The place of the result that an example speaks of.
fn result_of(signature: &Signature, expected: &Expected) -> usize {
    let index = signature.results.iter().position(|result| result.name == expected.value.name);
    index.expect("examples name results of their kernels")
}

fn other_shape(expected: &Expected, is: &[usize]) -> Diagnostic {
    let (name, wanted) = (&expected.value.name, &expected.value.shape);
    let message = format!("`{name}` has the shape {is:?}, and {wanted:?} is expected");
    Diagnostic::error(codes::EXAMPLE_FAILED, expected.value.span, message)
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Eval => "the formula itself",
        Engine::Interp => "the interpreter",
        Engine::Wide | Engine::Auto => "machine code",
        Engine::Cranelift => "machine code by Cranelift",
    }
}

/// The first result in which the interpreter and machine code differ.
fn disagreement<'s>(signature: &'s Signature, results: &[Results]) -> Option<&'s str> {
    let of = |engine| results.iter().find(|results| results.engine == engine);
    let same = |(a, b): (&Tensor, &Tensor)| {
        let equal = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        a.data().to_f64().iter().zip(&b.data().to_f64()).all(equal)
    };
    let interp = of(Engine::Interp)?;
    let code = [Engine::Wide, Engine::Cranelift].into_iter().filter_map(of);
    let mut places =
        code.filter_map(|code| interp.tensors.iter().zip(&code.tensors).position(|pair| !same(pair)));
    places.next().map(|place| signature.results[place].name.as_str())
}

/// How a result is not what is expected.
enum Difference {
    Shape,
    Elements { first: usize, count: usize },
}

impl Difference {
    fn find(expected: &Expected, found: &Tensor) -> Option<Difference> {
        if found.shape() != expected.value.shape {
            return Some(Difference::Shape);
        }
        let dtype = found.dtype();
        let wrong = |(place, &got): (usize, &f64)| (!fits(expected, place, got, dtype)).then_some(place);
        let values = found.data().to_f64();
        let wrong: Vec<usize> = values.iter().enumerate().filter_map(wrong).collect();
        let &first = wrong.first()?;
        Some(Difference::Elements { first, count: wrong.len() })
    }

    fn message(&self, expected: &Expected, dtype: DType, found: &Tensor) -> Diagnostic {
        let name = &expected.value.name;
        let error = |span, message| Diagnostic::error(codes::EXAMPLE_FAILED, span, message);
        match *self {
            Difference::Shape => other_shape(expected, found.shape()),
            Difference::Elements { first, count } => {
                let got = number(found.data().to_f64()[first], dtype);
                let place = position(first, found.shape());
                let wanted = number(expected.value.values[first], dtype);
                let within = match expected.relation {
                    Relation::Near => format!(" within {}", expected.tolerances[first]),
                    Relation::Exact | Relation::Given => String::new(),
                };
                let message = format!("`{name}{place}` is {got}, and {wanted}{within} is expected");
                let error = error(expected.spans[first], message).with_label(format!("it is {got}"));
                match expected.value.values.len() {
                    1 => error,
                    all => error.with_note(format!("{count} of {all} elements of `{name}` differ")),
                }
            }
        }
    }
}

fn fits(expected: &Expected, place: usize, got: f64, dtype: DType) -> bool {
    let wanted = expected.value.values[place];
    let rounded = Constant::new(dtype, wanted).value();
    if got == rounded || (got.is_nan() && wanted.is_nan()) {
        return true;
    }
    if expected.relation != Relation::Near || !got.is_finite() || !wanted.is_finite() {
        return false;
    }
    let rounding = if expected.within { 4.0 * f64::EPSILON } else { rounding(dtype) };
    (got - wanted).abs() <= expected.tolerances[place] + rounding * wanted.abs()
}

/// Eight units in the last place, relative.
fn rounding(dtype: DType) -> f64 {
    match dtype.name() {
        "f64" => 8.0 * f64::EPSILON,
        "f16" => 8.0 / 1024.0,
        "bf16" => 8.0 / 128.0,
        _ => 8.0 * f64::from(f32::EPSILON),
    }
}

/// `[1][0]`, or nothing for a number.
fn position(mut place: usize, shape: &[usize]) -> String {
    let mut parts = Vec::new();
    for &size in shape.iter().rev() {
        parts.push(format!("[{}]", place % size));
        place /= size;
    }
    parts.into_iter().rev().collect()
}

fn number(value: f64, dtype: DType) -> String {
    match dtype {
        DType::Bool => (value != 0.0).to_string(),
        DType::F32 => format!("{:?}", value as f32),
        _ if dtype.is_float() => format!("{value:?}"),
        _ => value.to_string(),
    }
}
