//! Text ↔ syntax tree: the formatter changes no tree, loses no comment and is idempotent; no input breaks the parser.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use act::diag::{Diagnostics, FileId, Source, Sources, codes, render, render_short};
use act::syntax::ast::{self, dump};
use act::syntax::{MAX_FILE, MAX_HEIGHT, MAX_NESTING, parse, print};

use crate::random::budgeted;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compiler/ lies in the workspace").to_owned()
}

/// The `.act` files of a folder, by name.
fn act_files(folder: &str) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "act")).collect();
    files.sort();
    let read = |path: PathBuf| {
        (path.display().to_string(), std::fs::read_to_string(&path).expect("a readable file"))
    };
    files.into_iter().map(read).collect()
}

/// The code blocks of the language reference that are `.act`.
fn reference_blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("grammar/README.md")).expect("the reference");
    let blocks =
        text.split("```act\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest).to_owned());
    blocks.enumerate().map(|(number, block)| (format!("grammar/README.md, block {number}"), block)).collect()
}

fn shown(found: &Diagnostics, name: &str, text: &str) -> String {
    let mut sources = Sources::new();
    sources.add(Source::new(name, text));
    render(found, &sources, false)
}

fn parse_or_panic(name: &str, text: &str) -> ast::File {
    parse(text, FileId(0)).unwrap_or_else(|found| panic!("{}", shown(&found, name, text)))
}

/// Formats, and checks what formatting promises.
fn check_format(name: &str, text: &str) -> String {
    let file = parse_or_panic(name, text);
    let printed = print(&file);
    let again = parse_or_panic(&format!("{name}, formatted"), &printed);
    assert_eq!(dump(&file), dump(&again), "{name}: formatting changes the tree\n{printed}");
    let comments = |file: &ast::File| {
        let mut texts: Vec<_> = file.comments.iter().map(|comment| comment.text.clone()).collect();
        texts.sort();
        texts
    };
    assert_eq!(comments(&file), comments(&again), "{name}: formatting changes comments\n{printed}");
    let twice = print(&again);
    assert_eq!(printed, twice, "{name}: formatting is not idempotent");
    for line in printed.lines() {
        assert_eq!(line, line.trim_end(), "{name}: blanks at the end of a line");
    }
    printed
}

#[test]
fn formatting_is_safe_and_idempotent() {
    let mut inputs = reference_blocks();
    for folder in ["tests/suite/syntax", "examples/kernels", "compiler/prelude"] {
        inputs.extend(act_files(folder));
    }
    assert!(inputs.len() > 10, "the inputs are where they are looked for");
    for (name, text) in inputs {
        check_format(&name, &text);
    }
}

/// The layout itself, and the tree, for reading.
#[test]
fn formatted_text_and_tree() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (path, text) in act_files("tests/suite/syntax") {
            let name = Path::new(&path).file_stem().expect("a file name").to_string_lossy().into_owned();
            insta::with_settings!({ snapshot_path => root().join("tests/snapshots/fmt") }, {
                insta::assert_snapshot!(name.as_str(), check_format(&path, &text));
            });
            insta::with_settings!({ snapshot_path => root().join("tests/snapshots/ast") }, {
                insta::assert_snapshot!(format!("syntax-{name}"), dump(&parse_or_panic(&path, &text)));
            });
        }
    });
}

/// What `print` makes of an expression.
fn formatted(expr: &str) -> String {
    let printed = check_format(expr, &format!("const A = {expr};"));
    printed["const A = ".len()..].trim_end_matches(";\n").to_owned()
}

