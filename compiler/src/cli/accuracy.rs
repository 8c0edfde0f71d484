//! `actc accuracy`: how far a function or a kernel of one variable is from the true value.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use act::diag::{Source, Sources};
use act::graph::Graph;
use act::sema::prelude;
use act::{DType, Kernel, Options, pipeline};
use act_runtime::abi::ParamKind;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::engine::maker;
use super::run::load;
use super::source::Text;
use super::truth::{Formula, True};
use super::{Compile, Failure, Outcome, Session, words};

/// Inputs of one call.
const BLOCK: u64 = 1 << 16;

/// All inputs.
const ALL: u64 = 1 << 32;

/// How many of the worst inputs are listed.
const LISTED: usize = 8;

/// Inputs that samples always hold, with both signs.
const HARD: [f32; 40] = [
    0.0,
    f32::MIN_POSITIVE,
    1e-45,
    1e-40,
    1.0,
    0.999_999_94,
    1.000_000_1,
    0.5,
    0.499_999_97,
    0.249_999_99,
    0.75,
    1.5,
    2.0,
    std::f32::consts::PI,
    std::f32::consts::FRAC_PI_2,
    std::f32::consts::LN_2,
    0.346_573_6,
    0.549_306_15,
    16_777_215.0,
    16_777_216.0,
    // exp and its relatives: the ends of the range, and where the roundings add up.
    87.336_55,
    88.722_84,
    88.722_83,
    103.278_93,
    103.972_08,
    104.0,
    15.640_21,
    17.051_59,
    17.2,
    127.999_99,
    149.5,
    16.288_71,
    // sigmoid, tanh, erf, gelu: where the result becomes 0 or 1.
    15.955_147,
    9.010_913,
    3.919_206,
    10.054_11,
    5.8,
    // A float very near a multiple of pi/2.
    7.730_980_6e28,
    f32::MAX,
    f32::INFINITY,
];

/// What may be given to `actc accuracy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Measured is the machine code, over the f32 inputs; the true value is the formula as it is written, in double-double
arithmetic. Errors are in ulp: distances of neighbouring f32 numbers where the true value lies. The scaled error is in
2^-24 of the input or the true value, whichever is larger: what a sum with other values of that size can see.

Examples:
  actc accuracy tanh
  actc accuracy gelu --samples 100000000
  actc accuracy exp --all                  every f32 number: minutes
  actc accuracy my_activation.act -k f     the kernel f, as of a function with more parameters:
                                           kernel f(x: f32[..]) -> f32[..] { prelu(x, 0.25) }")]
pub struct Args {
    /// An elementary function or a function of the library of one variable; or a file with a kernel of one f32 array
    #[arg(value_name = "NAME|FILE")]
    subject: PathBuf,
    #[command(flatten)]
    compile: Compile,
    /// All 2^32 inputs
    #[arg(long, conflicts_with = "samples")]
    all: bool,
    /// How many inputs, evenly over all numbers; the hard ones are always among them
    #[arg(long, value_name = "N", default_value_t = 1 << 22, value_parser = clap::value_parser!(u64).range(1..=ALL))]
    samples: u64,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Compiles, measures, shows.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let text = subject(&args.subject)?;
    let mut options = args.compile.options();
    options.kernel = Some(text.choose(args.compile.kernel.as_deref(), session)?);
    let graph = text.graph(&options, session)?;
    let formula = formula(&graph)?;
    let kernel = load(graph.clone(), &options, &mut pipeline::Blind)?.with_threads(1);
    let samples = if args.all { ALL } else { args.samples };
    let found = sweep(&kernel, &formula, &Inputs { samples })?;
    let name = args.subject.display().to_string();
    if args.json {
        writeln!(session.out, "{}", found.object(&name, &options))?;
    } else {
        let heading = words::heading(&pipeline::signature(&graph));
        writeln!(session.out, "{heading}  {}, {}", maker(&options), options.target)?;
        write!(session.out, "{}", found.table())?;
    }
    Ok(())
}

/// The text of a file, or of a kernel that is one call.
fn subject(subject: &Path) -> Outcome<Text> {
    let name = subject.to_str().unwrap_or("");
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    if !is_word || subject.exists() {
        return Text::read(subject);
    }
    let only_along = |name: &str| {
        let of_library = prelude::function_names(true).any(|known| known == name);
        let everywhere = prelude::function_names(false).any(|known| known == name);
        of_library && !everywhere || matches!(name, "sum" | "prod")
    };
    if only_along(name) {
        let message = format!(
            "`{name}` goes along dimensions: measured are functions that compute every place by itself"
        );
        return Err(Failure::Message(message));
    }
    let text = format!("kernel accuracy(x: f32[n]) -> f32[n] {{ {name}(x) }}\n");
    let mut sources = Sources::new();
    let file = sources.add(Source::new(format!("<{name}>"), text));
    Ok(Text { sources, file })
}

