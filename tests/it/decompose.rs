//! Decompositions of normalisers: all ways to compute a maximum and the sums of exponentials that it shifts, and a mean with its
//! squares, agree within the stated bounds, on every engine with the same bits, for every kernel that has them.

use std::fmt::Write as _;

use act::graph_passes::decompose::{DECOMPOSITIONS, Found};
use act::loops::interp;
use act::{DType, Data, Kernel, Normalizer, Options, Tensor, view, view_mut};
use act_runtime::{bf16, f16};

use crate::engines::{called_in_every_way, same_bits};
use crate::inputs::{self, root};
use crate::subject::{self, How, Kind, Subject, graphs, subject_with, value};
use crate::zoo;

/// All ways, by the table; reload, which all other tests run, is the first.
fn ways() -> impl Iterator<Item = Normalizer> {
    DECOMPOSITIONS.iter().map(|row| row.normalizer)
}

fn options(normalizer: Normalizer) -> Options {
    Options { normalizer, ..Options::default() }
}

/// The graph after its passes.
fn optimized(graph: &act::graph::Graph) -> act::graph::Graph {
    let mut graph = graph.clone();
    for pass in act::graph_passes::PASSES {
        (pass.run)(&mut graph);
    }
    graph
}

/// The kernels of the zoo, by file.
fn zoo_graphs() -> Vec<(String, act::graph::Graph)> {
    let files = zoo::files(&root().join("examples/kernels"));
    let mut all = Vec::new();
    for path in files {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        all.extend(graphs(&name, &text).into_iter().map(|graph| (name.clone(), graph)));
    }
    all
}

