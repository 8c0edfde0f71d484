//! Engines that check each other, on every kernel of the suite and every example, over sizes and numbers of all kinds:
//! - machine code gives the bits of the interpreter, whatever the strides, the threads, and in place;
//! - the interpreter gives the same bits before and after the layout passes, however the work is cut;
//! - both lie where the error analysis ([`crate::bounds`]) says, and so does what the formula gives in real numbers;
//! - a row's bits don't depend on how many rows there are.

use act::graph::eval::eval;
use act::graph::{Decl, Op};
use act::loops::interp;
use act::types::{DimId, DimKind, DimSet};

use crate::bounds;
use crate::inputs;
use crate::subject::{Data, How, Kind, Spacing, Subject, assert_same, subjects, value};

/// Sizes that one dimension goes through while the others are small.
fn lengths() -> impl Iterator<Item = i64> {
    (0..=67).chain([100, 1000, 4097])
}

/// Choices of sizes for a kernel, each with a number of its own.
fn choices(subject: &Subject) -> Vec<(u64, Vec<i64>)> {
    let dims = subject.free_dims();
    let mut choices = Vec::new();
    for (varied, _) in dims.iter().enumerate() {
        for length in lengths() {
            let size = |dim: usize| match length {
                _ if dim == varied => length,
                0..=67 => 1 + (dim as i64 + length) % 3,
                _ => 1 + i64::from((dim + varied) % 2 == 1 && dims.len() < 4),
            };
            let known: Vec<(&str, i64)> =
                dims.iter().enumerate().map(|(dim, name)| (name.as_str(), size(dim))).collect();
            let Some(sizes) = subject.sizes(&known) else { continue };
            // Kernels with large dimensions of fixed size: fewer lengths, and not the longest.
            let len = subject.largest(&sizes);
            if len > 40_000 || len > 2_000 && length <= 67 && length % 8 != 1 {
                continue;
            }
            choices.push(sizes);
        }
    }
    if dims.is_empty() {
        choices.extend(subject.sizes(&[]));
    }
    choices.into_iter().enumerate().map(|(number, sizes)| (number as u64, sizes)).collect()
}

/// The interpreter twice and machine code of both back ends: what they all give.
pub fn same_bits(subject: &Subject, data: &Data) -> Vec<interp::Array> {
    let numeric = subject.interpret(&subject.numeric, data, &interp::Options::default());
    let layout = subject.interpret(&subject.layout, data, &interp::Options::default());
    assert_same(subject, data, "layout passes", &numeric, &layout);
    let machine = subject.execute(data, &How::PLAIN);
    assert_same(subject, data, "machine code", &numeric, &machine);
    assert_same(subject, data, "machine code by Cranelift", &numeric, &subject.execute(data, &How::NARROW));
    numeric
}

/// What was found, and what the formula gives, lie in the ranges of the error analysis; if `narrow`, these have to be so
/// narrow that this says something.
pub fn within_bounds(
    subject: &Subject,
    data: &Data,
    found: &[interp::Array],
    given: &bounds::Known,
    narrow: bool,
) {
    let mut exact = subject.exact(data);
    let inputs = subject.source.params.iter().zip(&data.args);
    let inputs: Vec<Vec<f64>> = inputs
        .map(|(decl, array)| array.bits.iter().map(|&bits| value(decl.dtype, bits)).collect())
        .collect();
    // Real numbers of the evaluator end, too: exponentials of 1e30 are all the same to it. What is made safe from them says more.
    let slices: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    let safe = eval(&subject.optimized, &data.sizes, &slices);
    let both = exact.iter_mut().flatten().zip(safe.iter().flatten());
    both.filter(|(exact, _)| !exact.is_finite()).for_each(|(exact, safe)| *exact = *safe);
    let ranges = bounds::results(&subject.optimized, given, &data.sizes, &inputs);
    for (number, (decl, _)) in subject.source.results.iter().enumerate() {
        for (at, range) in ranges[number].iter().enumerate() {
            let (exact, found) = (exact[number][at].to_f64(), value(decl.dtype, found[number].bits[at]));
            let place = || format!("{}: {}[{at}], for the sizes {:?}", subject.name, decl.name, data.sizes);
            assert!(range.holds(found), "{}: {found:e} is not in {range:?}; exactly {exact:e}", place());
            assert!(range.holds(exact), "{}: exactly {exact:e} is not in {range:?}", place());
            if narrow && exact.is_finite() {
                let width = range.hi - range.lo;
                assert!(
                    width <= 0.1 * exact.abs().max(1.0),
                    "{}: {range:?} is too wide to show anything about {exact:e}",
                    place()
                );
            }
        }
    }
}

