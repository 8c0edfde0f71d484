//! The prelude: every function has documentation, knows all names that it uses, and compiles when a kernel calls it.

use std::f64::consts::LN_2;

use act::diag::{FileId, Source, Sources, render};
use act::sema::prelude;
use act::syntax::{self, ast};
use act::{compile, sema};

/// The functions of the prelude with their documentation.
fn functions() -> Vec<(ast::FnDecl, Vec<ast::DocLine>)> {
    let mut functions = Vec::new();
    for (name, text) in prelude::FILES {
        let mut sources = Sources::new();
        let file = sources.add(Source::new(name, text));
        let tree =
            syntax::parse(text, file).unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)));
        for item in tree.items {
            if let ast::ItemKind::Fn(function) = item.kind {
                functions.push((function, item.docs));
            }
        }
    }
    functions
}

/// The type of an argument, by the name of the parameter.
fn type_of(param: &str) -> &'static str {
    match param {
        "c" | "mask" => "bool[n, d]",
        "label" => "i32[n]",
        _ => "f32[n, d]",
    }
}

/// A kernel that calls a function with an array for every parameter that has no default, and with all defaults.
fn kernel_that_calls(function: &ast::FnDecl, result: &str) -> String {
    let mut types = Vec::new();
    let mut args = Vec::new();
    for param in function.params.iter().filter(|param| param.default.is_none()) {
        let name = param.name.as_str();
        types.push(format!("{name}: {}", type_of(name)));
        args.push(name);
    }
    let dims = match function.dims.len() {
        0 => "",
        1 => "[d]",
        2 => "[n, d]",
        more => panic!("`{}` has {more} dimensions", function.name.name),
    };
    let call = format!("{}{dims}({})", function.name.name, args.join(", "));
    format!("kernel k({}) -> {result} {{ {call} }}", types.join(", "))
}

/// That kernel, with the type that its result turns out to have.
fn kernel(function: &ast::FnDecl) -> String {
    let types = ["f32[n, d]", "f32[n]", "bool[n, d]", "bool[n]", "i32[n]"];
    let mut last = String::new();
    for text in types.map(|result| kernel_that_calls(function, result)) {
        let mut sources = Sources::new();
        let file = sources.add(Source::new("k.act", text.clone()));
        let tree = syntax::parse(&text, file).expect("it parses");
        match sema::lower(&tree, &sources, &sema::Options::default()) {
            Ok(_) => return text,
            Err(errors) => last = render(&errors, &sources, false),
        }
    }
    panic!("`{}` has no result of any of {types:?}:\n{last}", function.name.name);
}

#[test]
fn names_are_known_and_used() {
    for (name, text) in prelude::FILES {
        let mut sources = Sources::new();
        let file = sources.add(Source::new(name, text));
        let tree = syntax::parse(text, file).expect("it parses");
        match sema::lower(&tree, &sources, &sema::Options::default()) {
            Ok(lowered) => {
                assert!(lowered.warnings.is_empty(), "{}", render(&lowered.warnings, &sources, false));
            }
            Err(errors) => panic!("{}", render(&errors, &sources, false)),
        }
    }
}

#[test]
fn the_index_holds_every_function() {
    let functions = functions();
    for (function, docs) in &functions {
        let name = function.name.as_str();
        assert!(!docs.is_empty(), "`{name}` has no documentation");
        let with_dims = !function.dims.is_empty();
        assert!(
            prelude::function_names(with_dims).any(|known| known == name),
            "`{name}` is not in the index"
        );
    }
    let indexed = prelude::function_names(false).count() + prelude::function_names(true).count();
    assert_eq!(indexed, functions.len(), "two functions have one name");
}

#[test]
fn every_function_compiles() {
    for (function, _) in functions() {
        let single = kernel(&function);
        for text in [single.replace("f32", "f64"), single] {
            if let Err(error) = compile(&text) {
                panic!("{text}\n{error}");
            }
        }
    }
}

#[test]
fn texts_are_formatted() {
    for (name, text) in prelude::FILES {
        let tree = syntax::parse(text, FileId(0)).expect("it parses");
        assert_eq!(syntax::print(&tree), text, "{name} is not formatted");
    }
}