/// So that none drops out silently.
#[test]
fn these_kernels_have_decompositions() {
    let mut list = String::new();
    for (file, graph) in zoo_graphs() {
        let graph = optimized(&graph);
        let found = Found::of(&graph);
        if !found.is_empty() {
            let (shifted, moments) = (found.shifted.len(), found.moments.len());
            let _ = writeln!(list, "{file}: {}: {shifted} shifted, {moments} with moments", graph.name);
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/decompose");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("kernels", list));
}

/// Every way that can be asked for has its row, and stands where a user looks for it.
#[test]
fn every_way_is_documented() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a readable file");
    let (reference, transcript) = (read("grammar/README.md"), read("tests/cli/actc.trycmd"));
    let options = reference.lines().find(|line| line.starts_with("| `normalizer` |")).expect("the directive");
    let help =
        transcript.lines().find(|line| line.contains("that they shift are computed:")).expect("the option");
    for way in Normalizer::ALL {
        assert!(way == Normalizer::Auto || ways().any(|row| row == way), "{} has no row", way.name());
        let (line, name) = (format!("| `{}` |", way.name()), way.name());
        assert!(reference.contains(&line), "grammar/README.md, \"Ways to normalise\", has no line `{line}`");
        let among =
            |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        assert!(among(options), "the line of `normalizer` in grammar/README.md lacks {name}");
        assert!(among(help), "`actc help run` lacks {name}: compiler/src/cli/mod.rs, and build.rs beside it");
    }
}

/// Sizes of a call: the dimension of that number is so long.
fn sizes(subject: &Subject, long: usize, length: i64) -> Option<Vec<i64>> {
    let dims = subject.free_dims();
    let size = |at: usize| if at == long { length } else { [2, 3, 1, 2][(at + long) % 4] };
    let known: Vec<(&str, i64)> =
        dims.iter().enumerate().map(|(at, name)| (name.as_str(), size(at))).collect();
    subject.sizes(&known)
}

/// What results may differ in between two ways, by how large the numbers are.
fn agree(subject: &Subject, data: &subject::Data, way: Normalizer, a: &[interp::Array], b: &[interp::Array]) {
    for (number, (decl, _)) in subject.source.results.iter().enumerate() {
        let values = |array: &interp::Array| -> Vec<f64> {
            array.bits.iter().map(|&bits| value(decl.dtype, bits)).collect()
        };
        let (a, b) = (values(&a[number]), values(&b[number]));
        let unit = match decl.dtype {
            DType::F16 => 2f64.powi(-10),
            DType::BF16 => 2f64.powi(-7),
            DType::F64 => 2f64.powi(-40),
            _ => 2f64.powi(-14),
        };
        for (at, (a, b)) in a.iter().zip(&b).enumerate() {
            let same = a == b || a.is_nan() && b.is_nan();
            let near = (a - b).abs() <= unit * a.abs().max(b.abs()).max(1.0);
            assert!(
                same || near,
                "{}, {}: {}[{at}] is {b:e}, by reload {a:e}, for the sizes {:?}",
                subject.name,
                way.name(),
                decl.name,
                data.sizes
            );
        }
    }
}

#[test]
fn all_ways_agree_on_every_engine() {
    let suite = inputs::suite().into_iter().flat_map(|input| {
        let name = input.path.display().to_string();
        graphs(&name, &input.text).into_iter().map(|graph| (name.clone(), graph)).collect::<Vec<_>>()
    });
    let suite = suite.map(|(file, graph)| (file, graph, &[0, 1, 2, 31, 32, 33, 300, 8193][..]));
    let zoo = zoo_graphs().into_iter().map(|(file, graph)| (file, graph, &[1, 33, 300][..]));
    for (file, graph, lengths) in suite.chain(zoo) {
        if Found::of(&optimized(&graph)).is_empty() {
            continue;
        }
        let plain = subject_with(&file, graph.clone(), &options(Normalizer::Reload)).expect("this machine");
        // Reload is what all other tests run.
        for way in ways().skip(1) {
            let subject = subject_with(&file, graph.clone(), &options(way)).expect("this machine");
            let dims = subject.free_dims().len().max(1);
            let mut seed = 0;
            for long in 0..dims {
                for &length in lengths {
                    let Some(sizes) = sizes(&subject, long, length) else { continue };
                    if subject.largest(&sizes) > if length > 300 { 30_000 } else { 4_000 } {
                        continue;
                    }
                    seed += 1;
                    if length == 33 {
                        called_in_every_way(&subject, &subject.data(sizes.clone(), Kind::Ordinary, seed));
                    }
                    for kind in [Kind::Ordinary, Kind::Special] {
                        let data = subject.data(sizes.clone(), kind, seed);
                        let found = same_bits(&subject, &data);
                        if kind == Kind::Ordinary {
                            let reload = plain.execute(&data, &How::PLAIN);
                            agree(&subject, &data, way, &reload, &found);
                        }
                    }
                }
            }
        }
    }
}

/// What is stored on the way is stored when nobody reads what was there before any more.
#[test]
fn results_on_the_way_may_overwrite_their_operands() {
    let text = "kernel k(x: f32[.., d]) -> (y: f32[.., d], l: f32[..], v: f32[..]) {
        let u = 2 * x + 1;
        (y = u, l = logsumexp[d](u), v = var[d](u))
    }";
    for way in ways() {
        for graph in graphs("on the way", text) {
            let subject = subject_with("on the way", graph, &options(way)).expect("this machine");
            for length in [1, 33, 8193] {
                let data = subject.data(vec![2, length], Kind::Ordinary, length as u64);
                called_in_every_way(&subject, &data);
            }
        }
    }
}

const ROWS: &str = r#"
kernel softmax<T: float = f32>(x: T[.., d]) -> T[.., d] { softmax[d](x) }
kernel log_softmax<T: float = f32>(x: T[.., d]) -> T[.., d] { log_softmax[d](x) }
kernel logsumexp<T: float = f32>(x: T[.., d]) -> T[..] { logsumexp[d](x) }
kernel softmax1<T: float = f32>(x: T[.., d]) -> T[.., d] { softmax1[d](x) }
kernel masked<T: float = f32>(x: T[.., d]) -> T[.., d] { masked_softmax[d](x, x == x) }
kernel weighted<T: float = f32>(x: T[.., d]) -> T[..] {
    let e = exp(x - max[d](x));
    sum[d](e * index(d)) / sum[d](e)
}
"#;

