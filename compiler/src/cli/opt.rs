//! `actc opt`: passes on the text form of an IR.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use act::graph::{self, Graph};
use act::loops::{self, Func};
use act::{Target, graph_passes, loop_passes};

use super::source::read_text;
use super::{Failure, Outcome, Session};

/// The largest text read.
const LIMIT: usize = 64 << 20;

/// What may be given to `actc opt`.
#[derive(Debug, clap::Args)]
#[command(after_help = passes())]
pub struct Args {
    /// A text of IR 1 (`.graph`) or of the loop IR (`.loops`)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The pass; several run one after another. Without any the text is only checked and printed
    #[arg(long = "pass", value_name = "NAME", value_delimiter = ',')]
    passes: Vec<String>,
    /// The machine, for the layout passes
    #[arg(long, value_name = "TARGET", default_value = "host", value_parser = super::target)]
    target: Target,
}

/// The passes there are, for the help.
fn passes() -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut text = "Passes on a .graph, in the order in which they first run:\n".to_owned();
    for pass in graph_passes::PASSES {
        if !names.contains(&pass.name) {
            names.push(pass.name);
            let _ = writeln!(text, "  {:<11} {}", pass.name, pass.doc);
        }
    }
    let numeric: Vec<&str> = loop_passes::NUMERIC.iter().map(|pass| pass.name).collect();
    let layout: Vec<&str> = loop_passes::LAYOUT.iter().map(|pass| pass.name).collect();
    let _ = writeln!(text, "Passes on .loops: {} (which fix the bits),", numeric.join(", "));
    let _ = writeln!(text, "  {} (which fit the code to a target)", layout.join(", "));
    text.push_str(
        "A pass expects what those before it leave; the order is that of `actc dump --stage all`.\n\n",
    );
    text.push_str("Example:\n  actc dump softmax.act --stage graph > softmax.graph\n  actc opt softmax.graph --pass fold,simplify,cse");
    text
}

/// Reads, runs the passes, prints.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let path = args.file.as_path();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let text = match extension {
        Some("graph") => graphs(&read_text(path, LIMIT)?, path, args)?,
        Some("loops") => func(&read_text(path, LIMIT)?, path, args)?,
        _ => return Err(Failure::Message(format!("{}: neither a .graph nor a .loops file", path.display()))),
    };
    session.out.write_all(text.as_bytes())?;
    Ok(())
}

fn graphs(text: &str, path: &Path, args: &Args) -> Outcome<String> {
    let passes = args.passes.iter().map(|name| {
        let known = graph_passes::PASSES.iter().map(|pass| pass.name);
        graph_passes::find(name).ok_or_else(|| unknown(name, "a graph", known))
    });
    let passes = passes.collect::<Outcome<Vec<_>>>()?;
    let mut graphs = graph::parse::parse_all(text).map_err(|error| at(path, &error))?;
    for graph in &mut graphs {
        graph::verify(graph).map_err(|report| at(path, &report))?;
        for pass in &passes {
            (pass.run)(graph);
            assert_whole(pass.name, graph);
        }
    }
    Ok(graphs.iter().map(Graph::to_string).collect::<Vec<_>>().join("\n"))
}

fn assert_whole(pass: &str, graph: &Graph) {
    if let Err(report) = graph::verify(graph) {
        panic!("{pass} left a broken graph:\n{report}");
    }
}

fn func(text: &str, path: &Path, args: &Args) -> Outcome<String> {
    let passes = args.passes.iter().map(|name| loop_pass(name)).collect::<Outcome<Vec<_>>>()?;
    let mut func = loops::parse(text).map_err(|error| at(path, &error))?;
    loops::verify(&func).map_err(|report| at(path, &report))?;
    for pass in passes {
        pass(&mut func, &args.target);
        if let Err(report) = loops::verify(&func) {
            panic!("a pass left a broken function:\n{report}");
        }
    }
    Ok(func.to_string())
}

type LoopPass = Box<dyn Fn(&mut Func, &Target)>;

/// The numeric or layout pass of that name.
fn loop_pass(name: &str) -> Outcome<LoopPass> {
    if let Some(pass) = loop_passes::NUMERIC.iter().find(|pass| pass.name == name) {
        return Ok(Box::new(|func, _| (pass.run)(func)));
    }
    if let Some(pass) = loop_passes::LAYOUT.iter().find(|pass| pass.name == name) {
        return Ok(Box::new(|func, target| (pass.run)(func, target)));
    }
    let numeric = loop_passes::NUMERIC.iter().map(|pass| pass.name);
    Err(unknown(name, "loops", numeric.chain(loop_passes::LAYOUT.iter().map(|pass| pass.name))))
}

fn unknown(name: &str, on: &str, known: impl Iterator<Item = &'static str>) -> Failure {
    let mut names: Vec<&str> = Vec::new();
    for name in known {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Failure::Message(format!("there is no pass `{name}` on {on}; there are {}", names.join(", ")))
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Message(format!("{}: {error}", path.display()))
}
