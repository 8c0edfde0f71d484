//! Constructs of the language that become graph operations in the front end alone: filters, repetition, local dimensions,
//! values read along other names. Each is run, compiled and in the evaluator, against what it is to mean.

use act::diag::{Source, Sources, render};
use act::graph::{eval, verify};
use act::pipeline::{self, Blind};
use act::{DType, Options, Tensor};

/// An argument: name, shape, elements.
type Arg<'a> = (&'a str, &'a [usize], &'a [f32]);

/// The results of the one kernel in `text`, as the compiled kernel gives them; the evaluator agrees.
fn run(text: &str, args: &[Arg<'_>]) -> Vec<Vec<f64>> {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("k.act", text));
    let lowered = pipeline::front(&sources, file, &Options::default(), &mut Blind);
    let lowered = lowered.unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)));
    let warnings = render(&lowered.warnings, &sources, false);
    assert!(lowered.warnings.is_empty(), "{warnings}");
    let graph = &lowered.graphs[0];
    if let Err(report) = verify(graph) {
        panic!("{report}");
    }
    let module = act::compile(text).unwrap_or_else(|error| panic!("{error}"));
    let kernel = module.kernel(&graph.name).expect("the kernel");
    let tensors: Vec<Tensor> = args
        .iter()
        .map(|(_, shape, data)| Tensor::from_vec::<f32>(data.to_vec(), shape).expect("a tensor"))
        .collect();
    let mut bind = kernel.bind();
    for ((name, ..), tensor) in args.iter().zip(&tensors) {
        bind = bind.input(name, tensor.view());
    }
    let sizes = bind.shapes().unwrap_or_else(|error| panic!("{error}")).dims;
    let results = bind.run_alloc().unwrap_or_else(|error| panic!("{error}"));
    let inputs: Vec<Vec<f64>> = graph
        .params
        .iter()
        .map(|decl| match args.iter().find(|(name, ..)| *name == decl.name) {
            Some((_, _, data)) => data.iter().map(|&x| f64::from(x)).collect(),
            None => vec![eval::default_input(decl).expect("a default")],
        })
        .collect();
    let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    let exact = eval(graph, &sizes, &inputs);
    let results: Vec<Vec<f64>> = results.iter().map(|result| result.data().to_f64()).collect();
    for (result, exact) in results.iter().zip(&exact) {
        let exact: Vec<f64> = exact.iter().map(|value| value.to_f64()).collect();
        near(result, &exact, "the compiled kernel against the evaluator");
    }
    results
}

fn near(is: &[f64], wants: &[f64], what: &str) {
    assert_eq!(is.len(), wants.len(), "{what}");
    for (at, (&is, &wants)) in is.iter().zip(wants).enumerate() {
        let same = is == wants || is.is_nan() && wants.is_nan();
        assert!(same || (is - wants).abs() <= 2e-6 * wants.abs().max(1.0), "{what}: [{at}] {is} not {wants}");
    }
}

/// Some numbers between -1 and 1.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 37 + 11) % 101) as f32 / 50.5 - 1.0).collect()
}

const NAN: f32 = f32::NAN;
const INF: f64 = f64::INFINITY;

// Filters