#[test]
fn parentheses_are_those_that_are_needed() {
    for (text, expected) in [
        ("((a))", "a"),
        ("(a + b) + c", "a + b + c"),
        ("a + (b + c)", "a + (b + c)"),
        ("(a * b) + (c / d)", "a * b + c / d"),
        ("a / (b * c)", "a / (b * c)"),
        ("-(x ^ 2)", "-x^2"),
        ("(-x)^2", "(-x)^2"),
        ("2^(-m)", "2^-m"),
        ("2 ^ (-(m^2))", "2^-m^2"),
        ("a^(b^c)", "a^b^c"),
        ("(a^b)^c", "(a^b)^c"),
        ("x ^ (a + b)", "x ^ (a + b)"),
        ("(a + b) ^ 2", "(a + b)^2"),
        ("(a < b) == (c < d)", "(a < b) == (c < d)"),
        ("!(a && b) || (c && d)", "!(a && b) || c && d"),
        ("(!a) == b", "!a == b"),
        ("-(-x)", "--x"),
        ("- - 1", "--1"),
        ("(if a { b } else { c })", "if a { b } else { c }"),
        ("1 + (if a { b } else { c })", "1 + (if a { b } else { c })"),
        ("(r).lo", "r.lo"),
        ("(a + b)[d = (0)]", "(a + b)[d=0]"),
        ("(1).lo", "(1).lo"),
    ] {
        assert_eq!(formatted(text), expected, "{text}");
    }
}

/// Parses within `limit`; a message must be ordinary, that is, it can be shown. A machine that is busy with other work may
/// be slow once or twice: what counts is the shortest of five times.
fn hostile(text: &str, limit: Duration) -> Result<ast::File, String> {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let result = parse(text, FileId(0)).map_err(|found| {
            let mut sources = Sources::new();
            sources.add(Source::new("h.act", text));
            render(&found, &sources, true);
            assert_eq!(found.len(), 1);
            render_short(&found, &sources)
        });
        shortest = shortest.min(start.elapsed());
        if shortest < limit {
            return result;
        }
    }
    panic!("{shortest:?} for {} bytes: {text:.100}", text.len());
}

/// What a text may take; a tenth of it where nothing else runs.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn deep_nesting_is_an_ordinary_mistake() {
    let deep = |open: &str, close: &str, count: usize| {
        format!("const A = {}1{};", open.repeat(count), close.repeat(count))
    };
    for (open, close) in [
        ("(", ")"),
        ("f(", ")"),
        ("sum[d](", ")"),
        ("if 1 { ", " } else { 2 }"),
        ("poly(x, [", "])"),
        ("x[d = ", "]"),
        ("(y = ", ")"),
        ("iterate 2 (a = ", ") { 1 }"),
        ("-", ""),
        ("!", ""),
        ("2 ^ ", ""),
        ("2 ^ -", ""),
        ("1 + (", ")"),
        ("", " + 1"),
        ("-(", ")"),
        ("", "[d = 0]"),
        ("", " ^ 1"),
        ("", " && 1"),
        ("f[j where ", "](x)"),
    ] {
        for count in [MAX_HEIGHT + 1, 5_000, 100_000] {
            let text = deep(open, close, count);
            let message = hostile(&text, SOON).expect_err("too deep");
            let code = if text.len() > MAX_FILE { codes::FILE_TOO_LONG } else { codes::TOO_DEEP };
            assert!(message.contains(code), "{count} of {open}…{close}: {message}");
        }
        let fine = deep(open, close, MAX_NESTING / 4);
        check_format(open, &fine);
    }
    let size = |count: usize| {
        format!("kernel k(x: f32[i = {}1{}]) -> f32 {{ 1 }}", "(".repeat(count), ")".repeat(count))
    };
    let chain = |count: usize| format!("kernel k(x: f32[i = 1{}]) -> f32 {{ 1 }}", " + 1".repeat(count));
    for count in [MAX_HEIGHT, 50_000] {
        assert!(hostile(&size(count), SOON).is_err_and(|message| message.contains(codes::TOO_DEEP)));
        assert!(hostile(&chain(count), SOON).is_err_and(|message| message.contains(codes::TOO_DEEP)));
    }
    check_format("size", &size(MAX_NESTING / 4));
    check_format("size", &chain(MAX_NESTING / 4));
}

/// Nesting in brackets and long chains multiply; the limit is on both together.
#[test]
fn the_height_of_the_tree_is_limited() {
    let level = format!("){}", " + 1".repeat(50));
    let text = format!("const A = {}1{};", "(".repeat(100), level.repeat(100));
    assert!(hostile(&text, SOON).is_err_and(|message| message.contains(codes::TOO_DEEP)));
}