/// The kernels of [`ROWS`] by one way, for one dtype.
fn rows(normalizer: Normalizer, dtype: DType) -> Vec<Kernel> {
    let options = Options { dtypes: vec![("T".to_owned(), dtype)], ..options(normalizer) };
    act::compile_with(ROWS, &options).unwrap_or_else(|error| panic!("{error}")).kernels().to_vec()
}

/// Logits that have led to NaN elsewhere, and ordinary ones; all are finite but for some -inf.
fn logits(length: usize) -> Vec<(&'static str, Vec<f32>)> {
    let random =
        |at: usize| ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u64 << 24) as f32;
    let make = |value: &dyn Fn(usize) -> f32| (0..length).map(value).collect::<Vec<f32>>();
    vec![
        ("random", make(&|at| 20.0 * random(at) - 10.0)),
        ("wide", make(&|at| 2000.0 * random(at) - 1000.0)),
        ("rising", make(&|at| at as f32 * 0.01)),
        ("falling", make(&|at| at as f32 * -0.01)),
        ("large", make(&|at| if at % 3 == 0 { 1e30 } else { -1e30 })),
        ("largest", make(&|at| [f32::MAX, -f32::MAX, 0.0, 3.0e38, 3.4e38, 1e9, 1.5e9][at % 7])),
        ("whole numbers", make(&|at| 16_777_216.0 * 100.0 + 128.0 * (at % 3) as f32)),
        ("equal", make(&|_| -7.25)),
        ("one large", make(&|at| if at == length / 2 { 3.4e38 } else { random(at) })),
        ("one largest", make(&|at| if at == length - 1 { f32::MAX } else { -f32::MAX })),
        (
            "some -inf",
            make(&|at| if at % 5 < 3 && at + 1 < length { f32::NEG_INFINITY } else { 5.0 * random(at) }),
        ),
        ("-inf but one", make(&|at| if at == length / 3 { -2.0 } else { f32::NEG_INFINITY })),
    ]
}

/// Numbers in a dtype, and what is left of them.
fn stored(dtype: DType, x: &[f32]) -> (Tensor, Vec<f64>) {
    let shape = [x.len()];
    let tensor = match dtype {
        DType::F16 => Tensor::from_vec(x.iter().map(|&x| f16::from_f32(x)).collect(), &shape),
        DType::BF16 => Tensor::from_vec(x.iter().map(|&x| bf16::from_f32(x)).collect(), &shape),
        _ => Tensor::from_vec(x.to_vec(), &shape),
    };
    let tensor = tensor.expect("the shape of the numbers");
    let values = read(&tensor);
    (tensor, values)
}

fn read(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        Data::F32(x) => x.iter().map(|&x| f64::from(x)).collect(),
        Data::F16(x) => x.iter().map(|x| x.to_f64()).collect(),
        Data::BF16(x) => x.iter().map(|x| x.to_f64()).collect(),
        other => unreachable!("{other:?}"),
    }
}

/// What the kernels of [`ROWS`] are to give, in f64, and the error that each element may have: that of f32 arithmetic, then of
/// rounding to the dtype.
fn expected(x: &[f64], dtype: DType) -> Vec<Vec<(f64, f64)>> {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let n = x.len() as f64;
    let s = (n / 32.0).ceil().min(256.0) + libm::log2(n).ceil();
    let sum: f64 = x.iter().map(|x| libm::exp(x - max)).sum();
    let last = match dtype {
        DType::F16 => 2f64.powi(-11),
        DType::BF16 => 2f64.powi(-8),
        _ => 0.0,
    };
    let tiny = if dtype == DType::F16 { 2f64.powi(-24) } else { f64::from(f32::MIN_POSITIVE) };
    let largest = x.iter().filter(|x| x.is_finite()).fold(1.0, |most: f64, x| most.max(x.abs()));
    let relative = |x: f64, y: f64| (y, (s + 6.0 + (x - max).abs().min(1e3)) * UNIT * y + last * y + tiny);
    let absolute = |y: f64| (y, (s + 6.0) * UNIT * largest + last * y.abs());
    let softmax: Vec<(f64, f64)> = x.iter().map(|&x| relative(x, libm::exp(x - max) / sum)).collect();
    let above = max.max(0.0);
    let with_one = sum * libm::exp(max - above) + libm::exp(-above);
    let weighted: f64 = x.iter().enumerate().map(|(at, x)| at as f64 * libm::exp(x - max)).sum();
    let weights: f64 = x
        .iter()
        .enumerate()
        .map(|(at, x)| {
            at as f64 * libm::exp(x - max) * if x.is_finite() { (x - max).abs().min(1e3) } else { 0.0 }
        })
        .sum();
    let mean = weighted / sum;
    let off = (2.0 * s + 20.0) * UNIT * mean + UNIT * weights / sum + last * mean + tiny;
    vec![
        softmax.clone(),
        x.iter().map(|&x| absolute(x - max - libm::log(sum))).collect(),
        vec![absolute(max + libm::log(sum))],
        x.iter().map(|&x| relative(x, libm::exp(x - above) / with_one)).collect(),
        softmax,
        vec![(mean, off)],
    ]
}

