//! Texts that mean harm, through the whole compiler: there is a message or there is code, in bounded time and on the
//! small stack of a test's thread.

use std::fmt::Write as _;
use std::time::Duration;

use crate::random::compiles_or_complains;

const LIMIT: Duration = Duration::from_secs(20);

fn taken(text: &str) {
    if let Err(message) = compiles_or_complains(text, LIMIT) {
        panic!("{message}");
    }
}

/// Refused, with a message that has this in it.
fn refused(text: &str, part: &str) {
    match compiles_or_complains(text, LIMIT) {
        Ok(()) => panic!("taken: {text:.200}"),
        Err(message) => assert!(message.contains(part), "no `{part}` in {message:.500}"),
    }
}

/// One line for each number.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", line(number)).expect("a string takes it");
        text
    })
}

fn kernel(body: &str) -> String {
    format!("kernel k(x: f32[n, d]) -> f32[n, d] {{\n{body}\n}}\n")
}

#[test]
fn nesting() {
    for (open, close) in
        [("(", ")"), ("exp(", ")"), ("-", ""), ("if true { ", " } else { x }"), ("sum[d](", ")")]
    {
        let nested = |count: usize| kernel(&format!("{}x{}", open.repeat(count), close.repeat(count)));
        refused(&nested(100_000), "E060");
    }
    let chain = |operator: &str| kernel(&format!("x{}", format!(" {operator} x").repeat(100_000)));
    for operator in ["+", "*", "^"] {
        refused(&chain(operator), "E060");
    }
}

#[test]
fn many_items() {
    taken(&format!("{}{}", lines(40_000, |i| format!("const A{i} = {i};")), kernel("x * A39999")));
    taken(&format!("{}{}", lines(20_000, |i| format!("fn f{i}(x) = x;")), kernel("f19999(x)")));
    refused(&lines(1_000_000, |i| format!("const A{i} = 1;")), "E0601");
    refused(&lines(20_000, |_| "const A = 1;".to_owned()), "E0208");
    refused(&format!("{}{}", lines(20_000, |i| format!("fn f{i}(x) = y;")), kernel("x")), "E0201");
}

#[test]
fn circles() {
    let circle = lines(20_000, |i| format!("fn f{i}(x) = f{}(x);", (i + 1) % 20_000));
    refused(&format!("{circle}{}", kernel("f0(x)")), "E0501");
    let circle = lines(20_000, |i| format!("const A{i} = A{} + 1;", (i + 1) % 20_000));
    refused(&format!("{circle}{}", kernel("x * A0")), "E0607");
    let chain = lines(20_000, |i| {
        format!("const A{i} = {};", if i == 0 { "1".into() } else { format!("A{} + 1", i - 1) })
    });
    let _ = compiles_or_complains(&format!("{chain}{}", kernel("x * A19999")), LIMIT);
    let every_other = lines(300, |i| {
        let calls: Vec<String> = (0..300).map(|other| format!("f{other}(x)")).collect();
        format!("fn f{i}(x) = max({}, {});", calls[i], calls[(i + 7) % 300])
    });
    refused(&format!("{every_other}{}", kernel("f0(x)")), "E0501");
}

#[test]
fn inlining_without_end() {
    let chain = |step: fn(usize) -> String, count: usize| {
        format!("fn f0(x) = x + 1;\n{}{}", lines(count, |i| step(i + 1)), kernel(&format!("f{count}(x)")))
    };
    refused(&chain(|i| format!("fn f{i}(x) = f{0}(x) + f{0}(-x);", i - 1), 60), "E060");
    refused(&chain(|i| format!("fn f{i}(x) = f{0}(f{0}(x));", i - 1), 60), "E060");
    refused(&chain(|i| format!("fn f{i}(x) = f{}(x);", i - 1), 5_000), "E060");
    refused(&chain(|i| format!("fn f{i}(x) {{ let y = f{0}(x); f{0}(y) }}", i - 1), 60), "E060");
    refused(&chain(|i| format!("fn f{i}(x) = (a = f{0}(x), b = f{0}(x)).a;", i - 1), 60), "E060");
    // Values that are shared are no trouble.
    let shared = lines(150, |i| format!("    let v{} = v{i} + v{i} * 0.5;", i + 1));
    taken(&kernel(&format!("    let v0 = x;\n{shared}    v150")));
}

