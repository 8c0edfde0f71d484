//! The tables of `BENCHMARKS.md`: compiled kernels against the limit, the loop that a person would write first, and a
//! copy, all in one process and in turns.
//!
//! `cargo bench --bench table` prints them, for all kernels or for those named after `--`; `-- --write` also writes the
//! file.

mod cases;
mod limit;

use std::fmt::Write as _;
use std::time::Instant;

use cases::{Arrays, CASES, Case, Inputs};

/// Rows and their length, and what they fit.
const SHAPES: [(usize, usize, &str); 5] =
    [(4, 1024, "L1"), (32, 128, "L1"), (64, 1024, "L2"), (1024, 1024, "L3"), (16384, 1024, "memory")];

/// The same for images: rows are channels of 28 x 28 pixels.
const IMAGES: [(usize, usize, &str); 2] = [(512, 784, "L3"), (16384, 784, "memory")];

/// The most that any shape needs.
const MOST: usize = 16384 * 1024;

/// Elements that are made in one measurement, about.
const ELEMENTS: usize = 1 << 18;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (options, names): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.starts_with("--"));
    assert!(limit::available(), "the limit is written for AVX2 and FMA");
    let mut arrays = Arrays::new(MOST);
    let mut table = String::from(HEAD);
    print!("{HEAD}");
    for case in CASES.iter().filter(|case| names.is_empty() || names.iter().any(|name| *name == case.name)) {
        let shapes = if case.inputs == Inputs::Images { IMAGES.as_slice() } else { &SHAPES };
        for &(rows, d, place) in shapes {
            let line = measure(case, &mut arrays, (rows, d), place);
            print!("{line}");
            table.push_str(&line);
        }
    }
    if options.iter().any(|option| *option == "--write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../BENCHMARKS.md");
        let text = std::fs::read_to_string(path).expect("BENCHMARKS.md can be read");
        let (before, after) = text.split_once(BEGIN).expect("BENCHMARKS.md has a place for the table");
        let (_, after) = after.split_once(END).expect("the place for the table ends");
        let text = format!("{before}{BEGIN}\n\nMeasured on {}.\n\n{table}\n{END}{after}", machine());
        std::fs::write(path, text).expect("BENCHMARKS.md can be written");
    }
}

const BEGIN: &str = "<!-- table -->";
const END: &str = "<!-- end of table -->";
const HEAD: &str = "\
| kernel | rows x length | in | ns/element | limit | ratio | by | plain Rust | copy |
|---|---|---|---|---|---|---|---|---|
";

/// The processor, as it calls itself.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name"));
    let name = name.and_then(|rest| rest.split_once(": ")).map_or("an unnamed processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} cores, one of them used")
}

/// One line of the table.
fn measure(case: &Case, arrays: &mut Arrays, (rows, d): (usize, usize), place: &str) -> String {
    let module = act::compile(case.text).unwrap_or_else(|error| panic!("{error}"));
    let kernel = module.kernel(case.name).unwrap_or_else(|error| panic!("{error}"));
    let variants = limit::variants(case.name);
    let n = rows * d;
    let copy: limit::Kernel = if place == "memory" { limit::copy_streaming } else { limit::copy };
    let mut work = arrays.at(case.inputs, rows, d);

    work.check(case, &kernel);
    let calls = (ELEMENTS / n).max(1);
    let rounds = if n > 1 << 21 { 9 } else { 41 };
    let mut times = vec![Vec::new(); variants.len() + 3];
    for _ in 0..rounds {
        let mut time = |index: usize, run: &mut dyn FnMut()| {
            // What the one before left in the caches, or put out of them, is not this one's concern.
            run();
            let start = Instant::now();
            for _ in 0..calls {
                run();
            }
            times[index].push(start.elapsed().as_nanos() as f64 / (calls * n) as f64);
        };
        time(0, &mut || work.ours(&kernel));
        time(2, &mut || work.theirs(copy));
        for (index, &(_, variant)) in variants.iter().enumerate() {
            time(3 + index, &mut || work.theirs(variant));
        }
    }
    // The plain loop takes long, and how long is not in doubt.
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..calls {
            work.theirs(case.plain);
        }
        times[1].push(start.elapsed().as_nanos() as f64 / (calls * n) as f64);
    }

    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    let best = (0..variants.len()).min_by(|&a, &b| medians[3 + a].total_cmp(&medians[3 + b]));
    let best = best.expect("every case has a limit");
    let (ours, limit) = (medians[0], medians[3 + best]);
    let mut line = String::new();
    let by = variants[best].0;
    let (ratio, plain, copied) = (ours / limit, medians[1] / ours, ours / medians[2]);
    let name = case.name;
    write!(line, "| {name} | {rows} x {d} | {place} | {ours:.3} | {limit:.3} | {ratio:.2} | {by} ")
        .expect("a string");
    writeln!(line, "| {plain:.1} | {copied:.2} |").expect("a string");
    line
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