fn check_rows(dtype: DType, lengths: &[usize]) {
    for way in ways() {
        let kernels = rows(way, dtype);
        for &length in lengths {
            for (what, x) in logits(length) {
                let most = if dtype == DType::F16 { 6e4 } else { 3.3e38 };
                if dtype != DType::F32 && x.iter().any(|x| x.is_finite() && x.abs() > most) {
                    continue;
                }
                let (tensor, x) = stored(dtype, &x);
                for (kernel, expected) in kernels.iter().zip(expected(&x, dtype)) {
                    let found = kernel.run_alloc(&[tensor.view()], &[]).expect("a call that fits");
                    let found = read(&found[0]);
                    for (at, (&found, (exact, allowed))) in found.iter().zip(expected).enumerate() {
                        let place = || {
                            let name = &kernel.signature().name;
                            format!("{name}, {}, {dtype}, {what} of {length}: [{at}]", way.name())
                        };
                        if exact == f64::NEG_INFINITY || exact.abs() > f64::from(f32::MAX) {
                            assert!(!found.is_nan(), "{}: {found:e} for {exact:e}", place());
                            continue;
                        }
                        let error = (found - exact).abs();
                        assert!(
                            error <= allowed,
                            "{}: {found:e} for {exact:e}, {:.2} times the bound",
                            place(),
                            error / allowed
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn finite_logits_keep_the_bounds() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        check_rows(dtype, &[1, 2, 31, 32, 33, 1000, 8192, 8193]);
    }
}

#[test]
fn long_rows_of_logits_keep_the_bounds() {
    check_rows(DType::F32, &[1 << 20]);
}

/// All rows of 2^24 sum to 1.
#[test]
fn the_longest_row_sums_to_1() {
    let length = 1usize << 24;
    let random =
        |at: usize| ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u64 << 24) as f32;
    let x: Vec<f32> = (0..length).map(|at| 8.0 * random(at)).collect();
    let mut y = vec![0f32; length];
    for way in ways() {
        let softmax = rows(way, DType::F32).remove(0);
        softmax
            .call(&[view(&x, [length])], &mut [view_mut(&mut y, [length])], &[])
            .expect("a call that fits");
        let sum: f64 = y.iter().map(|&y| f64::from(y)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{}: the row sums to {sum}", way.name());
    }
}

/// The bits of each row's softmax by a kernel.
fn bits(kernel: &Kernel, rows: usize, length: usize) -> Vec<u32> {
    let x: Vec<f32> = (0..rows * length).map(|at| ((at * 7919) % 1013) as f32 * 0.01).collect();
    let mut y = vec![0f32; x.len()];
    let shape = [rows, length];
    kernel.call(&[view(&x, shape)], &mut [view_mut(&mut y, shape)], &[]).expect("a call that fits");
    y.iter().map(|y| y.to_bits()).collect()
}

#[test]
fn the_size_of_a_row_chooses_the_way() {
    let text = "kernel k(x: f32[.., d]) -> f32[.., d] { softmax[d](x) + layer_norm[d](x) }";
    let compiled = |options: &Options| act::compile_with(text, options).expect("a text").kernels()[0].clone();
    let [short, long] = [Normalizer::Reload, Normalizer::Online].map(|way| compiled(&options(way)));
    let chosen = compiled(&Options { long_row: 20_000, ..Options::default() });
    for (rows, length) in
        [(1, 1), (3, 19_999), (2, 20_000), (1, 20_001), (3, 20_001), (2, 50_000), (1, 300_001)]
    {
        let expected = bits(if length > 20_000 { &long } else { &short }, rows, length);
        assert!(bits(&chosen, rows, length) == expected, "{rows} x {length}");
        let threads = chosen.clone().with_threads(3);
        assert!(bits(&threads, rows, length) == expected, "{rows} x {length}, on threads");
    }
    assert_ne!(bits(&long, 1, 50_000), bits(&short, 1, 50_000), "they are different sums");
    // Many callers may be the first.
    let fresh = compiled(&Options { long_row: 20_000, ..Options::default() });
    let expected = bits(&long, 1, 30_000);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(bits(&fresh, 1, 30_000) == expected));
        }
    });
}

const MOMENTS: &str = "
kernel var(x: f32[.., d]) -> f32[..] { var[d](x) }
kernel mean(x: f32[.., d]) -> (m: f32[..], v: f32[..]) { (m = mean[d](x), v = var[d](x)) }
kernel layer(x: f32[.., d]) -> f32[.., d] { layer_norm[d](x) }
";

#[test]
fn one_pass_moments_are_accurate() {
    let random =
        |at: usize| ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u64 << 24) as f32;
    let kernels = act::compile_with(MOMENTS, &options(Normalizer::Online)).expect("a text");
    let [var, mean, layer] = ["var", "mean", "layer"].map(|name| kernels.kernel(name).expect("it is there"));
    for length in [1usize, 2, 31, 33, 8191, 8192, 8193, 100_000, 1 << 20] {
        let offsets: [&dyn Fn(usize) -> f32; 5] = [
            &|at| random(at) - 0.5,
            // A mean 10^6 times the deviation.
            &|at| 1e6 + 4.0 * random(at),
            &|at| -3e7 + 64.0 * random(at),
            // A first element far from the rest, and blocks far from one another.
            &|at| if at == 0 { 1e6 } else { random(at) },
            &|at| (at / 8192) as f32 * 1000.0 + random(at),
        ];
        for (case, value) in offsets.into_iter().enumerate() {
            let x: Vec<f32> = (0..length).map(value).collect();
            let n = length as f64;
            let mu = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let exact = x.iter().map(|&x| (f64::from(x) - mu).powi(2)).sum::<f64>() / n;
            let results = mean.run_alloc(&[view(&x, [1, length])], &[]).expect("a call that fits");
            let (m, v) = (read(&results[0])[0], read(&results[1])[0]);
            let unit = f64::from(f32::EPSILON);
            let s = (n / 32.0).ceil().min(256.0) + libm::log2(n).ceil() + 8.0;
            let spread = x.iter().map(|&x| (f64::from(x) - mu).abs()).sum::<f64>() / n;
            let allowed = unit * mu.abs() + s * unit * spread;
            assert!((m - mu).abs() <= allowed, "case {case} of {length}: mean {m}, not {mu}");
            let allowed = s * unit * exact + 1e-9;
            assert!((v - exact).abs() <= allowed, "case {case} of {length}: variance {v}, not {exact}");
            let alone = var.run_alloc(&[view(&x, [1, length])], &[]).expect("a call that fits");
            assert_eq!(read(&alone[0])[0], v);
        }
        for constant in [0.1f32, -1e6, 3.3e15, 1e-30] {
            let x = vec![constant; length];
            let y = layer.run_alloc(&[view(&x, [1, length])], &[]).expect("a call that fits");
            assert!(read(&y[0]).iter().all(|&y| y == 0.0), "{length} times {constant}: {:?}", read(&y[0])[0]);
            let v = var.run_alloc(&[view(&x, [1, length])], &[]).expect("a call that fits");
            assert_eq!(read(&v[0])[0], 0.0, "{length} times {constant}");
        }
    }
}