#[test]
fn all_engines_agree() {
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            let given = bounds::constants(&subject.source);
            for (number, sizes) in choices(&subject) {
                let kind = Kind::ALL[number as usize % 3];
                let data = subject.data(sizes, kind, number);
                let found = same_bits(&subject, &data);
                // Examples may be as ill-conditioned as their formulas are.
                let narrow = kind == Kind::Ordinary && input.path.starts_with("tests");
                within_bounds(&subject, &data, &found, &given, narrow);
            }
        }
    }
}

/// A kernel of the suite.
fn kernel(file: &str, name: &str) -> Subject {
    let input = inputs::suite().into_iter().find(|input| input.name == file).expect("it is in the suite");
    let subject = subjects(&input).into_iter().find(|subject| subject.source.name == name);
    subject.unwrap_or_else(|| panic!("{file} has no kernel {name}"))
}

/// The bounds that are stated for reductions and normalisers, for a row of `d` elements (f32): S counts the additions.
struct Row<'a> {
    x: &'a [f64],
    s: f64,
}

const UNIT: f64 = f32::EPSILON as f64 / 2.0;

impl Row<'_> {
    fn largest(&self) -> f64 {
        self.x.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
    }

    fn max(&self) -> f64 {
        self.x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

type Bound = fn(&Row<'_>, usize, f64) -> f64;

#[test]
fn reductions_and_normalisers_keep_their_bounds() {
    // The absolute error of an element of the result, given its place and its exact value.
    let bounds: [(&str, &str, Bound); 7] = [
        ("softmax-rows", "safe", |row, at, y| (row.s + 6.0 + (row.x[at] - row.max()).abs()) * UNIT * y),
        ("softmax-rows", "textbook", |row, at, y| (row.s + 6.0 + (row.x[at] - row.max()).abs()) * UNIT * y),
        ("softmax-rows", "log_of", |row, _, _| (row.s + 6.0) * UNIT * row.largest().max(1.0)),
        ("softmax-rows", "total", |row, _, _| (row.s + 6.0) * UNIT * row.largest().max(1.0)),
        ("reduce-orders", "last", |row, _, _| {
            (row.s + 2.0) * UNIT * row.x.iter().map(|x| x.abs()).sum::<f64>()
        }),
        ("norm-rows", "rms", |row, _, y| (row.s + 2.0) * UNIT * y.abs() + 1e-45),
        ("norm-rows", "layer", |row, _, _| {
            let count = row.x.len() as f64;
            let mu = row.x.iter().sum::<f64>() / count;
            let var = row.x.iter().map(|x| (x - mu) * (x - mu)).sum::<f64>() / count;
            (row.s + 6.0) * UNIT * row.largest() / (var + 1e-5).sqrt()
        }),
    ];
    for (file, name, bound) in bounds {
        let subject = kernel(file, name);
        let dims = subject.free_dims();
        for (number, length) in lengths().enumerate().skip(1) {
            let sizes = subject.sizes(&[(&dims[0], 3), ("d", length)]).expect("sizes of a row");
            let mut data = subject.data_with_defaults(sizes, Kind::Ordinary, number as u64);
            // Numbers of one sign, of both, and far from zero.
            for (at, bits) in data.args[0].bits.iter_mut().enumerate() {
                let x = f32::from_bits(*bits as u32);
                let x = [x * 8.0, x.abs(), x * 0.1 + 50.0][at / length as usize];
                *bits = u64::from(x.to_bits());
            }
            if let Some(weight) = subject.source.params.iter().position(|decl| decl.name == "weight") {
                data.args[weight].bits.fill(u64::from(1f32.to_bits()));
            }
            let (exact, found) = (subject.exact(&data), subject.execute(&data, &How::PLAIN));
            let s = (length as f64 / 32.0).ceil().min(256.0) + libm::log2(length as f64).ceil();
            for (at, exact) in exact[0].iter().enumerate() {
                let per_row = found[0].bits.len() / 3;
                let row = at / per_row;
                let x: Vec<f64> = data.args[0].bits[row * length as usize..][..length as usize]
                    .iter()
                    .map(|bits| f64::from(f32::from_bits(*bits as u32)))
                    .collect();
                let (exact, found) = (exact.to_f64(), value(act::DType::F32, found[0].bits[at]));
                let allowed = bound(&Row { x: &x, s }, at % per_row, exact);
                let error = (found - exact).abs();
                assert!(
                    error <= allowed,
                    "{}: {found:e} for {exact:e} is {:.1} times the bound, row {row} of {length} elements",
                    subject.name,
                    error / allowed
                );
            }
        }
    }
}

/// Several blocks of a reduction, and a tree of them.
#[test]
fn engines_agree_on_long_reductions() {
    let kernels = [
        ("reduce-orders", "vector", "d"),
        ("reduce-orders", "four", "d"),
        ("reduce-orders", "of_functions", "d"),
        ("reduce-orders", "weighted", "n"),
        ("reduce-orders", "trailing_pair", "a"),
        ("reduce-orders", "ends", "b"),
        ("softmax-rows", "safe", "d"),
        ("norm-rows", "layer", "d"),
        ("types-mixed", "double_layer", "d"),
        ("types-mixed", "double_columns", "d"),
        ("types-mixed", "whole_numbers", "d"),
    ];
    for (file, name, long) in kernels {
        let subject = kernel(file, name);
        let given = bounds::constants(&subject.source);
        let dims = subject.free_dims();
        for (number, length) in [4096, 8191, 8192, 8193, 24_577, 40_001].into_iter().enumerate() {
            let size = |name: &String| if name == long { length } else { 1 };
            let known: Vec<(&str, i64)> = dims.iter().map(|name| (name.as_str(), size(name))).collect();
            let sizes = subject.sizes(&known).expect("sizes of a long row");
            let data = subject.data(sizes, Kind::Ordinary, number as u64);
            let found = same_bits(&subject, &data);
            within_bounds(&subject, &data, &found, &given, false);
        }
    }
}

/// Some small choices of sizes, unequal where possible.
pub fn few_choices(subject: &Subject) -> Vec<Vec<i64>> {
    let dims = subject.free_dims();
    let sizes: [[i64; 4]; 7] = [
        [3, 5, 2, 4],
        [1, 33, 1, 2],
        [34, 2, 3, 1],
        [2, 3, 40, 1],
        [1, 2, 1, 37],
        [7, 7, 7, 7],
        [4, 0, 3, 2],
    ];
    let known = sizes.map(|sizes| {
        let known: Vec<(&str, i64)> =
            dims.iter().zip(sizes.iter().cycle()).map(|(name, size)| (name.as_str(), *size)).collect();
        subject.sizes(&known)
    });
    known.into_iter().flatten().collect()
}

/// Pairs (parameter, result) that may be one array, if any.
pub fn in_place(subject: &Subject) -> Vec<(u32, u32)> {
    let graph = &subject.source;
    let mut pairs = Vec::new();
    for (param, input) in graph.params.iter().enumerate() {
        for (result, (output, _)) in graph.results.iter().enumerate() {
            if subject.kernel.in_place(&input.name, &output.name) {
                pairs.push((param as u32, result as u32));
            }
        }
    }
    pairs
}

#[test]
fn the_way_of_calling_makes_no_difference() {
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            for (number, sizes) in few_choices(&subject).into_iter().enumerate() {
                let data = subject.data(sizes, Kind::ALL[number % 3], number as u64);
                called_in_every_way(&subject, &data);
            }
        }
    }
}

