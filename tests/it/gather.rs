//! Indexing at positions that are known only at the call: what it means, on numbers worked out by hand or by plain loops, and that
//! a parameter read so is never one array with a result. (`engines` and `guard` run the kernels of `tests/suite/kernels/gather`.)

use act::diag::{Source, Sources, render};
use act::graph::{eval, verify};
use act::pipeline::{self, Blind};
use act::{Options, Tensor};

/// Positions around the edges of anything.
const EDGES: [i32; 9] = [i32::MIN, i32::MAX, -1, 0, 1, 2, 3, 4, 5];

/// The result of the one kernel in `text`, called; the evaluator agrees.
fn run(text: &str, args: &[(&str, Tensor)]) -> Vec<f64> {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("k.act", text));
    let lowered = pipeline::front(&sources, file, &Options::default(), &mut Blind);
    let lowered = lowered.unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)));
    let graph = &lowered.graphs[0];
    if let Err(report) = verify(graph) {
        panic!("{report}");
    }
    let module = act::compile(text).unwrap_or_else(|error| panic!("{error}"));
    let kernel = module.kernel(&graph.name).expect("the kernel");
    let mut bind = kernel.bind();
    for (name, tensor) in args {
        bind = bind.input(name, tensor.view());
    }
    let sizes = bind.shapes().unwrap_or_else(|error| panic!("{error}")).dims;
    let results = bind.run_alloc().unwrap_or_else(|error| panic!("{error}"));
    let inputs: Vec<Vec<f64>> = args.iter().map(|(_, tensor)| tensor.data().to_f64()).collect();
    let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    let exact: Vec<f64> = eval(graph, &sizes, &inputs)[0].iter().map(|value| value.to_f64()).collect();
    let found = results[0].data().to_f64();
    near(&found, &exact);
    found
}

fn near(is: &[f64], wants: &[f64]) {
    assert_eq!(is.len(), wants.len());
    for (at, (&is, &wants)) in is.iter().zip(wants).enumerate() {
        let same = is == wants || is.is_nan() && wants.is_nan();
        assert!(same || (is - wants).abs() <= 2e-6 * wants.abs().max(1.0), "[{at}] {is} not {wants}");
    }
}

fn floats(data: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_vec::<f32>(data.to_vec(), shape).expect("a tensor")
}

fn whole(data: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_vec::<i32>(data.to_vec(), shape).expect("a tensor")
}

/// 10, 11, 12, …: the number says the place.
fn places(count: usize) -> Vec<f32> {
    (0..count).map(|place| 10.0 + place as f32).collect()
}

#[test]
fn outside_stands_nan_or_what_is_said() {
    let (x, at) = (floats(&places(3), &[3]), whole(&EDGES, &[9]));
    let args = [("x", x), ("at", at)];
    let nan = f64::NAN;
    let found = run("kernel k(x: f32[d], at: i32[n]) -> f32[n] { x[d = at] }", &args);
    near(&found, &[nan, nan, nan, 10.0, 11.0, 12.0, nan, nan, nan]);
    let found = run("kernel k(x: f32[d], at: i32[n]) -> f32[n] { x[d = at else -1] }", &args);
    near(&found, &[-1.0, -1.0, -1.0, 10.0, 11.0, 12.0, -1.0, -1.0, -1.0]);
    let found = run("kernel k(x: f32[d], at: i32[n]) -> f32[n] { x[d = at else 0] }", &args);
    near(&found, &[0.0, 0.0, 0.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0]);
    // What is computed of an element that is not there does not show.
    let found = run("kernel k(x: f32[d], at: i32[n]) -> f32[n] { log(x)[d = at else 7] }", &args);
    near(&found[..3], &[7.0; 3]);
    near(&found[3..4], &[libm::log(10.0)]);
}

#[test]
fn integers_and_conditions_are_zero_outside() {
    let (q, at) = (whole(&[7, 8], &[2]), whole(&[-1, 0, 1, 2], &[4]));
    let args = [("q", q), ("at", at)];
    near(&run("kernel k(q: i32[d], at: i32[n]) -> i32[n] { q[d = at] }", &args), &[0.0, 7.0, 8.0, 0.0]);
    let text = "kernel k(q: i32[d], at: i32[n]) -> bool[n] { (q > 7)[d = at] }";
    near(&run(text, &args), &[0.0, 0.0, 1.0, 0.0]);
    let text = "kernel k(q: i32[d], at: i32[n]) -> bool[n] { (q > 7)[d = at else true] }";
    near(&run(text, &args), &[1.0, 0.0, 1.0, 1.0]);
}

