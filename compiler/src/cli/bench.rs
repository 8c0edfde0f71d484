//! `actc bench`: how fast a kernel is, beside copies of as many bytes in the same run.
//!
//! Kernel and copies take turns, many rounds long; what is told is the median round.

use std::fmt::Display;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use act::emit;
use act::pipeline::{self, Observer, Stage};
use act::types::DimKind;
use act::{Kernel, Options, Signature, Tensor, TensorView, TensorViewMut};
use act_runtime::abi::ParamKind;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::engine::{Backend, maker};
use super::inputs::{Call, Request, Setting, Sizes};
use super::run::load;
use super::source::Text;
use super::{Compile, Failure, Outcome, Session, copy, words};

/// Elements of the default shapes: for L1, L2, L3 and memory.
const ELEMENTS: [i64; 4] = [4 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Elements of a row of the default shapes.
const ROW: i64 = 1024;

/// A round takes at least this long, so that the clock does not matter.
const ROUND: Duration = Duration::from_micros(200);

/// There are at least so many rounds.
const ROUNDS: usize = 7;

/// Made-up data come again after so many elements (a prime, so that rows differ).
const PERIOD: usize = 65_521;

/// What may be given to `actc bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line for each shape: time of a call (median and least), time per element of the largest array, bytes of all arrays
per second, and how many times longer a call takes than a copy that moves as many bytes: by memcpy, and by stores that
pass by the cache. In cache the first is the one to look at, beyond it the second.

Examples:
  actc bench softmax.act
  actc bench softmax.act --shape ..=1024,d=128 --shape ..=1,d=1048576 --threads 2
  actc bench softmax.act --compile        how long it takes from text to callable code, by stage")]
pub struct Args {
    /// A file of kernels; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    compile_options: Compile,
    #[command(flatten)]
    backend: Backend,
    /// Sizes of dimensions, n=1024,d=768; may be given several times
    #[arg(long = "shape", value_name = "SIZES")]
    shapes: Vec<Sizes>,
    /// A number, or the number that stands everywhere in an array
    #[arg(long = "set", value_name = "NAME=VALUE", allow_hyphen_values = true)]
    settings: Vec<Setting>,
    /// How many threads a call may use; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Seconds for each shape
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    time: f64,
    /// Measure the compiler instead
    #[arg(long)]
    compile: bool,
    /// One JSON object per shape and line
    #[arg(long)]
    json: bool,
}

/// Compiles, then measures shape after shape.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    if !(args.time >= 0.0 && args.time <= 3600.0) {
        return Err(Failure::Message("--time is a number of seconds, at most 3600".to_owned()));
    }
    let text = Text::read(&args.file)?;
    let mut options = args.compile_options.options();
    options.engine = args.backend.engine();
    if args.compile {
        return measure_compiler(args, &text, &options, session);
    }
    options.kernel = Some(text.choose(args.compile_options.kernel.as_deref(), session)?);
    let graph = text.graph(&options, session)?;
    let signature = pipeline::signature(&graph);
    let kernel = load(graph.clone(), &options, &mut pipeline::Blind)?.with_threads(args.threads);
    let shapes = if args.shapes.is_empty() { default_shapes(&signature) } else { args.shapes.clone() };
    let bar = ProgressBar::new(shapes.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut rows = Vec::new();
    for sizes in shapes {
        let request =
            Request { places: &[], settings: &args.settings, sizes, cast: false, seed: 0, period: PERIOD };
        let call = Call::prepare(&graph, &signature, &request)?;
        bar.set_message(shape_text(&signature, &call));
        let measured = measure(&kernel, &call, Duration::from_secs_f64(args.time))?;
        if args.json {
            writeln!(session.out, "{}", measured.object(maker(&options), &kernel, &call))?;
        } else {
            rows.push(measured.row(&signature, &call));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !args.json {
        writeln!(session.out, "{}  {}, {}", words::heading(&signature), maker(&options), options.target)?;
        let head = ["shape", "ns/call", "least", "ns/element", "GB/s", "x memcpy", "x streaming copy"];
        write!(session.out, "{}", table(&head, &rows))?;
    }
    Ok(())
}

/// Shapes that fit into one level of memory after another.
fn default_shapes(signature: &Signature) -> Vec<Sizes> {
    let free = signature.dims.iter().filter(|dim| matches!(dim.kind, DimKind::Free | DimKind::Leading));
    let free: Vec<_> = free.collect();
    let Some((row, outer)) = free.split_last() else { return vec![Sizes::default()] };
    let fixed =
        signature.dims.iter().map(|dim| if let DimKind::Fixed(size) = dim.kind { size.max(1) } else { 1 });
    let fixed = fixed.fold(1_i64, i64::saturating_mul);
    let shape = |elements: i64| {
        let elements = (elements / fixed).max(1);
        let mut sizes = Sizes::default();
        let mut give = |dim: &act_runtime::abi::DimDecl, size: i64| match dim.kind {
            DimKind::Leading => sizes.leading = Some(vec![size as usize]),
            _ => sizes.dims.push((dim.name.clone(), size)),
        };
        let Some((first, middle)) = outer.split_first() else {
            give(row, elements);
            return sizes;
        };
        let columns = elements.min(ROW);
        let most = 8_i64.saturating_pow(middle.len() as u32);
        let each = if elements / columns >= most { 8 } else { 1 };
        give(row, columns);
        middle.iter().for_each(|dim| give(dim, each));
        give(first, (elements / columns / each.pow(middle.len() as u32)).max(1));
        sizes
    };
    ELEMENTS.map(shape).into()
}

/// The sizes of the dimensions that have any.
fn shape_object(signature: &Signature, call: &Call) -> Map<String, Value> {
    let dims = signature.dims.iter().zip(&call.shapes.dims);
    dims.map(|(dim, &size)| (dim.name.clone(), json!(size))).collect()
}

fn shape_text(signature: &Signature, call: &Call) -> String {
    let dims = signature.dims.iter().zip(&call.shapes.dims);
    let free = dims.filter(|(dim, _)| matches!(dim.kind, DimKind::Free | DimKind::Leading));
    free.map(|(dim, size)| format!("{}={size}", dim.name)).collect::<Vec<_>>().join(",")
}

/// What was measured for one shape. Times in ns.
struct Measured {
    elements: usize,
    bytes: usize,
    runs: usize,
    call: f64,
    least: f64,
    copy: f64,
    stream: f64,
}

/// Kernel and copies, round after round.
fn measure(kernel: &Kernel, call: &Call, time: Duration) -> Outcome<Measured> {
    let signature = kernel.signature();
    let absent = TensorView::absent();
    let arrays = || signature.params.iter().zip(&call.arrays).filter(|(param, _)| is_array(param));
    let inputs: Vec<TensorView<'_>> =
        arrays().map(|(_, array)| array.as_ref().map_or(absent, Tensor::view)).collect();
    let made = signature.results.iter().zip(&call.shapes.results);
    let mut results =
        made.map(|(result, shape)| Tensor::zeros(result.dtype, shape)).collect::<Result<Vec<_>, _>>()?;
    let bytes_of = |tensor: &Tensor| tensor.shape().iter().product::<usize>() * tensor.dtype().bytes();
    let all = || arrays().filter_map(|(_, array)| array.as_ref()).chain(&results);
    let bytes: usize = all().map(bytes_of).sum();
    let elements = all().map(|tensor| tensor.shape().iter().product::<usize>()).max().unwrap_or(0);
    let numbers = signature.params.iter().enumerate().filter_map(|(index, param)| match param.kind {
        ParamKind::Scalar { default } => Some(call.numbers[index].or(default).unwrap_or(0.0)),
        ParamKind::Array { .. } => None,
    });
    let numbers: Vec<f64> = numbers.collect();

    let mut outputs: Vec<TensorViewMut<'_>> = results.iter_mut().map(Tensor::view_mut).collect();
    kernel.call(&inputs, &mut outputs, &numbers)?;
    let mut copies = copy::Buffers::new(bytes / 2)?;
    let mut run_kernel = || drop(black_box(kernel.call(&inputs, &mut outputs, &numbers)));
    let counts =
        [calibrate(&mut run_kernel), calibrate(&mut || copies.memcpy()), calibrate(&mut || copies.stream())];
    let mut times: [Vec<f64>; 3] = Default::default();
    let start = Instant::now();
    while times[0].len() < ROUNDS || start.elapsed() < time {
        times[0].push(round(counts[0], &mut run_kernel));
        times[1].push(round(counts[1], &mut || copies.memcpy()));
        times[2].push(round(counts[2], &mut || copies.stream()));
    }
    let least = times[0].iter().copied().fold(f64::INFINITY, f64::min);
    let runs = counts[0] * times[0].len();
    let [call, copy, stream] = times.map(|mut times| median(&mut times));
    Ok(Measured { elements, bytes, runs, call, least, copy, stream })
}

fn is_array(param: &act_runtime::abi::ParamDecl) -> bool {
    matches!(param.kind, ParamKind::Array { .. })
}

/// How many times something must be done to take as long as a round should.
fn calibrate(work: &mut dyn FnMut()) -> usize {
    let mut count = 1;
    loop {
        let start = Instant::now();
        (0..count).for_each(|_| work());
        let took = start.elapsed();
        if took >= ROUND || count >= 1 << 24 {
            return count;
        }
        count = match took.as_nanos() {
            0 => count * 16,
            nanos => (count as u128 * ROUND.as_nanos() * 5 / (4 * nanos)) as usize + 1,
        };
    }
}

/// Time of one of `count`, in ns.
fn round(count: usize, work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    (0..count).for_each(|_| work());
    start.elapsed().as_nanos() as f64 / count as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Measured {
    fn per_element(&self, time: f64) -> f64 {
        time / self.elements.max(1) as f64
    }

    /// The copy to compare with: what passes by the cache, where the arrays don't fit into it.
    fn fair_copy(&self) -> f64 {
        if self.bytes > copy::last_level_cache() { self.stream } else { self.copy }
    }

    fn row(&self, signature: &Signature, call: &Call) -> Vec<String> {
        vec![
            shape_text(signature, call),
            format!("{:.0}", self.call),
            format!("{:.0}", self.least),
            format!("{:.3}", self.per_element(self.call)),
            format!("{:.2}", self.bytes as f64 / self.call),
            format!("{:.2}", self.call / self.copy),
            format!("{:.2}", self.call / self.stream),
        ]
    }

    fn object(&self, engine: &str, kernel: &Kernel, call: &Call) -> Value {
        json!({
            "kernel": kernel.signature().name,
            "engine": engine,
            "threads": kernel.threads(),
            "shape": shape_object(kernel.signature(), call),
            "elements": self.elements,
            "bytes": self.bytes,
            "runs": self.runs,
            "ns_per_call": self.call,
            "ns_per_call_min": self.least,
            "ns_per_element": self.per_element(self.call),
            "gb_per_s": self.bytes as f64 / self.call,
            "copy_ns_per_element": self.per_element(self.copy),
            "stream_copy_ns_per_element": self.per_element(self.stream),
            "ratio_to_copy": self.call / self.fair_copy(),
        })
    }
}

/// Lines with aligned columns, the first to the left.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    std::iter::once(&head).chain(rows).map(line).collect()
}

// ---- the compiler's own time ----

/// Notes when the stages are done.
struct Clock {
    last: Instant,
    stages: Vec<(&'static str, f64)>,
}

impl Clock {
    fn start() -> Clock {
        Clock { last: Instant::now(), stages: Vec::new() }
    }

    fn note(&mut self, name: &'static str) {
        let now = Instant::now();
        let took = now.duration_since(self.last).as_nanos() as f64;
        match self.stages.iter_mut().find(|(known, _)| *known == name) {
            Some((_, time)) => *time += took,
            None => self.stages.push((name, took)),
        }
        self.last = now;
    }
}

impl Observer for Clock {
    fn stage(&mut self, stage: Stage, _kernel: &str, _text: &dyn Display) {
        self.note(stage.name());
    }
}

/// From text to callable code, over and over.
fn measure_compiler(args: &Args, text: &Text, options: &Options, session: &mut Session<'_>) -> Outcome {
    let start = Instant::now();
    let first = compile_once(text, options, session)?;
    let mut runs: Vec<Vec<(&'static str, f64)>> = Vec::new();
    while runs.len() < ROUNDS || (start.elapsed().as_secs_f64() < args.time && runs.len() < 10_000) {
        // What there is to warn of has been said.
        runs.push(compile_once(text, options, &Session::silent(&mut std::io::sink()))?);
    }
    let total = |run: &Vec<(&'static str, f64)>| run.iter().map(|(_, time)| time).sum::<f64>();
    let times_of = |name: &str| {
        let times = runs.iter().flat_map(|run| run.iter().filter(|(known, _)| *known == name));
        times.map(|(_, time)| *time).collect::<Vec<f64>>()
    };
    let mut stages: Vec<(&str, Vec<f64>)> = first.iter().map(|&(name, _)| (name, times_of(name))).collect();
    stages.push(("text to callable", runs.iter().map(total).collect()));
    if args.json {
        let times = stages.iter_mut().map(|(name, times)| ((*name).to_owned(), json!(median(times))));
        let object = json!({
            "file": args.file.display().to_string(), "runs": runs.len(),
            "ns_first": total(&first), "ns": times.collect::<Map<String, Value>>(),
        });
        writeln!(session.out, "{object}")?;
        return Ok(());
    }
    let us = |time: f64| format!("{:.0}", time / 1e3);
    let row = |(name, times): &mut (&str, Vec<f64>)| {
        let middle = median(times);
        vec![(*name).to_owned(), us(middle), us(times[0])]
    };
    let mut rows: Vec<Vec<String>> = stages.iter_mut().map(row).collect();
    rows.push(vec!["the first time".to_owned(), us(total(&first)), String::new()]);
    write!(session.out, "{}", table(&["stage", "us", "least"], &rows))?;
    Ok(())
}

fn compile_once(text: &Text, options: &Options, session: &Session<'_>) -> Outcome<Vec<(&'static str, f64)>> {
    let mut clock = Clock::start();
    let kernels = text.compile(options, &mut clock, session)?;
    let module = emit::jit::load(kernels).map_err(|error| Failure::Message(error.to_string()))?;
    clock.note("load");
    drop(module);
    Ok(clock.stages)
}