/// Every way to call, on every engine.
pub fn called_in_every_way(subject: &Subject, data: &Data) {
    let expected = subject.interpret(&subject.numeric, data, &interp::Options::default());
    let same = |what: &str, found: &[interp::Array]| assert_same(subject, data, what, &expected, found);
    for spacing in [Spacing::Dense, Spacing::Padded, Spacing::Spread, Spacing::Reversed] {
        for threads in [1, 3] {
            for narrow in [false, true] {
                let how = How { spacing, threads, narrow, ..How::PLAIN };
                same(&format!("{how:?}"), &subject.execute(data, &how));
            }
        }
    }
    for backwards in [false, true] {
        let options = interp::Options { cuts: &[1, 2, 5, 8, 20, 32, 36], backwards, in_place: &[] };
        same("numeric, cut", &subject.interpret(&subject.numeric, data, &options));
        same("layout, cut", &subject.interpret(&subject.layout, data, &options));
    }
    for pair in in_place(subject) {
        for spacing in [Spacing::Dense, Spacing::Padded, Spacing::Spread] {
            for narrow in [false, true] {
                let how = How { spacing, threads: 3, in_place: vec![pair], narrow, ..How::PLAIN };
                same(&format!("{how:?}"), &subject.execute(data, &how));
            }
        }
        let options = interp::Options { in_place: &[pair], ..interp::Options::default() };
        same("numeric, in place", &subject.interpret(&subject.numeric, data, &options));
        same("layout, in place", &subject.interpret(&subject.layout, data, &options));
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            let numbers = subject.source.params.iter().filter(|decl| decl.axes.is_none());
            if numbers.into_iter().any(|decl| decl.default.is_none()) {
                continue;
            }
            for sizes in few_choices(&subject) {
                let data = subject.data_with_defaults(sizes, Kind::Ordinary, 1);
                let expected = subject.interpret(&subject.numeric, &data, &interp::Options::default());
                let how = How { defaults: true, ..How::PLAIN };
                assert_same(&subject, &data, "with defaults", &expected, &subject.execute(&data, &how));
            }
        }
    }
}

