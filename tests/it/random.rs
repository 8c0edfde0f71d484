//! Random graphs and random texts, within a budget of time: the engines agree on whatever the compiler takes, and no text
//! makes the compiler panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use act::diag::{Source, Sources, render, render_short};
use act::graph::{Decl, Graph};
use act::pipeline::{self, Blind, CompileError, Options};
use arbtest::arbitrary::{self, Unstructured};
use arbtest::arbtest;

use crate::bounds;
use crate::engines::{called_in_every_way, same_bits, within_bounds};
use crate::inputs;
use crate::passes::random_graph;
use crate::subject::{Kind, Numbers, subject};

/// Runs a property on inputs that are the same each time, as many as the budget allows (`ACT_RANDOM_MS`, 2 seconds).
pub fn budgeted(mut property: impl FnMut(&mut Unstructured<'_>) -> arbitrary::Result<()>) {
    let budget = std::env::var("ACT_RANDOM_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let (start, budget) = (Instant::now(), Duration::from_millis(budget));
    let mut numbers = Numbers::new(1);
    let mut size = 100;
    while start.elapsed() < budget {
        // The lower half of a seed is the length of the input that is made of it.
        let seed = numbers.below(1 << 31) << 32 | size;
        arbtest(&mut property).seed(seed);
        size = if size > 3_000 { 100 } else { size + size / 8 };
    }
}

/// Results lie in any order, and neighbours may share an axis.
fn other_axes(u: &mut Unstructured<'_>, decl: &mut Decl) -> arbitrary::Result<()> {
    let Some(axes) = &mut decl.axes else { return Ok(()) };
    for last in (1..axes.len()).rev() {
        axes.swap(last, u.int_in_range(0..=last)?);
    }
    if axes.len() > 1 && u.ratio(1, 4)? {
        let last = axes.pop().expect("there are two");
        axes.last_mut().expect("there are two").extend(last);
    }
    Ok(())
}

fn random_sizes(u: &mut Unstructured<'_>, graph: &Graph) -> arbitrary::Result<Vec<(String, i64)>> {
    let long = u.int_in_range(0..=graph.dims.len() - 1)?;
    let size = |(number, name): (usize, &String), u: &mut Unstructured<'_>| {
        let size = if number == long { u.int_in_range(0..=70)? } else { u.int_in_range(1..=4)? };
        Ok((name.clone(), size))
    };
    graph.dims.values().map(|dim| &dim.name).enumerate().map(|dim| size(dim, u)).collect()
}

#[test]
fn engines_agree_on_random_graphs() {
    budgeted(|u| {
        let mut graph = random_graph(u, true)?;
        for (decl, _) in &mut graph.results {
            other_axes(u, decl)?;
        }
        let sizes = random_sizes(u, &graph)?;
        let known: Vec<(&str, i64)> = sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let given = bounds::constants(&graph);
        let run = || {
            let subject = subject("random", graph.clone()).expect("this machine can run everything");
            for (round, kind) in Kind::ALL.into_iter().enumerate() {
                let sizes = subject.sizes(&known).expect("every size is known");
                let data = subject.data(sizes, kind, round as u64);
                let found = same_bits(&subject, &data);
                if kind != Kind::Ordinary {
                    called_in_every_way(&subject, &data);
                }
                within_bounds(&subject, &data, &found, &given, false);
            }
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!("{graph}\nfor the sizes {known:?}");
            std::panic::resume_unwind(payload);
        }
        Ok(())
    });
}

/// Takes a text all the way: it compiles, or there is a message. In bounded time.
pub fn compiles_or_complains(text: &str, limit: Duration) -> Result<(), String> {
    let start = Instant::now();
    let mut sources = Sources::new();
    let file = sources.add(Source::new("random.act", text));
    let outcome = match pipeline::compile(&sources, file, &Options::default(), &mut Blind) {
        Ok((_, warnings)) => {
            render(&warnings, &sources, true);
            Ok(())
        }
        Err(CompileError::Text(found)) => {
            render(&found, &sources, true);
            assert!(found.has_errors(), "refused without an error");
            Err(render_short(&found, &sources))
        }
        Err(CompileError::Target(error)) => {
            assert!(error.message.contains("too large"), "{error}");
            Err(error.message)
        }
    };
    let time = start.elapsed();
    assert!(time < limit, "{time:?} for {} bytes: {outcome:.200?}", text.len());
    outcome
}

const WORDS: [&str; 70] = [
    "x",
    "y",
    "w",
    "d",
    "n",
    "i",
    "k",
    "half",
    "f32",
    "f64",
    "i32",
    "bool",
    "sum",
    "max",
    "prod",
    "exp",
    "log",
    "index",
    "size",
    "stack",
    "broadcast",
    "poly",
    "let",
    "if",
    "else",
    "0",
    "1",
    "2",
    "0.5",
    "1e30",
    "inf",
    "nan",
    "true",
    "false",
    "pi",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "=",
    "==",
    "<",
    "->",
    "..",
    ".",
    "+",
    "-",
    "*",
    "/",
    "^",
    "!",
    "&&",
    "||",
    "softmax[d](x)",
    "sum[d](x)",
    "x[half=0]",
    "index(d)",
    "size(d)",
    "[.., d]",
    "(half=2 d)",
    "(g k)",
    "-x",
    "mean[n, d](x)",
    "i=3",
    "where",
];

/// A text with a few tokens replaced, left out or put in.
fn mutated(u: &mut Unstructured<'_>, good: &str) -> arbitrary::Result<String> {
    let mut text = good.to_owned();
    for _ in 0..u.int_in_range(1..=3)? {
        let starts: Vec<usize> = text
            .char_indices()
            .filter(|(at, c)| {
                !c.is_whitespace() && (*at == 0 || !text[..*at].ends_with(char::is_alphanumeric))
            })
            .map(|(at, _)| at)
            .collect();
        if starts.is_empty() {
            break;
        }
        let from = *u.choose(&starts)?;
        let word = text[from..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(1).max(1);
        let end = if u.ratio(1, 3)? { from } else { text.ceil_char_boundary(from + word) };
        let new = if u.ratio(1, 5)? { "" } else { *u.choose(&WORDS)? };
        let space = if end == from { " " } else { "" };
        text.replace_range(from..end, &format!("{new}{space}"));
    }
    Ok(text)
}

/// One item of a file, by itself.
fn item<'t>(u: &mut Unstructured<'_>, text: &'t str) -> arbitrary::Result<&'t str> {
    let starts: Vec<usize> = text.match_indices("kernel ").map(|(at, _)| at).collect();
    if starts.is_empty() {
        return Ok(text);
    }
    let number = u.int_in_range(0..=starts.len() - 1)?;
    let end = starts.get(number + 1).copied().unwrap_or(text.len());
    Ok(&text[starts[number]..end])
}

#[test]
fn no_text_breaks_the_compiler() {
    let kernels = inputs::kernels();
    budgeted(|u| {
        let good = &u.choose(&kernels)?.text;
        let good = item(u, good)?;
        let text = mutated(u, good)?;
        if let Err(payload) =
            catch_unwind(AssertUnwindSafe(|| compiles_or_complains(&text, Duration::from_secs(10))))
        {
            eprintln!("{text}");
            std::panic::resume_unwind(payload);
        }
        Ok(())
    });
}