/// The formula of a kernel that can be measured.
fn formula(graph: &Graph) -> Outcome<Formula> {
    let is_f32 = |dtype: DType| dtype == DType::F32;
    let arrays = graph.params.iter().filter(|param| param.axes.is_some()).count();
    let fine = match &graph.results[..] {
        [(result, _)] => arrays == 1 && is_f32(result.dtype),
        _ => false,
    };
    let array = graph.params.iter().find(|param| param.axes.is_some());
    let fine = fine && array.is_some_and(|array| is_f32(array.dtype));
    let missing = graph.params.iter().find(|param| param.axes.is_none() && param.default.is_none());
    if let Some(missing) = missing {
        let message = format!("`{}` has no default: a kernel of one variable is measured", missing.name);
        return Err(Failure::Message(message));
    }
    let message = "only kernels are measured whose one result and one array are f32, and that compute every place by \
                   itself: without reductions, indices and loops";
    fine.then(|| Formula::new(graph)).flatten().ok_or_else(|| Failure::Message(message.to_owned()))
}

/// Which numbers are tried.
struct Inputs {
    samples: u64,
}

impl Inputs {
    /// How many there are.
    fn count(&self) -> u64 {
        if self.samples == ALL { ALL } else { self.samples + 2 * HARD.len() as u64 }
    }

    /// One of them.
    fn get(&self, index: u64) -> f32 {
        if self.samples == ALL {
            return f32::from_bits(index as u32);
        }
        let hard = 2 * HARD.len() as u64;
        if index < hard {
            let value = HARD[index as usize / 2];
            return if index.is_multiple_of(2) { value } else { -value };
        }
        // In each stretch one, somewhere in it.
        let index = index - hard;
        let (from, to) = (index * ALL / self.samples, (index + 1) * ALL / self.samples);
        let jitter = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        f32::from_bits((from + ((jitter * (to - from)) >> 32)) as u32)
    }
}

/// An input and what is wrong with the result.
#[derive(Clone, Copy, Debug)]
struct Case {
    x: f32,
    got: f32,
    want: f64,
    /// In ulp; an infinity where one of the two is NaN, or finite where the other is not.
    ulp: f64,
    /// In 2^-24 of the larger of input and true value.
    scaled: f64,
}

/// The cases with the largest errors.
#[derive(Clone, Debug, Default)]
struct Found {
    inputs: u64,
    /// Largest first, by `ulp`.
    worst: Vec<Case>,
    scaled: Option<Case>,
    /// How many are correctly rounded, and how many have at most one ulp.
    rounded: u64,
    within_one: u64,
    /// How often the formula was computed in double-double.
    wide: u64,
    /// How often it left even the range of that.
    beyond: u64,
}

impl Found {
    fn add(&mut self, case: Case) {
        self.inputs += 1;
        self.rounded += u64::from(case.got == case.want as f32 || case.ulp == 0.0);
        self.within_one += u64::from(case.ulp <= 1.0);
        if self.scaled.is_none_or(|known| case.scaled > known.scaled) {
            self.scaled = Some(case);
        }
        let at = self.worst.partition_point(|known| known.ulp >= case.ulp);
        if at < LISTED {
            self.worst.insert(at, case);
            self.worst.truncate(LISTED);
        }
    }

    fn merge(mut self, other: Found) -> Found {
        self.inputs += other.inputs;
        self.rounded += other.rounded;
        self.within_one += other.within_one;
        self.wide += other.wide;
        self.beyond += other.beyond;
        self.worst.extend(other.worst);
        self.worst.sort_by(|a, b| b.ulp.total_cmp(&a.ulp).then(a.x.total_cmp(&b.x)));
        self.worst.truncate(LISTED);
        self.scaled = match (self.scaled, other.scaled) {
            (Some(a), Some(b)) => {
                let first = a.scaled > b.scaled || a.scaled == b.scaled && a.x.total_cmp(&b.x).is_lt();
                Some(if first { a } else { b })
            }
            (a, b) => a.or(b),
        };
        self
    }

    fn table(&self) -> String {
        let mut text = String::new();
        let share = |count: u64| 100.0 * count as f64 / self.inputs.max(1) as f64;
        let every = if self.inputs + self.beyond == ALL { ", all there are" } else { "" };
        let _ = writeln!(text, "inputs              {}{every}", self.inputs);
        if self.beyond > 0 {
            let _ =
                writeln!(text, "not judged          {}: e to a power above 2^49 in the formula", self.beyond);
        }
        if let Some(case) = self.worst.first() {
            let _ = writeln!(text, "largest error       {:.4} ulp at {:e}", case.ulp, case.x);
        }
        if let Some(case) = &self.scaled {
            let _ = writeln!(text, "largest scaled      {:.4} * 2^-24 at {:e}", case.scaled, case.x);
        }
        let _ = writeln!(text, "correctly rounded   {:.2} %", share(self.rounded));
        let _ = writeln!(text, "within 1 ulp        {:.2} %", share(self.within_one));
        let _ = writeln!(text, "\n{:>10}  {:>16}  {:>16}  {:>22}", "ulp", "x", "result", "true value");
        for case in &self.worst {
            let (x, got, want) =
                (format!("{:e}", case.x), format!("{:e}", case.got), format!("{:e}", case.want));
            let _ = writeln!(text, "{:>10.4}  {x:>16}  {got:>16}  {want:>22}", case.ulp);
        }
        text
    }

