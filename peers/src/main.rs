//! Compiled kernels beside the operations of candle and ndarray, in one process and in turns: the table of peers in
//! `BENCHMARKS.md`.
//!
//! `cargo run --release --manifest-path peers/Cargo.toml` prints it, `-- --write` also writes the file, `-- softmax` measures
//! some kernels. One thread each. Candle allocates the result of every operation, as its interface wants it; ndarray writes
//! into an array that is there, as ours do.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use candle_core::{D, Device, Tensor};
use candle_nn::ops;
use ndarray::{Array1, Array2, Axis, Zip};

/// Rows, their length, and what they fit.
const SHAPES: [(usize, usize, &str); 3] = [(4, 1024, "L1"), (64, 1024, "L2"), (16384, 1024, "memory")];

/// Elements of one measurement, about.
const ELEMENTS: usize = 1 << 18;

/// What is measured, on arrays of one shape.
struct Arrays {
    rows: usize,
    d: usize,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    ours: Vec<f32>,
    x_candle: Tensor,
    gamma_candle: Tensor,
    beta_candle: Tensor,
    x_ndarray: Array2<f32>,
    gamma_ndarray: Array1<f32>,
    beta_ndarray: Array1<f32>,
    y_ndarray: Array2<f32>,
}

impl Arrays {
    fn new(rows: usize, d: usize) -> Arrays {
        let spread = |at: usize, factor: usize| (at * factor % 8191) as f32 / 1024.0 - 4.0;
        let x: Vec<f32> = (0..rows * d).map(|at| spread(at, 4799)).collect();
        let gamma: Vec<f32> = (0..d).map(|at| 1.0 + spread(at, 31) / 8.0).collect();
        let beta: Vec<f32> = (0..d).map(|at| spread(at, 57) / 8.0).collect();
        let tensor = |data: &[f32], shape: &[usize]| {
            Tensor::from_slice(data, shape, &Device::Cpu).expect("the shape has as many places")
        };
        Arrays {
            rows,
            d,
            x_candle: tensor(&x, &[rows, d]),
            gamma_candle: tensor(&gamma, &[d]),
            beta_candle: tensor(&beta, &[d]),
            x_ndarray: Array2::from_shape_vec((rows, d), x.clone()).expect("the shape has as many places"),
            gamma_ndarray: Array1::from(gamma.clone()),
            beta_ndarray: Array1::from(beta.clone()),
            y_ndarray: Array2::zeros((rows, d)),
            ours: vec![0.0; rows * d],
            x,
            gamma,
            beta,
        }
    }
}

/// A kernel, and the same by its peers.
struct Case {
    name: &'static str,
    text: &'static str,
    /// How many of `x`, `gamma` and `beta` it takes.
    inputs: usize,
    candle: fn(&Arrays) -> candle_core::Result<Tensor>,
    ndarray: Option<fn(&mut Arrays)>,
}

macro_rules! map {
    ($f:expr) => {
        Some(|arrays| Zip::from(&mut arrays.y_ndarray).and(&arrays.x_ndarray).for_each(|y, &x| *y = $f(x)))
    };
}

