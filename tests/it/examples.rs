//! `example` items: all of the kernels that ship and of the suite hold on every engine, and those that don't are told of.

use std::process::{Command, Output};

use crate::inputs::root;

fn test(args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_actc"));
    program.arg("test").args(args).current_dir(root()).env("NO_COLOR", "1").output().expect("actc runs")
}

/// Runs `actc test` on a text; whether it succeeded, and what it printed and told.
fn on(text: &str, more: &[&str]) -> (bool, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.act");
    std::fs::write(&path, text).expect("written");
    let path = path.to_string_lossy().into_owned();
    let output = test(&[&[path.as_str()], more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&path, "a.act");
    (output.status.code() == Some(0), text(&output.stdout), text(&output.stderr))
}

#[test]
fn all_hold() {
    let output = test(&["examples/kernels", "tests/suite/kernels"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let count = out.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(count >= 20, "only {count} examples:\n{out}");
}

#[test]
fn blocks_of_the_reference_hold() {
    let text = std::fs::read_to_string(root().join("grammar/README.md")).expect("the reference");
    let blocks = text.split("```act\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest));
    let with_examples: Vec<&str> = blocks.filter(|block| block.contains("\nexample ")).collect();
    assert!(!with_examples.is_empty(), "the reference shows examples");
    for block in with_examples {
        let (holds, out, err) = on(block, &[]);
        assert!(holds, "{block}\n{out}{err}");
    }
}

#[test]
fn what_differs_is_told() {
    let text = "kernel k(x: f32[n, d]) -> (y: f32[n, d], s: f32) { (y = x / 4, s = sum[n, d](x)) }
example k { x = [[1, 2], [3, 4]]; y ~= [[0.25, 0.50], [0.75, 1.10]]; s == 11; }
example k { x = [[1, 2]]; y ~= [[0.25, 0.5, 1]] within 1; }
example k { x = [[1], [2]]; s == 3; y ~= [[0.2], [0.4]]; }
";
    let (holds, out, err) = on(text, &[]);
    assert!(!holds);
    assert_eq!(out, "FAIL a.act:2 k\nFAIL a.act:3 k\nok   a.act:4 k\n2 of 3 examples fail\n");
    for part in [
        "`y[1][1]` is 1.0, and 1.1 within 0.01 is expected\n --> a.act:2:62",
        "1 of 4 elements of `y` differ",
        "`s` is 10.0, and 11.0 is expected\n --> a.act:2:75",
        "`y` has the shape [1, 2], and [1, 3] is expected",
    ] {
        assert!(err.contains(part), "no `{part}` in\n{err}");
    }
    let (holds, out, _) = on(text, &["--quiet", "-k", "k", "--engine", "eval"]);
    assert_eq!((holds, out.as_str()), (false, "FAIL a.act:2 k\nFAIL a.act:3 k\n2 of 3 examples fail\n"));
}

/// How near a number must be: one in its last written digit, 1e-5 for a whole one, or what `within` says.
#[test]
fn digits_say_how_near() {
    let holds = |x: &str, y: &str| {
        let text = format!("kernel k(x: f32[n]) -> f32[n] {{ x }}\nexample k {{ x = [{x}]; y {y}; }}\n");
        on(&text, &["-q"]).0
    };
    for (x, y) in [
        ("0.2447", "~= [0.245]"),
        ("0.0899", "~= [0.0900]"),
        ("1.000009", "~= [1]"),
        ("123456.7", "~= [1.235e5]"),
        ("nan, inf, -inf", "~= [nan, inf, -inf]"),
        ("nan, inf, -0", "== [nan, inf, 0]"),
        ("0.1", "== [0.1]"),
        ("3.4", "~= [3] within 0.5"),
        ("1e10", "~= [10000001000]"),
    ] {
        assert!(holds(x, y), "{x} {y}");
    }
    for (x, y) in [
        ("0.2447", "~= [0.242]"),
        ("0.0898", "~= [0.0900]"),
        ("1.00002", "~= [1]"),
        ("3.6", "~= [3] within 0.5"),
        ("nan", "~= [0] within inf"),
        ("inf", "~= [1e38] within inf"),
        ("0.1000001", "== [0.1]"),
        ("-inf", "~= [inf]"),
    ] {
        assert!(!holds(x, y), "{x} {y}");
    }
}

#[test]
fn nothing_to_run_is_a_failure() {
    let kernel = "kernel k(x: f32[n]) -> f32[n] { x }\n";
    let (holds, out, err) = on(kernel, &[]);
    assert_eq!((holds, out.as_str(), err.as_str()), (false, "", "error: there are no examples to run\n"));
    let (holds, _, err) = on(&format!("{kernel}example k {{ x = [1, 2]; y == [1"), &[]);
    assert!(!holds && err.contains("E0102"), "{err}");
    let (holds, _, err) = on(
        "kernel k(x: f32[n], w: f32[n]) -> f32[n] { x * w }\nexample k { x = [1]; w = [1, 2]; y == [1]; }",
        &[],
    );
    assert!(!holds && err.contains("can't be run: dimension `n` is 1 in `x`"), "{err}");
}