#[test]
fn an_empty_dimension_has_no_inside() {
    let args = [("x", floats(&[], &[2, 0])), ("at", whole(&[0, -1], &[2]))];
    let text = "kernel k(x: f32[n, d], at: i32[n]) -> f32[n] { x[d = at else 5] }";
    near(&run(text, &args), &[5.0, 5.0]);
    let text = "kernel k(x: f32[n, d], at: i32[n]) -> f32[n, t = d + 2] { x[d = index(t) - 1 else 5] }";
    near(
        &run(text, &args[..1].iter().cloned().chain([("at", whole(&[0, 0], &[2]))]).collect::<Vec<_>>()),
        &[5.0; 4],
    );
}

#[test]
fn several_positions_act_at_once() {
    let x = floats(&places(6), &[2, 3]);
    let args = [("x", x.clone()), ("a", whole(&[1, 0, 1], &[3])), ("b", whole(&[2, 0], &[2]))];
    // y[i, d] = x[a[d], b[i]]
    let found = run("kernel k(x: f32[i, d], a: i32[d], b: i32[i]) -> f32[i, d] { x[i = a, d = b] }", &args);
    near(&found, &[15.0, 12.0, 15.0, 13.0, 10.0, 13.0]);
    // The same of a computed value.
    let text = "kernel k(x: f32[i, d], a: i32[d], b: i32[i]) -> f32[i, d] { (x + index(d))[i = a, d = b] }";
    near(&run(text, &args), &[17.0, 14.0, 17.0, 13.0, 10.0, 13.0]);
    // A transpose.
    let square = floats(&places(4), &[2, 2]);
    let text = "kernel k(x: f32[i, j = i]) -> f32[i, j] { x[i = index(j), j = index(i)] }";
    near(&run(text, &[("x", square)]), &[10.0, 12.0, 11.0, 13.0]);
    // Outside of what a position is read along, not of what is read there.
    let args = [("x", floats(&places(3), &[3])), ("a", whole(&[2, 1], &[2])), ("b", whole(&[1, 5], &[2]))];
    let text = "kernel k(x: f32[i], a: i32[j], b: i32[n]) -> f32[n] { x[i = a else 0][j = b else 0] }";
    near(&run(text, &args), &[11.0, 0.0]);
    // A position of a position.
    let links = [("x", floats(&places(3), &[3])), ("next", whole(&[2, 0, 7], &[3]))];
    let text = "kernel k(x: f32[n], next: i32[n]) -> f32[n] { x[n = next[n = next else 1] else 0] }";
    // next[next] = [next[2], next[0], 1] = [7, 2, 1]
    near(&run(text, &links), &[0.0, 12.0, 11.0]);
}

#[test]
fn a_position_is_not_mistaken_for_what_a_value_reduces() {
    let w = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
    let at = whole(&[2, 0], &[2]);
    // Sums of columns, 5 7 9, at 2 and 0.
    let text = "kernel k(w: f32[n, d], at: i32[n]) -> f32[n] { sum[n](w)[d = at] }";
    near(&run(text, &[("w", w.clone()), ("at", at.clone())]), &[9.0, 5.0]);
    // With the position along the row, too.
    let text = "kernel k(w: f32[n, d], at: i32[n]) -> f32[n] { (w * sum[n](w * index(n)))[d = at] }";
    near(&run(text, &[("w", w.clone()), ("at", at)]), &[3.0 * 6.0, 4.0 * 4.0]);
    // Fixed sizes, which are unrolled.
    let at = whole(&[2, 0], &[2]);
    let text = "kernel k(w: f32[n=2, d], at: i32[n]) -> f32[n] { (w * sum[n](w) + w[n=1])[d = at] }";
    near(&run(text, &[("w", w.clone()), ("at", at.clone())]), &[3.0 * 9.0 + 6.0, 4.0 * 5.0 + 4.0]);
    let text = "kernel k(w: f32[n=2, d=3], at: i32[n]) -> f32[n] { stack[n](w[n=0], 2 * w[n=0])[d = at] }";
    near(&run(text, &[("w", w), ("at", at)]), &[3.0, 2.0]);
}

