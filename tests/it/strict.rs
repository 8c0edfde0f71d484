//! The accuracy class `strict`: errors of activations in ulp, and what of a kernel it leaves alone.

use std::process::Command;

use act::{Accuracy, Module, Options, view, view_mut};
use serde_json::Value;

use crate::schedules::bits_of_row;

/// Activations whose result is right to the last digits, whatever its size.
const NAMES: [&str; 21] = [
    "elu",
    "celu",
    "selu",
    "silu",
    "swish",
    "gelu",
    "gelu_tanh",
    "gelu_quick",
    "mish",
    "telu",
    "lisht",
    "softplus",
    "squareplus",
    "log_sigmoid",
    "dyt",
    "snake",
    "sinlu",
    "siren",
    "tanh",
    "sigmoid",
    "sin",
];

fn compiled(text: &str, accuracy: Accuracy) -> Module {
    let options = Options { accuracy, ..Options::default() };
    act::compile_with(text, &options).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The bits of a row of 4000.
fn bits(module: &Module) -> Vec<u32> {
    let x: Vec<f32> = (0..4000).map(|at| (at * 7919 % 4001) as f32 / 150.0 - 14.0).collect();
    bits_of_row(module, &x)
}

/// At most 4 ulp is promised; one rounding is what there is.
#[test]
fn activations_are_right_to_the_last_digits() {
    for name in NAMES {
        let mut program = Command::new(env!("CARGO_BIN_EXE_actc"));
        let options = ["accuracy", name, "--accuracy", "strict", "--samples", "500000", "--json"];
        let output = program.args(options).output().expect("actc runs");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let ulp = found["ulp"].as_f64().expect("an error is a number");
        assert!(ulp <= 0.5001, "{name}: {ulp} ulp: {}", found["worst"][0]);
    }
}

#[test]
fn the_text_asks_for_it() {
    let plain = "kernel k(x: f32[.., d]) -> f32[.., d] { gelu(x) }\n";
    let asked = format!("{plain}schedule k {{ accuracy = strict; }}");
    let strict = bits(&compiled(plain, Accuracy::Strict));
    assert_eq!(bits(&compiled(&asked, Accuracy::Default)), strict);
    assert_ne!(bits(&compiled(plain, Accuracy::Default)), strict);
}

/// Normalisers are shifted and decomposed as ever, what is not a function of single places keeps its bits, and so do
/// kernels without elementary functions.
#[test]
fn what_runs_over_places_stays() {
    for body in [
        "exp(x) / sum[d](exp(x))",
        "log(sum[d](exp(x))) + 0 * x",
        "log(exp(x) / sum[d](exp(x)))",
        "x / sqrt(mean[d](x^2) + 0.00001)",
        "let off = x - mean[d](x); off * rsqrt(mean[d](off^2) + 0.00001)",
        "relu(x) * 0.3 + x / 7",
        "cumsum[d](silu(x))",
    ] {
        let text = format!("kernel k(x: f32[.., d]) -> f32[.., d] {{ {body} }}");
        let [plain, strict] =
            [Accuracy::Default, Accuracy::Strict].map(|class| bits(&compiled(&text, class)));
        assert!(plain == strict, "{body}");
    }
}

/// Forms that `stabilise` makes safe stay safe, whoever else uses their exponentials.
#[test]
fn nothing_overflows() {
    for (body, x, want) in [
        ("exp(2 * x) / sum[d](exp(2 * x))", 300.0f32, 0.5),
        ("let e = exp(x); log(1 + e) + 0 * max[d](min(e, 1))", 100.0, 100.0),
        ("log(1 + exp(x)) / mean[d](x)", 300.0, 1.0),
        ("log(sum[d](exp(x)))", 200.0, 200.693_15),
    ] {
        let text = format!("kernel k(x: f32[.., d]) -> f32[.., d] {{ {body} + 0 * x }}");
        let module = compiled(&text, Accuracy::Strict);
        let mut y = [0.0f32; 2];
        let kernel = module.kernel("k").expect("the kernel");
        kernel.call(&[view(&[x; 2], [1, 2])], &mut [view_mut(&mut y, [1, 2])], &[]).expect("a call");
        assert!(y[0] == want, "{body}: {}, not {want}", y[0]);
    }
}

/// `f64`: the tail of `gelu` is that of `erfc`.
#[test]
fn f64_does_not_cancel() {
    let text = "kernel k(x: f64[n]) -> f64[n] { gelu(x) }";
    let module = compiled(text, Accuracy::Strict);
    let mut y = [0.0f64];
    let kernel = module.kernel("k").expect("the kernel");
    kernel.call(&[view(&[-20.0f64], [1])], &mut [view_mut(&mut y, [1])], &[]).expect("a call");
    let want = -10.0 * libm::erfc(20.0 * 0.5f64.sqrt());
    assert!((y[0] / want - 1.0).abs() < 1e-12, "{:e}, not {want:e}", y[0]);
}