const CASES: &[Case] = &[
    Case {
        name: "relu",
        text: "kernel relu(x: f32[.., d]) -> f32[.., d] { relu(x) }",
        inputs: 1,
        candle: |arrays| arrays.x_candle.relu(),
        ndarray: map!(|x: f32| x.max(0.0)),
    },
    Case {
        name: "exp",
        text: "kernel exp(x: f32[.., d]) -> f32[.., d] { exp(x) }",
        inputs: 1,
        candle: |arrays| arrays.x_candle.exp(),
        ndarray: map!(f32::exp),
    },
    Case {
        name: "tanh",
        text: "kernel tanh(x: f32[.., d]) -> f32[.., d] { tanh(x) }",
        inputs: 1,
        candle: |arrays| arrays.x_candle.tanh(),
        ndarray: map!(f32::tanh),
    },
    Case {
        name: "sigmoid",
        text: "kernel sigmoid(x: f32[.., d]) -> f32[.., d] { sigmoid(x) }",
        inputs: 1,
        candle: |arrays| ops::sigmoid(&arrays.x_candle),
        ndarray: map!(|x: f32| 1.0 / (1.0 + (-x).exp())),
    },
    Case {
        name: "silu",
        text: "kernel silu(x: f32[.., d]) -> f32[.., d] { silu(x) }",
        inputs: 1,
        candle: |arrays| arrays.x_candle.silu(),
        ndarray: map!(|x: f32| x / (1.0 + (-x).exp())),
    },
    Case {
        name: "gelu",
        text: "kernel gelu(x: f32[.., d]) -> f32[.., d] { gelu(x) }",
        inputs: 1,
        candle: |arrays| arrays.x_candle.gelu_erf(),
        ndarray: None,
    },
    Case {
        name: "gelu_tanh",
        text: "kernel gelu_tanh(x: f32[.., d]) -> f32[.., d] { gelu_tanh(x) }",
        inputs: 1,
        candle: |arrays| arrays.x_candle.gelu(),
        ndarray: map!(|x: f32| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())),
    },
    Case {
        name: "mish",
        text: "kernel mish(x: f32[.., d]) -> f32[.., d] { mish(x) }",
        inputs: 1,
        candle: |arrays| ops::mish(&arrays.x_candle),
        ndarray: map!(|x: f32| x * x.exp().ln_1p().tanh()),
    },
    Case {
        name: "softmax",
        text: "kernel softmax(x: f32[.., d]) -> f32[.., d] { softmax[d](x) }",
        inputs: 1,
        candle: |arrays| ops::softmax_last_dim(&arrays.x_candle),
        ndarray: Some(|arrays| {
            for (x, mut y) in arrays.x_ndarray.outer_iter().zip(arrays.y_ndarray.outer_iter_mut()) {
                let most = x.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                Zip::from(&mut y).and(&x).for_each(|y, &x| *y = (x - most).exp());
                let sum = y.sum();
                y /= sum;
            }
        }),
    },
    Case {
        name: "log_softmax",
        text: "kernel log_softmax(x: f32[.., d]) -> f32[.., d] { log_softmax[d](x) }",
        inputs: 1,
        candle: |arrays| ops::log_softmax(&arrays.x_candle, D::Minus1),
        ndarray: Some(|arrays| {
            for (x, mut y) in arrays.x_ndarray.outer_iter().zip(arrays.y_ndarray.outer_iter_mut()) {
                let most = x.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                let sum = x.fold(0.0, |sum, &x| sum + (x - most).exp());
                let shift = most + sum.ln();
                Zip::from(&mut y).and(&x).for_each(|y, &x| *y = x - shift);
            }
        }),
    },
    Case {
        name: "rms_norm",
        text: "kernel rms_norm(x: f32[.., d], gamma: f32[d]) -> f32[.., d] { x / sqrt(mean[d](x^2) + 1e-6) * gamma }",
        inputs: 2,
        candle: |arrays| ops::rms_norm(&arrays.x_candle, &arrays.gamma_candle, 1e-6),
        ndarray: Some(|arrays| {
            for (x, mut y) in arrays.x_ndarray.outer_iter().zip(arrays.y_ndarray.outer_iter_mut()) {
                let scale = 1.0 / (x.dot(&x) / x.len() as f32 + 1e-6).sqrt();
                Zip::from(&mut y)
                    .and(&x)
                    .and(&arrays.gamma_ndarray)
                    .for_each(|y, &x, &gamma| *y = x * scale * gamma);
            }
        }),
    },
    Case {
        name: "layer_norm",
        text: "kernel layer_norm(x: f32[.., d], gamma: f32[d], beta: f32[d]) -> f32[.., d] { \
               (x - mean[d](x)) / sqrt(var[d](x) + 1e-5) * gamma + beta }",
        inputs: 3,
        candle: |arrays| ops::layer_norm(&arrays.x_candle, &arrays.gamma_candle, &arrays.beta_candle, 1e-5),
        ndarray: Some(|arrays| {
            let mean = arrays.x_ndarray.mean_axis(Axis(1)).expect("rows are not empty");
            let var = arrays.x_ndarray.var_axis(Axis(1), 0.0);
            let rows = arrays.x_ndarray.outer_iter().zip(arrays.y_ndarray.outer_iter_mut());
            for ((x, mut y), (&mean, &var)) in rows.zip(mean.iter().zip(&var)) {
                let scale = 1.0 / (var + 1e-5).sqrt();
                Zip::from(&mut y)
                    .and(&x)
                    .and(&arrays.gamma_ndarray)
                    .and(&arrays.beta_ndarray)
                    .for_each(|y, &x, &gamma, &beta| *y = (x - mean) * scale * gamma + beta);
            }
        }),
    },
];