/// The results of a kernel on an array of two axes, as numbers.
fn run(text: &str, rows: usize, x: &[f32]) -> Vec<f64> {
    let module = compile(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let kernel = &module.kernels()[0];
    let columns = x.len().checked_div(rows).unwrap_or(0);
    let results = kernel
        .run_alloc(&[act::view(x, [rows, columns])], &[])
        .unwrap_or_else(|error| panic!("{text}\n{error}"));
    results[0].data().to_f64()
}

/// Whether two numbers are the same to 2^-22 of their size, NaN and NaN too.
fn near(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2f64.powi(-22) * b.abs()
}

/// What a reduction gives for a row.
fn reduce(name: &str, dtype: &str, row: &[f32]) -> f64 {
    let arg = if dtype == "f32" || name == "sum" { "x" } else { "x > 0" };
    let y = run(&format!("kernel k(x: f32[n, d]) -> {dtype}[n] {{ {name}[d]({arg}) }}"), 1, row);
    assert_eq!(y.len(), 1);
    y[0]
}

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

#[test]
fn reductions_over_nothing() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let floats = [
        ("sum", 0.0),
        ("prod", 1.0),
        ("max", -inf),
        ("min", inf),
        ("mean", nan),
        ("var", nan),
        ("std", nan),
        ("rms", nan),
        ("norm1", 0.0),
        ("norm2", 0.0),
        ("logsumexp", -inf),
        ("entropy", 0.0),
    ];
    for (name, wants) in floats {
        let is = reduce(name, "f32", &[]);
        assert!(near(is, wants), "{name} over nothing is {is}");
    }
    assert_eq!(reduce("any", "bool", &[]), 0.0);
    assert_eq!(reduce("all", "bool", &[]), 1.0);
    assert_eq!(reduce("count", "i32", &[]), 0.0);
}

#[test]
fn conditions_are_reduced() {
    for (row, any, all, count) in [
        (vec![1.0; 100], 1.0, 1.0, 100.0),
        (vec![-1.0; 100], 0.0, 0.0, 0.0),
        ([vec![1.0; 67], vec![-1.0]].concat(), 1.0, 0.0, 67.0),
        ([vec![-1.0; 40], vec![NAN, 2.0]].concat(), 1.0, 0.0, 1.0),
    ] {
        assert_eq!(reduce("any", "bool", &row), any);
        assert_eq!(reduce("all", "bool", &row), all);
        assert_eq!(reduce("count", "i32", &row), count);
    }
}

#[test]
fn reductions_of_rows_that_are_hard() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let cases: [(&str, &[f32], f64); 27] = [
        ("logsumexp", &[-INF, -INF, -INF], -inf),
        ("logsumexp", &[INF, 1.0, -INF], inf),
        ("logsumexp", &[INF, INF], inf),
        ("logsumexp", &[NAN, 1.0, 2.0], nan),
        ("logsumexp", &[1.0, NAN, INF], nan),
        ("logsumexp", &[-INF, 3.0], 3.0),
        ("logsumexp", &[1e4, 1e4], 1e4 + LN_2),
        ("logsumexp", &[-1e4, -1e4], -1e4 + LN_2),
        ("logsumexp", &[3e38, -3e38], f64::from(3e38f32)),
        ("logsumexp", &[7.5], 7.5),
        ("norm2", &[3e30, 4e30], libm::hypot(f64::from(3e30f32), f64::from(4e30f32))),
        ("norm2", &[3e-30, 4e-30], libm::hypot(f64::from(3e-30f32), f64::from(4e-30f32))),
        ("norm2", &[1e-45, 0.0], f64::from(1e-45f32)),
        ("norm2", &[0.0, -0.0], 0.0),
        ("norm2", &[1.0, -INF], inf),
        ("norm2", &[NAN, -INF], nan),
        ("norm2", &[-INF, NAN], nan),
        ("norm2", &[-5.0], 5.0),
        ("norm1", &[-1.0, 2.0, -3.0], 6.0),
        ("var", &[4.0], 0.0),
        ("var", &[1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 3.0], 1.25),
        ("std", &[1.0, 3.0], 1.0),
        ("mean", &[1.0, NAN], nan),
        ("max", &[1.0, NAN, 2.0], nan),
        ("min", &[NAN, 1.0], nan),
        ("rms", &[3.0, 4.0], 12.5f64.sqrt()),
        ("entropy", &[0.5, 0.0, 0.5], LN_2),
    ];
    for (name, row, wants) in cases {
        let is = reduce(name, "f32", row);
        assert!(near(is, wants), "{name} of {row:?} is {is}, not {wants}");
        // The same in the middle of a longer row whose other elements don't count.
        let rest = match name {
            "logsumexp" | "max" => -INF,
            "norm1" | "norm2" | "entropy" => 0.0,
            _ => continue,
        };
        let long = [vec![rest; 45], row.to_vec(), vec![rest; 21]].concat();
        let is = reduce(name, "f32", &long);
        assert!(near(is, wants), "{name} of {row:?} in a long row is {is}, not {wants}");
    }
    let unbiased = run("kernel k(x: f32[n, d]) -> f32[n] { var[d](x, correction = 1) }", 1, &[1.0, 3.0]);
    assert_eq!(unbiased, [2.0]);
}

