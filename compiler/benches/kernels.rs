//! Compiled kernels beside hand-written ones, one bench each: `cargo bench --bench kernels`. For ratios take the bench `table`,
//! which measures in turns.

mod cases;
mod limit;

use cases::{Arrays, CASES, Inputs};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

const NAMES: [&str; CASES.len()] = {
    let mut names = [""; CASES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = CASES[at].name;
        at += 1;
    }
    names
};

/// Rows of 1024 in the second-level cache; images in the third.
fn shape(inputs: Inputs) -> (usize, usize) {
    if inputs == Inputs::Images { (512, 784) } else { (64, 1024) }
}

fn run(bencher: Bencher<'_, '_>, name: &str, of: impl Fn(&mut cases::Work<'_>, &cases::Case)) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of that name");
    let (rows, d) = shape(case.inputs);
    let mut arrays = Arrays::new(rows * d);
    let mut work = arrays.at(case.inputs, rows, d);
    bencher.counter(ItemsCount::new(rows * d)).bench_local(|| of(&mut work, case));
}

#[divan::bench(args = NAMES)]
fn compiled(bencher: Bencher<'_, '_>, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of that name");
    let module = act::compile(case.text).unwrap_or_else(|error| panic!("{error}"));
    let kernel = module.kernel(name).unwrap_or_else(|error| panic!("{error}"));
    let (rows, d) = shape(case.inputs);
    Arrays::new(rows * d).at(case.inputs, rows, d).check(case, &kernel);
    run(bencher, name, |work, _| work.ours(&kernel));
}

/// The first variant with ordinary stores: the shapes are in cache.
#[divan::bench(args = NAMES)]
fn by_hand(bencher: Bencher<'_, '_>, name: &str) {
    let (_, kernel) = limit::variants(name)[1];
    run(bencher, name, |work, _| work.theirs(kernel));
}

#[divan::bench(args = NAMES)]
fn plain_rust(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |work, case| work.theirs(case.plain));
}

/// A copy of as much as the result, once by way of the cache and once past it.
#[divan::bench(args = [false, true])]
fn copy(bencher: Bencher<'_, '_>, streaming: bool) {
    run(bencher, "relu", |work, _| work.theirs(if streaming { limit::copy_streaming } else { limit::copy }));
}

/// Text to callable.
#[divan::bench(args = NAMES)]
fn compile(bencher: Bencher<'_, '_>, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of that name");
    bencher.bench_local(|| act::compile(case.text));
}