/// Threads have less stack than the main one.
#[test]
fn the_deepest_text_allowed_needs_little_stack() {
    let run = || {
        let count = MAX_NESTING - 1;
        for (open, close) in [("(1 + ", ")"), ("f[d](", ")"), ("if a { ", " } else { 2 }"), ("x[d = ", "]")] {
            let text = format!("const A = {}1{};", open.repeat(count), close.repeat(count));
            check_format(open, &text);
        }
    };
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

#[test]
fn long_lists_are_no_problem() {
    let args = format!("const A = f({}1);", "1, ".repeat(100_000));
    assert!(hostile(&args, 5 * SOON).is_ok());
    let branches = format!("const A = if a {{ 1 }} {} else {{ 3 }};", "else if b { 2 } ".repeat(20_000));
    assert!(hostile(&branches, 5 * SOON).is_ok());
    let items = "const A=1;".repeat(100_000);
    let file = hostile(&items, 5 * SOON).expect("many items");
    assert_eq!(print(&file).lines().count(), 100_000);
}

#[test]
fn garbage_is_an_ordinary_mistake() {
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as u32
    };
    let large: String = (0..10_000_000).map(|_| char::from((random() % 128) as u8)).collect();
    assert!(hostile(&large, SOON).is_err_and(|message| message.contains(codes::FILE_TOO_LONG)));
    let megabyte = &large[..MAX_FILE];
    assert!(hostile(megabyte, SOON).is_err());
    for unit in [
        "(",
        "[",
        "{",
        ")",
        "f(",
        "let ",
        "\u{0}",
        "é",
        "\u{10FFFF}",
        "\"",
        "1.",
        "kernel ",
        "///\n",
        "-",
        "a ",
    ] {
        let text = unit.repeat(MAX_FILE / unit.len());
        assert!(hostile(&text, 3 * SOON).is_err(), "{unit:?}");
    }
    for text in ["", " ", "\u{FEFF}", "//", "//!", "\r\n", "// é"] {
        assert!(hostile(text, SOON).is_ok(), "{text:?}");
    }
}

/// Texts of random tokens and of random bytes: parsing them says yes or no, and what it says yes to can be formatted.
#[test]
fn random_texts() {
    let words = [
        "kernel",
        "fn",
        "const",
        "let",
        "dim",
        "if",
        "else",
        "iterate",
        "unfold",
        "reduction",
        "schedule",
        "example",
        "use",
        "x",
        "y",
        "d",
        "f32",
        "sum",
        "where",
        "in",
        "0",
        "1",
        "2.5",
        "1e-5",
        "inf",
        "true",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        ",",
        ";",
        ":",
        "=",
        "==",
        "->",
        "..",
        ".",
        "+",
        "-",
        "*",
        "^",
        "!",
        "&&",
        "||",
        "~=",
        "\"a\"",
        "// c\n",
        "/// d\n",
        "//! d\n",
        "\n\n",
        "é",
        "**",
        "1.",
        "const A = ",
        "fn f(x) = ",
        "kernel k(x: f32[d]) -> f32[d] { ",
    ];
    let seeds = act_files("tests/suite/syntax");
    budgeted(|u| {
        let mut text = String::new();
        match u.int_in_range(0..=2)? {
            0 => {
                for _ in 0..u.int_in_range(0..=40)? {
                    text.push_str(u.choose(&words)?);
                    text.push_str(if u.ratio(1, 4)? { "" } else { " " });
                }
            }
            1 => text.push_str(&String::from_utf8_lossy(u.arbitrary()?)),
            _ => {
                // A good text with one token put in or a few bytes taken out.
                let (_, good) = u.choose(&seeds)?;
                let ends: Vec<usize> = good.char_indices().map(|(at, _)| at).collect();
                let from = *u.choose(&ends)?;
                let to = good.ceil_char_boundary((from + u.int_in_range(0..=3)?).min(good.len()));
                text = format!("{}{}{}", &good[..from], u.choose(&words)?, &good[to..]);
            }
        }
        if hostile(&text, 2 * SOON).is_ok() {
            check_format("random", &text);
        }
        Ok(())
    });
}