#[test]
fn filtered_reductions_see_only_the_places_that_hold() {
    let x = [1.0, NAN, 4.0, f32::INFINITY, NAN, NAN];
    let m = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let call = |name: &str, result: &str| {
        let text =
            format!("kernel k(x: f32[n, d], m: f32[n, d]) -> {result}[n] {{ {name}[d where m > 0](x) }}");
        run(&text, &[("x", &[2, 3], &x), ("m", &[2, 3], &m)]).remove(0)
    };
    near(&call("sum", "f32"), &[5.0, 0.0], "sum");
    near(&call("prod", "f32"), &[4.0, 1.0], "prod");
    near(&call("max", "f32"), &[4.0, -INF], "max");
    near(&call("min", "f32"), &[1.0, INF], "min");
    near(&call("mean", "f32"), &[2.5, f64::NAN], "mean");
    near(&call("var", "f32"), &[2.25, f64::NAN], "var");
    near(&call("std", "f32"), &[1.5, f64::NAN], "std");
    near(&call("rms", "f32"), &[8.5f64.sqrt(), f64::NAN], "rms");
    near(&call("norm1", "f32"), &[5.0, 0.0], "norm1");
    near(&call("norm2", "f32"), &[17f64.sqrt(), 0.0], "norm2");
    let lse = 4.0 + libm::log1p(libm::exp(-3.0));
    near(&call("logsumexp", "f32"), &[lse, -INF], "logsumexp");
    let condition = |name: &str, result: &str| {
        let text =
            format!("kernel k(x: f32[n, d], m: f32[n, d]) -> {result}[n] {{ {name}[d where m > 0](x > 2) }}");
        run(&text, &[("x", &[2, 3], &x), ("m", &[2, 3], &m)]).remove(0)
    };
    near(&condition("any", "bool"), &[1.0, 0.0], "any");
    near(&condition("all", "bool"), &[0.0, 1.0], "all");
    near(&condition("count", "i32"), &[1.0, 0.0], "count");
}

#[test]
fn a_filter_may_have_dimensions_of_its_own_or_none() {
    // A running mean: the condition has `i`, the value has not.
    let text = "kernel k(x: f32[j], y: f32[i]) -> f32[i] { y * mean[j where index(j) <= index(i)](x) }";
    let results = run(text, &[("x", &[3], &[1.0, 3.0, 8.0]), ("y", &[3], &[1.0, 1.0, 1.0])]);
    near(&results[0], &[1.0, 2.0, 4.0], "running mean");
    // A condition of the row: its mean, or nothing.
    let text = "kernel k(x: f32[n, d], y: f32[n]) -> f32[n] { mean[d where y > 0](x) }";
    let results = run(text, &[("x", &[2, 2], &[1.0, 3.0, 8.0, 8.0]), ("y", &[2], &[1.0, 0.0])]);
    near(&results[0], &[2.0, f64::NAN], "rows");
    // Two dimensions, of which the condition has one.
    let text = "kernel k(x: f32[a, b], y: f32[a]) -> f32 { mean[a, b where y > 0](x) }";
    let results = run(text, &[("x", &[2, 2], &[1.0, 3.0, 8.0, 8.0]), ("y", &[2], &[1.0, 0.0])]);
    near(&results[0], &[2.0], "both");
    // Known while compiling; and in a function of the user's.
    let text =
        "fn f[d](x, c) = sum[d where c](x); kernel k(x: f32[d]) -> f32 { f[d](x, true) + f[d](x, false) }";
    near(&run(text, &[("x", &[2], &[1.0, 3.0])])[0], &[4.0], "constants");
    // What is an argument is not filtered.
    let text = "kernel k(x: f32[d]) -> f32 { sum[d where x > 1](x - mean[d](x)) }";
    near(&run(text, &[("x", &[3], &[1.0, 3.0, 5.0])])[0], &[2.0], "argument");
}

// Repetition

#[test]
fn iterate_bisects() {
    let text = "const STEPS = 40;
kernel root(x: f32[n]) -> f32[n] {
    let r = iterate STEPS (lo = 0, hi = max(x, 1)) {
        let mid = (lo + hi) / 2;
        let up = mid * mid < x;
        (lo = if up { mid } else { lo }, hi = if up { hi } else { mid })
    };
    r.lo
}";
    near(&run(text, &[("x", &[3], &[2.0, 9.0, 0.25])])[0], &[2f64.sqrt(), 3.0, 0.5], "roots");
}