#[test]
fn rows_of_weights() {
    let nan = f64::NAN;
    let third = 1.0 / 3.0;
    let half = 0.5;
    let softmax1 = 1.0 / (2.0 + libm::exp(-1.0));
    let cases: [(&str, &[f32], &[f64]); 19] = [
        ("softmax[d](x)", &[], &[]),
        ("softmax[d](x)", &[88.0], &[1.0]),
        ("softmax[d](x)", &[1e4, 1e4, 1e4], &[third; 3]),
        ("softmax[d](x)", &[-3e38, -3e38, 3e38], &[0.0, 0.0, 1.0]),
        ("softmax[d](x)", &[-INF, 0.0, 0.0], &[0.0, half, half]),
        ("softmax[d](x)", &[-INF, -INF], &[nan; 2]),
        ("softmax[d](x)", &[INF, 0.0], &[nan; 2]),
        ("softmax[d](x)", &[NAN, 0.0, 1.0], &[nan; 3]),
        ("softmin[d](x)", &[-1e4, -1e4], &[half; 2]),
        ("log_softmax[d](x)", &[], &[]),
        ("log_softmax[d](x)", &[1e4, -1e4], &[0.0, -2e4]),
        ("log_softmax[d](x)", &[-INF, 5.0], &[f64::NEG_INFINITY, 0.0]),
        ("softmax1[d](x)", &[-1e4, -1e4], &[0.0, 0.0]),
        ("softmax1[d](x)", &[1e4, 1e4], &[half, half]),
        ("softmax1[d](x)", &[1.0, 1.0], &[softmax1; 2]),
        ("masked_softmax[d](x, x > 0)", &[-1.0, 1e4, 1e4], &[0.0, half, half]),
        ("masked_softmax[d](x, x > 0)", &[-1.0, -2.0], &[0.0, 0.0]),
        ("masked_softmax[d](x, x > 0)", &[NAN, 2.0], &[0.0, 1.0]),
        ("stablemax[d](x)", &[0.0, 1e30], &[1e-30, 1.0]),
    ];
    for (formula, row, wants) in cases {
        let is = run(&format!("kernel k(x: f32[n, d]) -> f32[n, d] {{ {formula} }}"), 1, row);
        let same = is.len() == wants.len() && is.iter().zip(wants).all(|(&is, &wants)| near(is, wants));
        assert!(same, "{formula} of {row:?} is {is:?}, not {wants:?}");
    }
}

#[test]
fn rows_that_normalisers_meet() {
    for name in ["layer_norm", "rms_norm", "crms_norm", "l1_normalize", "l2_normalize"] {
        let text = format!("kernel k(x: f32[n, d]) -> f32[n, d] {{ {name}[d](x) }}");
        assert!(run(&text, 3, &[]).is_empty(), "{name}");
        assert_eq!(run(&text, 2, &[0.0; 6]), [0.0; 6], "{name} of zeros");
        let row = run(&text, 2, &[1.0, 2.0, 3.0, NAN, 2.0, 3.0]);
        assert!(row[..3].iter().all(|y| y.is_finite()), "{name}: a NaN in another row shows: {row:?}");
        assert!(row[3..].iter().all(|y| y.is_nan()), "{name} of a row with NaN: {row:?}");
    }
    let large = run("kernel k(x: f32[n, d]) -> f32[n, d] { l2_normalize[d](x) }", 1, &[3e30, 4e30]);
    assert!(near(large[0], 0.6) && near(large[1], 0.8), "{large:?}");
    let one = run("kernel k(x: f32[n, d]) -> f32[n, d] { layer_norm[d](x) }", 1, &[7.0]);
    assert_eq!(one, [0.0]);
}

