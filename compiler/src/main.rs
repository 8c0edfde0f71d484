//! The program `actc`. The table of its commands stands here; each is a file in `cli`.
//!
//! Exit status: 0 fine; 1 a mistake in the text or the data, told on standard error; 2 wrong usage; 101 our bug.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cli::{Color, Failure, Outcome, Session};

/// Stack of the thread that does the work: more than any text within the limits needs.
const STACK: usize = 64 << 20;

/// Compiles and runs kernels written in the actlang language.
#[derive(Parser)]
// Width 0: help is not wrapped, whichever features of clap other packages ask for.
#[command(name = "actc", version, after_help = EXAMPLES, propagate_version = true, term_width = 0)]
struct Program {
    /// When to colour messages; NO_COLOR in the environment means never
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  actc run examples/kernels/softmax.act                           on made-up data, with a preview of the result
  actc run softmax.act --in x=logits.npy --out y=weights.npy      on a file
  actc check kernels/*.act                                        mistakes only
  actc test kernels                                               the examples in every file below a folder
  actc dump softmax.act --stage loops                             what a stage of the compiler makes of it
  actc bench softmax.act --shape ..=1024,d=1024                   how fast it is
  actc build softmax.act -o softmax.o --header softmax.h          for linking into a program

Exit status: 0 fine; 1 a mistake in the text or the data; 2 wrong usage; 101 a bug of actc.";

#[derive(Subcommand)]
enum Command {
    /// Says what is wrong with kernels
    Check(cli::check::Args),
    /// Puts files into the canonical layout; comments are kept
    Fmt(cli::fmt::Args),
    /// Runs a kernel on arrays from files, or on made-up data
    Run(cli::run::Args),
    /// Runs the examples that stand in files, on every engine
    Test(cli::test::Args),
    /// Measures how fast a kernel is, beside a copy of as many bytes
    Bench(cli::bench::Args),
    /// Measures how far a function or an activation is from the true value
    Accuracy(cli::accuracy::Args),
    /// Says in words how a kernel is computed
    Explain(cli::explain::Args),
    /// Prints what the stages of the compiler make
    Dump(cli::dump::Args),
    /// Compiles ahead of time, into an object file
    Build(cli::build::Args),
    /// Runs passes on an IR's text form, for work on the compiler
    Opt(cli::opt::Args),
}

impl Command {
    fn run(self, session: &mut Session<'_>) -> Outcome {
        match self {
            Command::Check(args) => cli::check::run(&args, session),
            Command::Fmt(args) => cli::fmt::run(&args, session),
            Command::Run(args) => cli::run::run(&args, session),
            Command::Test(args) => cli::test::run(&args, session),
            Command::Bench(args) => cli::bench::run(&args, session),
            Command::Accuracy(args) => cli::accuracy::run(&args, session),
            Command::Explain(args) => cli::explain::run(&args, session),
            Command::Dump(args) => cli::dump::run(&args, session),
            Command::Build(args) => cli::build::run(&args, session),
            Command::Opt(args) => cli::opt::run(&args, session),
        }
    }
}

fn main() -> ExitCode {
    let program = Program::parse();
    tell_of_bugs();
    let work = std::thread::Builder::new().name("actc".to_owned()).stack_size(STACK);
    let thread = work.spawn(move || run(program)).expect("a thread can be started");
    thread.join().unwrap_or(ExitCode::from(101))
}

fn run(program: Program) -> ExitCode {
    let stdout = std::io::stdout();
    let mut out = std::io::BufWriter::new(stdout.lock());
    let mut session = Session::new(&mut out, program.color);
    let outcome = program.command.run(&mut session);
    let color = session.color;
    // What was found out before the mistake comes first.
    let flushed = out.flush().map_err(Failure::from);
    match outcome.and(flushed) {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Message(message)) => {
            cli::tell("error", &message, color);
            ExitCode::FAILURE
        }
    }
}

/// A panic is our mistake: says so, after the message of the panic itself.
fn tell_of_bugs() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        eprintln!(
            "This is a bug in actc {}. Please report it with the command and its input.",
            env!("CARGO_PKG_VERSION")
        );
    }));
}