#[test]
fn iterate_over_reductions() {
    // The tau of a sparsemax, by Newton's method from below.
    let text = "kernel k(x: f32[n, d]) -> f32[n, d] {
    let r = iterate 6 (tau = max[d](x) - 1) {
        (tau = tau + (sum[d](max(x - tau, 0)) - 1) / count[d](x > tau))
    };
    max(x - r.tau, 0)
}";
    let results = run(text, &[("x", &[2, 3], &[0.5, 0.25, -2.0, 0.0, 0.0, 0.0])]);
    near(&results[0], &[0.625, 0.375, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], "sparsemax");
}

#[test]
fn loops_give_the_bits_of_steps_written_out() {
    let step = "fn step[d](x, s, t) = (s = (s + sum[d](x * s / (1 + t * t))) / 2, t = 1 - t * x);
kernel k(x: f32[n, d]) -> (s: f32[n, d], t: f32[n, d]) {";
    let twice = "let a = iterate 4 (s = x, t = x / 2) { step[d](x, s, t) };
    let b = iterate 4 (s = a.s, t = a.t) { step[d](x, s, t) };";
    let once = "let b = iterate 8 (s = x, t = x / 2) { step[d](x, s, t) };";
    let kernel = |steps: &str| format!("{step} {steps} (s = b.s, t = b.t) }}");
    let x = [0.5, 0.25, -1.0, 0.125, 0.75, -0.375];
    let written_out = run(&kernel(twice), &[("x", &[2, 3], &x)]);
    assert_eq!(written_out, run(&kernel(once), &[("x", &[2, 3], &x)]));
}

#[test]
fn iterate_over_a_size_that_the_call_gives() {
    let text = "kernel greedy(x: f32[n], s: f32[n]) -> f32[n] {
    dim m = n;
    let r = iterate m (s = s, left = true) {
        let best = max[n](if left { s } else { -inf });
        let here = left && s == best;
        let at = sum[n](if here { x } else { 0 });
        (s = if left && !here { s * abs(x - at) } else { s }, left = left && !here)
    };
    r.s
}";
    let (x, s) = ([0.0, 0.5, 2.0], [1.0, 3.0, 2.0]);
    // 3 stays; then 1 * 0.5 and 2 * 1.5; 3 stays; then 0.5 * 2.
    near(&run(text, &[("x", &[3], &x), ("s", &[3], &s)])[0], &[1.0, 3.0, 3.0], "greedy");
    near(&run(text, &[("x", &[1], &x[..1]), ("s", &[1], &s[..1])])[0], &[1.0], "one");
    assert!(run(text, &[("x", &[0], &[]), ("s", &[0], &[])])[0].is_empty());
    let text =
        "kernel k(x: f32[n], _a: f32[m]) -> f32[n] { let r = iterate m (s = x) { (s = s + index(m)) }; r.s }";
    near(&run(text, &[("x", &[1], &[0.5]), ("_a", &[4], &[0.0; 4])])[0], &[6.5], "numbers of steps");
    near(&run(text, &[("x", &[1], &[0.5]), ("_a", &[0], &[])])[0], &[0.5], "no step");
}

#[test]
fn iterate_on_matrices() {
    let text = "kernel inverse(a: f32[i, j = i]) -> f32[j, i] {
    dim p = i;
    dim q = j;
    let top = max[i](sum[j](abs(a)));
    let r = iterate 20 (v = a * 1.8 / top^2) {
        let va = sum[p](v[i = index(p)] * a[i = index(p), j = index(q)]);
        (v = 2 * v - sum[q](va * v[j = index(q)]))
    };
    r.v
}";
    near(&run(text, &[("a", &[2, 2], &[2.0, 1.0, 1.0, 3.0])])[0], &[0.6, -0.2, -0.2, 0.4], "the inverse");
}