#[test]
fn functions_where_they_are_hard() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let cases: [(&str, f32, f64); 54] = [
        ("sign(x)", -3.0, -1.0),
        ("sign(x)", 0.0, 0.0),
        ("sign(x)", NAN, nan),
        ("clamp(x, -1, 1)", NAN, nan),
        ("clamp(x, -1, 1)", -INF, -1.0),
        ("relu(x)", NAN, nan),
        ("relu6(x)", NAN, nan),
        ("fract(x)", -2.75, -0.75),
        ("rem(x, 3)", 7.5, 1.5),
        ("rem(x, 3)", -7.5, -1.5),
        ("rem(x, inf)", 7.5, 7.5),
        // 0.7 / 0.1 rounds up to 7.
        ("rem(x, 0.1)", 0.7, f64::from(0.7f32) - 6.0 * f64::from(0.1f32)),
        ("xlogy(x, x)", 0.0, 0.0),
        ("xlogy(x, nan)", 0.0, nan),
        ("xlogy(x, 2)", 3.0, 3.0 * LN_2),
        ("logaddexp(x, x)", INF, inf),
        ("logaddexp(x, -inf)", -INF, -inf),
        ("logaddexp(x, -inf)", 2.0, 2.0),
        ("logaddexp(x, 1e4)", 1e4, 1e4 + LN_2),
        ("logaddexp(x, 0)", NAN, nan),
        ("softplus(x)", 1e4, 1e4),
        ("softplus(x)", -50.0, libm::exp(-50.0)),
        ("softplus(x)", 0.0, LN_2),
        ("softplus(x)", INF, inf),
        ("softplus(x)", -INF, 0.0),
        ("squareplus(x)", 0.0, 1.0),
        ("squareplus(x)", 1e30, f64::from(1e30f32)),
        ("squareplus(x)", -1e6, 1e-6),
        ("squareplus(x)", -INF, 0.0),
        ("squareplus(x, 0)", 0.0, 0.0),
        ("squareplus(x, 0)", -3.0, 0.0),
        ("squareplus(x)", NAN, nan),
        ("log_sigmoid(x)", -1e4, -1e4),
        ("log_sigmoid(x)", 20.0, -libm::log1p(libm::exp(-20.0))),
        ("mish(x)", 1e20, f64::from(1e20f32)),
        ("mish(x)", -50.0, -50.0 * libm::exp(-50.0)),
        ("mish(x)", 1.0, libm::tanh(libm::log1p(libm::exp(1.0)))),
        ("gelu_tanh(x)", 1e20, f64::from(1e20f32)),
        ("gelu_tanh(x)", -1e20, 0.0),
        ("gelu(x)", 1e30, f64::from(1e30f32)),
        ("silu(x)", -1e4, 0.0),
        ("elu(x)", -1e4, -1.0),
        ("elu(x)", -1e-6, libm::expm1(-f64::from(1e-6f32))),
        ("softshrink(x)", NAN, nan),
        ("softshrink(x)", 2.0, 1.5),
        ("softshrink(x)", -0.25, 0.0),
        ("hardshrink(x)", NAN, nan),
        ("hardshrink(x)", 0.25, 0.0),
        ("binary_cross_entropy(x, 1)", 1e4, 0.0),
        ("binary_cross_entropy(x, 0)", 1e4, 1e4),
        ("log_cosh(x)", 1e4, 1e4 - LN_2),
        ("huber(x)", 3.0, 2.5),
        ("huber(x)", 0.5, 0.125),
        ("softcap(x, 30)", 1e30, 30.0),
    ];
    for (formula, x, wants) in cases {
        let is = run(&format!("kernel k(x: f32[n, d]) -> f32[n, d] {{ {formula} }}"), 1, &[x])[0];
        assert!(near(is, wants), "{formula} at {x:e} is {is:e}, not {wants:e}");
    }
    for (formula, x, wants) in [
        ("isnan(x)", NAN, 1.0),
        ("isnan(x)", INF, 0.0),
        ("isinf(x)", -INF, 1.0),
        ("isinf(x)", NAN, 0.0),
        ("isfinite(x)", 1e38, 1.0),
        ("isfinite(x)", NAN, 0.0),
    ] {
        let is = run(&format!("kernel k(x: f32[n, d]) -> bool[n, d] {{ {formula} }}"), 1, &[x])[0];
        assert_eq!(is, wants, "{formula} at {x}");
    }
}