#[test]
fn a_dimension_of_fixed_size_at_a_position_of_the_call() {
    let args =
        [("a", floats(&[1.0, 2.0], &[2])), ("b", floats(&[3.0, 4.0], &[2])), ("at", whole(&[1, 5], &[2]))];
    let text =
        "kernel k(a: f32[n], b: f32[n], at: i32[n]) -> f32[n] { dim s = 2; stack[s](a, b)[s = at else -1] }";
    near(&run(text, &args), &[3.0, -1.0]);
    let x = floats(&places(6), &[2, 3]);
    let args = [("x", x), ("at", whole(&[2, -1], &[2]))];
    let text = "kernel k(x: f32[n, e=3], at: i32[n]) -> f32[n] { sum[e](x) + x[e=1] + x[e = at else 0] }";
    near(&run(text, &args), &[33.0 + 11.0 + 12.0, 42.0 + 14.0]);
}

#[test]
fn shifts_pads_and_longer_results() {
    let x = floats(&places(3), &[1, 3]);
    let call = |body: &str, result: &str| {
        run(&format!("kernel k(x: f32[n, d]) -> f32[{result}] {{ {body} }}"), &[("x", x.clone())])
    };
    near(&call("x[d = index(d) - 1 else 0]", "n, d"), &[0.0, 10.0, 11.0]);
    near(&call("x[d = index(d) + 1]", "n, d"), &[11.0, 12.0, f64::NAN]);
    near(&call("x[d = size(d) - 1 - index(d)]", "n, d"), &[12.0, 11.0, 10.0]);
    near(&call("x[d = index(t) - 1 else x[d = 0]]", "n, t = d + 2"), &[10.0, 10.0, 11.0, 12.0, 10.0]);
    near(&call("x[d = i32(floor(index(t) / 2))]", "n, t = 2 * d"), &[10.0, 10.0, 11.0, 11.0, 12.0, 12.0]);
    near(&call("x[d = 2]", "n"), &[12.0]);
    near(&call("x[d = 3 else 1]", "n"), &[1.0]);
    // The position of a step.
    near(
        &call("(iterate 2 (s = x) { (s = s + s[d = index(d) - 1 else 0]) }).s", "n, d"),
        &[10.0, 31.0, 44.0 + 10.0 - 10.0],
    );
}

#[test]
fn what_is_read_elsewhere_is_not_written_in_place() {
    let kernel = |text: &str| act::compile(text).expect("it compiles");
    for body in
        ["x - x[d = index(d) - 1 else 0]", "x[n = index(n) + 1]", "exp(x)[d = index(d) - 1 else 0] + x"]
    {
        let module = kernel(&format!("kernel k(x: f32[n, d]) -> f32[n, d] {{ {body} }}"));
        assert!(!module.kernel("k").expect("the kernel").in_place("x", "y"), "{body}");
    }
    let text = "kernel k(x: f32[n, d], label: i32[n], g: f32[c]) -> f32[n, d] { x * g[c = label] }";
    assert!(
        kernel(text).kernel("k").expect("the kernel").in_place("x", "y"),
        "x is read where it is written"
    );
}

#[test]
fn losses_of_labels() {
    let (x, label) = ([0.5f32, -1.0, 2.0, 0.0, 1.5, -0.5], [2, 1]);
    let row = |n: usize| x[3 * n..3 * n + 3].iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let loss = |n: usize| {
        let total: f64 = row(n).iter().map(|&x| libm::exp(x)).sum();
        libm::log(total) - row(n)[label[n] as usize]
    };
    let args = [("x", floats(&x, &[2, 3])), ("label", whole(&label, &[2]))];
    for body in [
        "-log_softmax[c](x)[c = label]",
        "-(x[c = label] - logsumexp[c](x))",
        "-sum[c](if index(c) == label { log_softmax[c](x) } else { 0 })",
        "-log(softmax[c](x)[c = label])",
    ] {
        let text = format!("kernel k(x: f32[n, c], label: i32[n]) -> f32[n] {{ {body} }}");
        near(&run(&text, &args), &[loss(0), loss(1)]);
    }
    let text = "kernel k(x: f32[n, c], label: i32[n]) -> f32 { mean[n](-log_softmax[c](x)[c = label]) }";
    near(&run(text, &args), &[(loss(0) + loss(1)) / 2.0]);
}