#[test]
fn iterate_along_a_dimension_reads_at_the_step() {
    let text = "kernel k(x: f32[n], a: f32[n, i=3]) -> f32[n] {
    let b = a * 2;
    let r = iterate i (s = 0) { (s = s * x + b + index(i)) };
    r.s
}";
    let (x, a) = ([2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // ((0 x + 2) x + 5) x + 8 and ((0 x + 8) x + 11) x + 14
    near(&run(text, &[("x", &[2], &x), ("a", &[2, 3], &a)])[0], &[26.0, 119.0], "horner");
    let text = "fn last[i](x) { let r = iterate i (p = 0, q = 0) { (q = x, p = q) }; r.p }
kernel k(x: f32[n, i=3]) -> f32[n] { last[i](x) }";
    near(&run(text, &[("x", &[1, 3], &[1.0, 2.0, 3.0])])[0], &[2.0], "in a function");
}

#[test]
fn unfold_keeps_every_state() {
    let text = "kernel chebyshev<degree = 4>(x: f32[..]) -> f32[.., j = degree + 1] {
    let r = unfold j (t = 1, next = x) { (t = next, next = 2 * x * next - t) };
    r.t
}";
    let x: [f32; 2] = [0.5, -0.25];
    let wants: Vec<f64> = x
        .iter()
        .flat_map(|&x| (0..5).map(move |j| libm::cos(f64::from(j) * libm::acos(f64::from(x)))))
        .collect();
    near(&run(text, &[("x", &[2], &x)])[0], &wants, "polynomials");
    // One step: the initial state; conditions; a state whose value grows dimensions.
    let text =
        "kernel k(x: f32[n, j=1]) -> bool[j, n] { let r = unfold j (c = x[j=0] > 0) { (c = !c) }; r.c }";
    near(&run(text, &[("x", &[2, 1], &[1.0, -1.0])])[0], &[1.0, 0.0], "one step");
    let text = "kernel k(x: f32[n]) -> f32[j=3, n] { let r = unfold j (s = 1) { (s = s * x) }; r.s }";
    near(&run(text, &[("x", &[2], &[2.0, 3.0])])[0], &[1.0, 1.0, 2.0, 3.0, 4.0, 9.0], "powers");
}

// Local dimensions

/// What a pairwise kernel is to give, from the elements of rows.
fn pairs(x: &[f32], n: usize, f: impl Fn(&[f32], &[f32]) -> f64) -> Vec<f64> {
    let d = x.len() / n;
    (0..n * n).map(|at| f(&x[at / n * d..][..d], &x[at % n * d..][..d])).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

#[test]
fn pairwise_kernels_over_one_array() {
    for (n, d) in [(1, 1), (3, 5), (7, 40), (40, 3)] {
        let x = numbers(n * d);
        let args: [Arg<'_>; 1] = [("x", &[n, d], &x)];
        let k = pairs(&x, n, |a, b| libm::exp(-distance(a, b)));
        let row = |i: usize| -> f64 { k[i * n..][..n].iter().sum() };
        let text = "kernel gram(x: f32[i, d]) -> f32[i, j = i] { sum[d](x * x[i = index(j)]) }";
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        near(&run(text, &args)[0], &pairs(&x, n, dot), "gram");
        let text = "kernel density(x: f32[i, d]) -> f32[i] {
    dim j = i;
    sum[j](exp(-sum[d]((x - x[i = index(j)])^2)))
}";
        near(&run(text, &args)[0], &(0..n).map(row).collect::<Vec<_>>(), "density");
        // A computed value along the other name; inside it, that name is reduced over.
        let text = "kernel symmetric(x: f32[i, d]) -> f32[i, j = i] {
    let k = exp(-sum[d]((x - x[i = index(j)])^2));
    let s = sum[j](k);
    k / sqrt(s * s[i = index(j)])
}";
        let wants: Vec<f64> = (0..n * n).map(|at| k[at] / (row(at / n) * row(at % n)).sqrt()).collect();
        near(&run(text, &args)[0], &wants, "symmetric");
        // Twice renamed is where it was; positions are renamed, too.
        let text = "kernel twice(x: f32[i, d]) -> f32[i] {
    dim j = i;
    let y = x * (1 + index(i));
    let z = y[i = index(j)];
    sum[d](z[j = index(i)]) + sum[j](z[d = 0])
}";
        let weighted = |i: usize, c: usize| f64::from(x[i * d + c]) * (1 + i) as f64;
        if d == 1 {
            let first: f64 = (0..n).map(|i| weighted(i, 0)).sum();
            let text = text.replace("i, d]", "i, d=1]");
            let wants: Vec<f64> = (0..n).map(|i| weighted(i, 0) + first).collect();
            near(&run(&text, &args)[0], &wants, "twice");
        }
    }
}