#[test]
fn sizes_without_end() {
    refused(
        "kernel k(x: f32[n, i=9223372036854775807*9223372036854775807]) -> f32[n] { sum[i](x) }",
        "E0307",
    );
    refused("kernel k(x: f32[n, i=9223372036854775808]) -> f32[n] { sum[i](x) }", "E0603");
    refused("kernel k(x: f32[n, i=0-1]) -> f32[n] { sum[i](x) }", "E0307");
    taken("kernel k(x: f32[n, (a=2147483647 b=2147483647 c=2147483647)]) -> f32[n, (a b c)] { x * 2 }");
    taken(
        "kernel k(x: f32[a=2147483647, b=2147483647, c=2147483647]) -> f32 { sum[a, b, c](x) / size(a, b) }",
    );
    refused(
        "kernel k(x: f32[a=2147483647, b=2147483647, c=2147483647]) -> f32[a, b, c] { x * size(a, b, c) }",
        "E0410",
    );
    taken("kernel k(x: f32[n, j=n*n*n*n*n*n*n*n]) -> f32[n] { sum[j](x) }");
    refused("kernel k(x: f32[n, i=64, j=64, k=64, l=64]) -> f32[n] { sum[i, j, k, l](exp(x)) }", "E0606");
    refused("kernel k(x: f32[n], a: f32[i=1000]) -> f32[n] { poly[i](x, a) }", "E0310");
    let values = vec!["x"; 5_000].join(", ");
    refused(&format!("kernel k(x: f32[n]) -> f32[n, i=5000] {{ stack[i]({values}) }}"), "E0701");
    let dims: Vec<String> = (0..1_000).map(|i| format!("d{i}")).collect();
    refused(&format!("kernel k(x: f32[({})]) -> f32 {{ 1 }}", dims.join(" ")), "E0605");
    refused("kernel k(x: f32[j=k+1], y: f32[k=j+1]) -> f32[j] { x + sum[k](y) }", "E0308");
    refused("kernel k(x: f32[i=1/0]) -> f32[i=1/0] { x }", "E0307");
}

/// Dimensions that are picked from have to go, also where they make many nodes.
#[test]
fn many_places() {
    let picked = "x[a = index(a) + index(b) - 32 else 0]";
    taken(&format!("kernel k(x: f32[n, a=64], w: f32[b=64]) -> f32[n, a] {{ sum[b](w * {picked}) }}"));
    taken("kernel k(x: f32[n, a=16, b=16]) -> f32[n, a, b] { x[a = 15 - index(b), b = index(a)] }");
    taken("kernel k(x: f32[n, (g=8 a=32)]) -> f32[n, (g a)] { sort[a](x) + sort[g](x) }");
}

#[test]
fn numbers_without_end() {
    let digits = "9".repeat(10_000);
    refused(&kernel(&format!("x * {digits}")), "E0603");
    refused(&kernel(&format!("x * {digits}.0")), "E0603");
    taken(&kernel(&format!("x * 0.{digits}")));
    refused(&kernel(&format!("x * 1e{digits}")), "E0603");
    taken(&kernel(&format!("x * 1e-{digits}")));
    refused(&kernel("x ^ 9223372036854775807 * (9223372036854775807 + 1)"), "E0410");
    taken(&kernel("x * 1e300 * 1e-300"));
    refused(&kernel(&format!("x * {}", "x".repeat(500_000))), "E0201");
}

#[test]
fn long_bodies() {
    let lets = lines(5_000, |i| format!("    let v{} = max(v{i}, {i});", i + 1));
    taken(&kernel(&format!("    let v0 = x;\n{lets}    v5000")));
    let lets = lines(4_000, |i| format!("    let v{} = sin(v{i});", i + 1));
    refused(&kernel(&format!("    let v0 = x;\n{lets}    v4000")), "the code of kernel `k` is too large");
    let unused = lines(10_000, |i| format!("    let v{i} = exp(x);"));
    taken(&kernel(&format!("{unused}    x")));
    let reductions = lines(100, |i| format!("    let v{} = v{i} - max[d](v{i});", i + 1));
    taken(&kernel(&format!("    let v0 = x;\n{reductions}    v100")));
    let results: Vec<String> = (0..200).map(|i| format!("r{i}: f32[n]")).collect();
    let values: Vec<String> = (0..200).map(|i| format!("r{i} = x * {i}")).collect();
    taken(&format!("kernel k(x: f32[n]) -> ({}) {{ ({}) }}", results.join(", "), values.join(", ")));
    let branches = "else if x > 1 { 2 } ".repeat(20_000);
    let _ = compiles_or_complains(&kernel(&format!("if x > 0 {{ 1 }} {branches} else {{ 3 }}")), LIMIT);
}