    fn object(&self, name: &str, options: &Options) -> Value {
        // JSON has no infinities and no NaN.
        let number = |x: f64| if x.is_finite() { json!(x) } else { json!(x.to_string()) };
        let case = |case: &Case| {
            json!({
                "x": number(f64::from(case.x)), "x_bits": format!("{:#010x}", case.x.to_bits()),
                "result": number(f64::from(case.got)), "true": number(case.want),
                "ulp": number(case.ulp), "scaled": number(case.scaled),
            })
        };
        json!({
            "subject": name,
            "engine": maker(options),
            "target": options.target.to_string(),
            "inputs": self.inputs,
            "ulp": self.worst.first().map(|case| number(case.ulp)),
            "scaled": self.scaled.map(|case| number(case.scaled)),
            "scaled_at": self.scaled.map(|case| number(f64::from(case.x))),
            "correctly_rounded": self.rounded,
            "within_one_ulp": self.within_one,
            "in_double_double": self.wide,
            "not_judged": self.beyond,
            "worst": self.worst.iter().map(case).collect::<Vec<_>>(),
        })
    }
}

/// Runs the kernel on all inputs, block by block on all threads.
fn sweep(kernel: &Kernel, formula: &Formula, inputs: &Inputs) -> Outcome<Found> {
    let blocks = inputs.count().div_ceil(BLOCK);
    let bar = ProgressBar::new(blocks);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent} % {eta} left {msg}") {
        bar.set_style(style);
    }
    // The largest error known to any thread, as bits, for the bar.
    let largest = AtomicU64::new(0);
    let block = |block: u64| -> Result<Found, act_runtime::Error> {
        let range = block * BLOCK..((block + 1) * BLOCK).min(inputs.count());
        let x: Vec<f32> = range.map(|index| inputs.get(index)).collect();
        let mut y = vec![0f32; x.len()];
        call(kernel, &x, &mut y)?;
        let mut found = Found::default();
        let mut scratch = formula.scratch();
        for (&x, &got) in x.iter().zip(&y) {
            let want = formula.value(x, &mut scratch);
            found.wide += u64::from(want.wide);
            if want.beyond {
                found.beyond += 1;
            } else {
                found.add(judge(x, got, &want));
            }
        }
        let ulp = found.worst.first().map_or(0.0, |case| case.ulp);
        let known = f64::from_bits(largest.fetch_max(ulp.to_bits(), Ordering::Relaxed));
        bar.inc(1);
        if ulp > known {
            bar.set_message(format!("{ulp:.3} ulp"));
        }
        Ok(found)
    };
    let found = (0..blocks).into_par_iter().map(block).try_reduce(Found::default, |a, b| Ok(a.merge(b)));
    bar.finish_and_clear();
    Ok(found?)
}

/// All inputs lie along the last axis.
fn call(kernel: &Kernel, x: &[f32], y: &mut [f32]) -> Result<(), act_runtime::Error> {
    let mut numbers = Vec::new();
    let mut shape = vec![x.len()];
    for param in &kernel.signature().params {
        match &param.kind {
            ParamKind::Scalar { default } => numbers.push(default.unwrap_or(0.0)),
            ParamKind::Array { axes, .. } => shape = vec![1; axes.len()],
        }
    }
    if let Some(last) = shape.last_mut() {
        *last = x.len();
    }
    let inputs = [act::view(x, &shape[..])];
    let mut outputs = [act::view_mut(y, &shape[..])];
    kernel.call(&inputs, &mut outputs, &numbers)
}

/// How wrong a result is.
fn judge(x: f32, got: f32, want: &True) -> Case {
    let value = want.value;
    let case = |ulp: f64, scaled: f64| Case { x, got, want: value, ulp, scaled };
    if got.is_nan() || value.is_nan() {
        let wrong = if got.is_nan() && value.is_nan() { 0.0 } else { f64::INFINITY };
        return case(wrong, wrong);
    }
    // What rounds to an infinity is one; an infinity in its place counts as the number after the largest.
    let rounds_to = value as f32;
    if got == rounds_to && got.is_infinite() {
        return case(0.0, 0.0);
    }
    if value.is_infinite() {
        return case(f64::INFINITY, f64::INFINITY);
    }
    let got = if got.is_infinite() { 2f64.powi(128).copysign(f64::from(got)) } else { f64::from(got) };
    // The difference of the doubles is exact where it is small; `low` is what the true value has beyond its double.
    let off = ((got - value) - want.low).abs();
    let exponent = (((value.to_bits() >> 52) & 0x7ff) as i32 - 1023).clamp(-126, 127);
    let size = f64::from(x).abs().max(value.abs());
    // Below 2^-126 numbers lie 2^-149 apart, and nothing can be nearer.
    let size = if size.is_finite() { size.max(2f64.powi(-126)) } else { f64::INFINITY };
    case(off * 2f64.powi(23 - exponent), off / size * 2f64.powi(24))
}