fn main() {
    // Before candle's first operation: it takes as many threads as rayon has.
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
    let words: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let mut table = String::from(HEAD);
    print!("{HEAD}");
    for &(rows, d, place) in &SHAPES {
        let mut arrays = Arrays::new(rows, d);
        for case in
            CASES.iter().filter(|case| names.is_empty() || names.iter().any(|name| *name == case.name))
        {
            let line = measure(case, &mut arrays, place);
            print!("{line}");
            table.push_str(&line);
        }
    }
    if words.iter().any(|word| word == "--write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../BENCHMARKS.md");
        let text = std::fs::read_to_string(path).expect("BENCHMARKS.md can be read");
        let (before, after) = text.split_once(BEGIN).expect("BENCHMARKS.md has a place for the peers");
        let (_, after) = after.split_once(END).expect("the place for the peers ends");
        std::fs::write(path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
            .expect("BENCHMARKS.md can be written");
    }
}

const BEGIN: &str = "<!-- peers -->";
const END: &str = "<!-- end of peers -->";
const HEAD: &str = "\
| kernel | rows x length | in | ns/element | candle | ndarray |
|---|---|---|---|---|---|
";

fn measure(case: &Case, arrays: &mut Arrays, place: &str) -> String {
    let module = act::compile(case.text).unwrap_or_else(|error| panic!("{error}"));
    let kernel = module.kernel(case.name).expect("the text has it");
    let (rows, d) = (arrays.rows, arrays.d);
    let n = rows * d;
    let ours = |arrays: &mut Arrays| {
        let inputs =
            [act::view(&arrays.x, [rows, d]), act::view(&arrays.gamma, [d]), act::view(&arrays.beta, [d])];
        kernel
            .call(&inputs[..case.inputs], &mut [act::view_mut(&mut arrays.ours, [rows, d])], &[])
            .expect("the arrays fit");
    };

    // They must agree before their times mean anything.
    ours(arrays);
    let theirs = (case.candle)(arrays).and_then(|y| y.flatten_all()).and_then(|y| y.to_vec1::<f32>());
    check(case.name, "candle", &arrays.ours, &theirs.expect("candle computes it"));
    if let Some(ndarray) = case.ndarray {
        ndarray(arrays);
        let theirs: Vec<f32> = arrays.y_ndarray.iter().copied().collect();
        check(case.name, "ndarray", &arrays.ours, &theirs);
    }

    let calls = (ELEMENTS / n).max(1);
    let rounds = if n > 1 << 21 { 5 } else { 25 };
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds {
        let mut time = |index: usize, run: &mut dyn FnMut()| {
            // What the one before left in the caches is not this one's concern.
            run();
            let start = Instant::now();
            (0..calls).for_each(|_| run());
            times[index].push(start.elapsed().as_nanos() as f64 / (calls * n) as f64);
        };
        time(0, &mut || ours(arrays));
        time(1, &mut || drop(black_box((case.candle)(arrays))));
        if let Some(ndarray) = case.ndarray {
            time(2, &mut || ndarray(arrays));
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    };
    let [ours, candle, ndarray] = times.each_mut().map(median);
    let ours = ours.expect("ours was measured");
    let ratio = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{:.1}", time / ours));
    let mut line = String::new();
    writeln!(
        line,
        "| {} | {rows} x {d} | {place} | {ours:.3} | {} | {} |",
        case.name,
        ratio(candle),
        ratio(ndarray)
    )
    .expect("a string");
    line
}

/// The results agree to what a sum in another order and another approximation leave.
fn check(name: &str, peer: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{name}: {peer} gives another shape");
    let size = ours.iter().fold(0.0f32, |size, y| size.max(y.abs()));
    for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= 2e-5 * size, "{name}: [{at}] is {a}, by {peer} {b}");
    }
}