#[test]
fn a_result_never_lies_in_an_array_that_is_read_along_another_name() {
    let text = "kernel k(x: f32[i=4]) -> f32[i] { dim j = i; x - max[j](x[i = index(j)]) }";
    let x = [3.0, 9.0, 1.0, 2.0];
    near(&run(text, &[("x", &[4], &x)])[0], &[-6.0, 0.0, -8.0, -7.0], "fixed");
    let text = text.replace("i=4", "i");
    near(&run(&text, &[("x", &[4], &x)])[0], &[-6.0, 0.0, -8.0, -7.0], "free");
    let module = act::compile(&text).expect("it compiles");
    assert!(!module.kernel("k").expect("the kernel").in_place("x", "y"), "no array may be both");
}

#[test]
fn sizes_of_local_dimensions() {
    let text = "kernel k(x: f32[n, d]) -> f32[n] { dim t = (d + 1) / 2; sum[t](x[d = 2 * index(t)]) }";
    near(&run(text, &[("x", &[1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0])])[0], &[9.0], "every second one");
    let text = "kernel k(x: f32[n]) -> f32[n] { dim t = n - 1; x + sum[t](1.0 * index(t)) }";
    near(&run(text, &[("x", &[5], &[0.0; 5])])[0], &[6.0; 5], "computed");
    let text = "const N = 3; kernel k<g = 2>(x: f32[n]) -> f32[n] { dim t = N * g; x + sum[t](index(t)) }";
    near(&run(text, &[("x", &[2], &[0.0; 2])])[0], &[15.0; 2], "fixed");
    // Each inlining has its own.
    let text = "fn f[i](x) { dim j = i; sum[j](max(x, x[i = index(j)])) }
kernel k(x: f32[i]) -> f32[i] { f[i](f[i](x)) }";
    near(&run(text, &[("x", &[2], &[1.0, 2.0])])[0], &[7.0, 8.0], "functions");
}

// Positions that are known while compiling

#[test]
fn positions_made_of_positions_along_fixed_sizes() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let args: [Arg<'_>; 1] = [("x", &[2, 3], &x)];
    let shift = |index: &str| {
        let text = format!("kernel k(x: f32[n, t=3]) -> f32[n, t] {{ x * 2 + x[{index}] }}");
        run(&text, &args).remove(0)
    };
    near(&shift("t = index(t) + 1 else 10"), &[4.0, 7.0, 16.0, 13.0, 16.0, 22.0], "else");
    near(&shift("t = index(t) - 1")[1..3], &[5.0, 8.0], "before");
    assert!(shift("t = index(t) - 1")[0].is_nan(), "outside is NaN");
    near(&shift("t = 2 - index(t)"), &[5.0, 6.0, 7.0, 14.0, 15.0, 16.0], "reversed");
    near(&shift("t = index(t) + 1 else x[t=0]"), &[4.0, 7.0, 7.0, 13.0, 16.0, 16.0], "around");
    let text = "kernel k(x: f32[n, t=3]) -> f32[n, s=2, t] { x[t = index(t) + index(s) else 0] + x[t=2] }";
    let wants = [4.0, 5.0, 6.0, 5.0, 6.0, 3.0, 10.0, 11.0, 12.0, 11.0, 12.0, 6.0];
    near(&run(text, &args)[0], &wants, "two dimensions");
    let text = "kernel k(x: f32[n, t=3]) -> f32[n] { x[t = 7 else 1] + x[t = 1 else 100] }";
    near(&run(text, &args)[0], &[3.0, 6.0], "a number");
}

// Polynomials

