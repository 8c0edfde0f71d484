//! `actc check`: diagnostics only.

use std::path::PathBuf;

use act::diag::{Diagnostic, Diagnostics, Sources, codes, render, render_short};
use act::graph::Graph;
use act::graph_passes::stabilise;
use act::pipeline::{self, Blind};
use serde_json::{Value, json};

use super::source::Text;
use super::{Compile, Failure, Outcome, Session, files, test, write_stderr};

/// What may be given to `actc check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  actc check kernels/*.act
  actc check kernels                                every .act file below a folder
  actc check -W unstable softmax.act                and of what may overflow where the formula has a number
  actc check softmax.act --message-format json      one object per message, one message per line, on standard output")]
pub struct Args {
    /// Files of kernels, and folders: of these every .act file below them; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How messages are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Human)]
    message_format: Format,
    /// Warns of more
    #[arg(short = 'W', long = "warn", value_name = "WHAT", value_enum, value_delimiter = ',')]
    warn: Vec<Warn>,
    #[command(flatten)]
    compile: Compile,
}

/// What is warned of if it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Warn {
    /// Quotients and logarithms of exponentials that can't be made safe.
    Unstable,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// With the lines they speak of.
    Human,
    /// One line each.
    Short,
    /// One JSON object each, on standard output.
    Json,
}

/// Checks every file, also after one that is wrong.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let mut failed = false;
    for path in &files::kernels(&args.files)? {
        let text = match Text::read(path) {
            Ok(text) => text,
            Err(Failure::Message(message)) => {
                super::tell("error", &message, session.color);
                failed = true;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let options = args.compile.options();
        let found = match pipeline::front(&text.sources, text.file, &options, &mut Blind) {
            Ok(lowered) => {
                let mut found = lowered.warnings;
                for example in lowered.examples {
                    if options.kernel.as_ref().is_none_or(|name| *name == example.kernel) {
                        found.append(test::misshapen(&text, &example));
                    }
                }
                if args.warn.contains(&Warn::Unstable) {
                    lowered.graphs.iter().for_each(|graph| unstable(graph, &mut found));
                }
                found
            }
            Err(mistakes) => mistakes,
        };
        failed |= found.has_errors();
        show(&found, &text.sources, args.message_format, session)?;
    }
    if failed { Err(Failure::Told) } else { Ok(()) }
}

/// A warning for every place of a kernel that can't be made safe.
fn unstable(graph: &Graph, warnings: &mut Diagnostics) {
    for doubt in stabilise::report(graph).doubts {
        let message =
            format!("this may be NaN or infinite in `{}` where the formula has a number", graph.name);
        warnings.push(
            Diagnostic::warning(codes::UNSTABLE, doubt.span, message)
                .with_label("not safe")
                .with_note(doubt.why),
        );
    }
}

fn show(found: &Diagnostics, sources: &Sources, format: Format, session: &mut Session<'_>) -> Outcome {
    match format {
        Format::Human => write_stderr(&render(found, sources, session.color)),
        Format::Short => write_stderr(&render_short(found, sources)),
        Format::Json => {
            for diagnostic in found {
                writeln!(session.out, "{}", object(diagnostic, sources))?;
            }
        }
    }
    Ok(())
}

fn object(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let place = |span| {
        sources.locate(span).map(|place| {
            json!({
                "file": place.file, "line": place.line, "column": place.column,
                "end_line": place.end_line, "end_column": place.end_column,
            })
        })
    };
    let labels =
        diagnostic.labels.iter().map(|label| json!({ "place": place(label.span), "text": label.text }));
    let help = diagnostic.help.iter().map(|help| {
        let edit = help.replacement.as_ref();
        let edit = edit.map(|(span, text)| json!({ "place": place(*span), "text": text }));
        json!({ "text": help.text, "replacement": edit })
    });
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "place": place(diagnostic.span),
        "label": diagnostic.label,
        "labels": labels.collect::<Vec<_>>(),
        "notes": diagnostic.notes,
        "help": help.collect::<Vec<_>>(),
    })
}