/// Large enough for the runtime to use several threads.
#[test]
fn threads_make_no_difference() {
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            let dims = subject.free_dims();
            let sizes: &[i64] = match dims.len() {
                0 => continue,
                1 => &[50_001],
                2 => &[61, 1200],
                3 => &[9, 37, 201],
                _ => &[5, 6, 37, 41],
            };
            for turn in 0..dims.len() {
                // Kernels that compare all pairs: smaller, but large enough.
                let sizes_over = |divisor: i64| {
                    let turned = sizes.iter().cycle().skip(turn);
                    let known: Vec<(&str, i64)> = dims
                        .iter()
                        .zip(turned)
                        .map(|(name, size)| (name.as_str(), size / divisor + 1))
                        .collect();
                    subject.sizes(&known)
                };
                let small = |sizes: &Vec<i64>| subject.largest(sizes) < 1_000_000;
                let Some(sizes) = [1, 4, 50, 200].into_iter().filter_map(sizes_over).find(small) else {
                    continue;
                };
                let data = subject.data(sizes, Kind::Extreme, turn as u64);
                let expected = subject.execute(&data, &How::PLAIN);
                let how = How { threads: 4, ..How::PLAIN };
                assert_same(&subject, &data, "4 threads", &expected, &subject.execute(&data, &how));
            }
        }
    }
}

/// Dimensions along which every element of the results depends on the elements at the same place only, and on no place
/// and no size.
pub fn independent_dims(subject: &Subject) -> Vec<DimId> {
    let graph = &subject.source;
    let mut shared = DimSet::EMPTY;
    for node in graph.nodes.values() {
        shared = match &node.op {
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } | Op::Size(dims) => shared.union(*dims),
            Op::Index(dim) | Op::Scan { dim, .. } | Op::KthLargest { dim, .. } => shared.with(*dim),
            _ => shared,
        };
    }
    if graph.dims.values().any(|dim| matches!(dim.kind, DimKind::Computed(_))) {
        return Vec::new();
    }
    let everywhere = graph.results.iter().map(|(decl, _)| decl.dims());
    let everywhere = everywhere.reduce(DimSet::intersection).unwrap_or_default();
    let free = |dim: &DimId| matches!(graph.dims[*dim].kind, DimKind::Free | DimKind::Leading);
    everywhere.difference(shared).iter().filter(free).collect()
}

/// The part of an array at one place of a dimension; all of it where it lacks the dimension.
fn part(decl: &Decl, array: &interp::Array, sizes: &[i64], dim: DimId, place: i64) -> interp::Array {
    let mut bits = Vec::new();
    for (at, element) in array.bits.iter().enumerate() {
        let mut rest = at as i64;
        let mut inside = true;
        for own in decl.dim_list().collect::<Vec<_>>().into_iter().rev() {
            let size = sizes[own.as_u32() as usize];
            inside &= own != dim || rest % size == place;
            rest /= size;
        }
        if inside {
            bits.push(*element);
        }
    }
    interp::Array { elem: array.elem, bits }
}

#[test]
fn a_row_does_not_depend_on_the_batch() {
    for input in inputs::kernels() {
        for subject in subjects(&input) {
            let names = subject.free_dims();
            for dim in independent_dims(&subject) {
                let varied = &subject.source.dims[dim].name;
                let others = [37, 37, 13, 7, 5][names.len().min(4)];
                for (length, others) in [(10, others), (10, 5), (41, 3)] {
                    let sizes = |length: i64| {
                        let size = |name: &String| if name == varied { length } else { others };
                        let known: Vec<(&str, i64)> =
                            names.iter().map(|name| (name.as_str(), size(name))).collect();
                        subject.sizes(&known)
                    };
                    if let (Some(many), Some(one)) = (sizes(length), sizes(1)) {
                        one_of_many(&subject, dim, length, many, one);
                    }
                }
            }
        }
    }
}

pub fn one_of_many(subject: &Subject, dim: DimId, length: i64, many: Vec<i64>, one: Vec<i64>) {
    let data = subject.data(many, Kind::Extreme, length as u64);
    let all = subject.execute(&data, &How::PLAIN);
    for place in [0, length / 3, length - 1] {
        let args = subject.source.params.iter().zip(&data.args);
        let args = args.map(|(decl, array)| part(decl, array, &data.sizes, dim, place)).collect();
        let alone = Data { sizes: one.clone(), args };
        let expected = subject.source.results.iter().zip(&all);
        let expected: Vec<interp::Array> =
            expected.map(|((decl, _), array)| part(decl, array, &data.sizes, dim, place)).collect();
        let what = format!("alone, number {place} of {length} along {}", subject.source.dims[dim].name);
        assert_same(subject, &alone, &what, &expected, &subject.execute(&alone, &How::PLAIN));
    }
}