#[test]
fn lists_of_coefficients() {
    let x = [0.5, -2.0];
    let args: [Arg<'_>; 1] = [("x", &[2], &x)];
    let poly = |list: &str| {
        let text = format!("const C = 0.25; kernel k(x: f32[n]) -> f32[n] {{ poly(x, {list}) }}");
        run(&text, &args).remove(0)
    };
    near(&poly("[1, 0.5, C]"), &[1.3125, 1.0], "horner");
    near(&poly("[3]"), &[3.0, 3.0], "constant");
    near(&poly("[0, 0, 0, 0, 0, 0, 1]"), &[0.015625, 64.0], "estrin");
    near(&poly("[x, 1]"), &[1.0, -4.0], "values");
}

// `..`

#[test]
fn reductions_over_the_leading_axes() {
    let text = "kernel k(s: f32[.., d]) -> f32[d] { mean[..](s) + max[..](s) }";
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    near(&run(text, &[("s", &[2, 2, 2], &x)])[0], &[11.0, 13.0], "axes");
    let text = "kernel k(s: f32[.., d]) -> f32 { sum[.., d where s > 4](s) }";
    near(&run(text, &[("s", &[2, 2, 2], &x)])[0], &[26.0], "all");
}

// dtype parameters

#[test]
fn kernels_of_any_dtype() {
    let text = "kernel k<T: float = f32>(x: T[.., d], eps: T = 0.1) -> T[.., d] { softmax[d](x) + eps }";
    let options = |dtype| Options { dtypes: vec![("T".to_owned(), dtype)], ..Options::default() };
    let kernel = |options: &Options| {
        let module = act::compile_with(text, options).unwrap_or_else(|error| panic!("{error}"));
        module.kernel("k").expect("the kernel")
    };
    let default = kernel(&Options::default());
    assert_eq!(default.signature().params[0].dtype, DType::F32);
    let wide = kernel(&options(DType::F64));
    assert!(wide.signature().params.iter().chain(&wide.signature().results).all(|p| p.dtype == DType::F64));
    let x = Tensor::from_vec::<f64>(vec![0.0, 0.0], &[2]).expect("a tensor");
    let y = wide.bind().input("x", x.view()).run_alloc().expect("it runs");
    assert!(matches!(y[0].data(), act::Data::F64(values) if values[..] == [0.6, 0.6]));
    for wrong in
        [options(DType::I32), Options { dtypes: vec![("U".into(), DType::F64)], ..Options::default() }]
    {
        assert!(act::compile_with(text, &wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn numbers_outside_of_their_range_are_refused() {
    let text = "kernel k(x: f32[n], t: f32 in 0.1..2 = 1, m: i32 in -1..1 = 0) -> f32[n] { x / t + m }";
    let module = act::compile(text).expect("it compiles");
    let kernel = module.kernel("k").expect("it is there");
    let (x, mut y) = ([4.0f32], [0.0f32]);
    let mut call = |numbers: &[f64]| {
        let called = kernel.call(&[act::view(&x, [1])], &mut [act::view_mut(&mut y, [1])], numbers);
        called.map(|()| y[0]).map_err(|error| error.to_string())
    };
    assert_eq!(call(&[]), Ok(4.0));
    assert_eq!(call(&[2.0, -1.0]), Ok(1.0));
    // The ends are numbers of the dtype: 0.1 is one that rounds to the lower end.
    assert_eq!(call(&[0.1, 1.0]), Ok(41.0));
    for (numbers, message) in [
        ([2.001, 0.0], "`t` goes from 0.1 to 2.0 and can't be 2.001"),
        ([f64::NAN, 0.0], "`t` goes from 0.1 to 2.0 and can't be NaN"),
        ([1.0, 2.0], "`m` goes from -1.0 to 1.0 and can't be 2.0"),
    ] {
        assert_eq!(call(&numbers), Err(message.to_owned()));
    }
    let signature = kernel.signature();
    assert_eq!(signature.params[2].range, Some((-1.0, 1.0)));
}
