//! `actc dump`: what the stages of the compiler make, as text.

use std::fmt::{Display, Write as _};
use std::path::PathBuf;

use act::pipeline::{Observer, Stage};

use super::engine::Backend;
use super::source::Text;
use super::{Compile, Outcome, Session};

/// What may be given to `actc dump`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Stages, in order:
  ast        the syntax tree                            lowered    the loop IR as lowered
  graph      IR 1, as written                           numeric    the loop IR with every rounding fixed
  scale      which values are made of exponentials      loops      the loop IR, fitted to the target
  optimized  IR 1 after its passes                      clif       Cranelift's IR, with --engine cranelift
  ranges     between which numbers its values lie       vcode      the wide back end's instructions
  regions    which nodes share a loop nest              asm        machine code
  schedule   how the loop nests run on the target       all        every one of them, each under a heading

Examples:
  actc dump softmax.act --stage graph > softmax.graph
  actc dump softmax.act --stage loops,asm --target v3")]
pub struct Args {
    /// A file of kernels; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which stages
    #[arg(long = "stage", value_name = "STAGE", value_enum, value_delimiter = ',', required = true)]
    stages: Vec<Wanted>,
    #[command(flatten)]
    compile: Compile,
    #[command(flatten)]
    backend: Backend,
}

/// A stage on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Wanted {
    Ast,
    Graph,
    Scale,
    Optimized,
    Ranges,
    Regions,
    Schedule,
    Lowered,
    Numeric,
    Loops,
    Clif,
    Vcode,
    Asm,
    All,
}

impl Wanted {
    fn wants(self, stage: Stage) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Ast => stage == Stage::Ast,
            Wanted::Graph => stage == Stage::Graph,
            Wanted::Scale => stage == Stage::Scale,
            Wanted::Optimized => stage == Stage::Optimized,
            Wanted::Ranges => stage == Stage::Ranges,
            Wanted::Regions => stage == Stage::Regions,
            Wanted::Schedule => stage == Stage::Schedule,
            Wanted::Lowered => stage == Stage::Lowered,
            Wanted::Numeric => stage == Stage::Numeric,
            Wanted::Loops => stage == Stage::Loops,
            Wanted::Clif => stage == Stage::Clif,
            Wanted::Vcode => stage == Stage::Vcode,
            Wanted::Asm => stage == Stage::Asm,
        }
    }

    /// Whether code must be made for it.
    fn needs_code(self) -> bool {
        matches!(self, Wanted::Clif | Wanted::Vcode | Wanted::Asm | Wanted::All)
    }
}

/// Collects the texts of the stages wanted.
struct Collector<'a> {
    stages: &'a [Wanted],
    headings: bool,
    text: String,
}

impl Observer for Collector<'_> {
    fn stage(&mut self, stage: Stage, kernel: &str, text: &dyn Display) {
        if !self.stages.iter().any(|wanted| wanted.wants(stage)) {
            return;
        }
        if self.headings {
            let gap = if self.text.is_empty() { "" } else { "\n" };
            let of = if kernel.is_empty() { String::new() } else { format!(" of {kernel}") };
            let _ = writeln!(self.text, "{gap}==== {}{of} ====", stage.name());
        } else if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = write!(self.text, "{text}");
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }
}

/// Compiles and prints; what was made before a mistake is printed too.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let text = Text::read(&args.file)?;
    let stages = args.stages.as_slice();
    let mut collector = Collector {
        stages,
        headings: stages.len() > 1 || stages.contains(&Wanted::All),
        text: String::new(),
    };
    let outcome = if stages == [Wanted::Ast] {
        // A tree can be shown of what means nothing.
        let tree = text.parse(session)?;
        collector.stage(Stage::Ast, "", &act::syntax::ast::dump(&tree));
        Ok(())
    } else {
        compile(args, &text, &mut collector, session)
    };
    session.out.write_all(collector.text.as_bytes())?;
    outcome
}

/// Up to the loop IR every target can be shown, also one that there is no code for.
fn compile(args: &Args, text: &Text, watch: &mut Collector<'_>, session: &Session<'_>) -> Outcome {
    let needs_code = args.stages.iter().any(|stage| stage.needs_code());
    let options = act::Options { engine: args.backend.engine(), ..args.compile.options() };
    match text.compile(&options, watch, session) {
        Err(super::Failure::Message(_)) if !needs_code => Ok(()),
        outcome => outcome.map(drop),
    }
}
