//! What the commands of `actc` share: where they write, how they fail, how they read kernels and options.

pub mod accuracy;
pub mod bench;
pub mod build;
pub mod check;
pub mod dump;
pub mod explain;
pub mod fmt;
pub mod opt;
pub mod run;
pub mod test;

mod copy;
mod engine;
mod files;
mod fill;
mod inputs;
mod npy;
mod preview;
mod source;
mod truth;
mod words;

use std::io::{IsTerminal as _, Write};

use act::diag::{Diagnostics, Sources, render};
use act::{Accuracy, DType, Normalizer, Options, Target};

/// When to colour messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// One run of the program.
pub struct Session<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Whether messages on standard error are coloured.
    pub color: bool,
    /// Whether messages about texts are dropped.
    silent: bool,
}

impl<'a> Session<'a> {
    /// A run that writes to `out`.
    pub fn new(out: &'a mut dyn Write, color: Color) -> Session<'a> {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !refused && std::io::stderr().is_terminal()
            }
        };
        Session { out, color, silent: false }
    }

    /// A run that shows no messages about texts.
    pub fn silent(out: &'a mut dyn Write) -> Session<'a> {
        Session { out, color: false, silent: true }
    }

    /// Shows messages about a text.
    pub fn show(&self, diagnostics: &Diagnostics, sources: &Sources) {
        if !diagnostics.is_empty() && !self.silent {
            write_stderr(&render(diagnostics, sources, self.color));
        }
    }
}

/// Why a command did not do what it was told.
#[derive(Debug)]
pub enum Failure {
    /// To be told.
    Message(String),
    /// Has been told.
    Told,
    /// Nobody reads the output any more.
    Closed,
}

/// How a command ends.
pub type Outcome<T = ()> = Result<T, Failure>;

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Message(message)
    }
}

impl From<act_runtime::Error> for Failure {
    fn from(error: act_runtime::Error) -> Failure {
        Failure::Message(error.to_string())
    }
}

/// Only writing to standard output fails with a bare I/O error; all others name their file.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Message(format!("standard output: {error}")),
        }
    }
}

/// Writes `error: message` to standard error.
pub fn tell(level: &str, message: &str, color: bool) {
    let (start, end) = match (color, level) {
        (false, _) => ("", ""),
        (true, "error") => ("\x1b[1;31m", "\x1b[0m"),
        (true, _) => ("\x1b[1;33m", "\x1b[0m"),
    };
    write_stderr(&format!("{start}{level}{end}: {message}\n"));
}

/// Where standard error is closed there is nobody to tell.
fn write_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// How a kernel is compiled.
#[derive(Clone, Debug, clap::Args)]
pub struct Compile {
    /// The kernel, where the file has several
    #[arg(short, long, value_name = "KERNEL")]
    pub kernel: Option<String>,
    /// The size of a dimension parameter of the kernel
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = inputs::dim)]
    pub dims: Vec<(String, i64)>,
    /// The dtype of a dtype parameter of the kernel
    #[arg(long = "dtype", value_name = "NAME=DTYPE", value_parser = inputs::dtype)]
    pub dtypes: Vec<(String, DType)>,
    /// The machine: host, x86-64-v1 to x86-64-v4 (v1 to v4); aarch64 up to the loops, as no code is made for it
    #[arg(long, value_name = "TARGET", default_value = "host", value_parser = target)]
    pub target: Target,
    /// How maxima and the sums of exponentials that they shift are computed: auto, reload, recompute, online, two_pass
    #[arg(long, value_name = "WAY", default_value = "auto", value_parser = normalizer)]
    pub normalizer: Normalizer,
    /// How accurate functions of single places are: default, or strict: to the last digits of the result
    #[arg(long, value_name = "CLASS", default_value = "default", value_parser = accuracy_class)]
    pub accuracy: Accuracy,
}

impl Compile {
    /// The compiler's options.
    pub fn options(&self) -> Options {
        Options {
            target: self.target.clone(),
            dims: self.dims.clone(),
            dtypes: self.dtypes.clone(),
            kernel: self.kernel.clone(),
            normalizer: self.normalizer,
            accuracy: self.accuracy,
            ..Options::default()
        }
    }
}

/// A way to compute normalisers on the command line.
pub fn normalizer(name: &str) -> Result<Normalizer, String> {
    Normalizer::from_name(name).ok_or_else(|| {
        let names = Normalizer::ALL.map(Normalizer::name);
        format!("there is no way of that name; there are {}", names.join(", "))
    })
}

/// A class of accuracy on the command line.
pub fn accuracy_class(name: &str) -> Result<Accuracy, String> {
    Accuracy::from_name(name).ok_or_else(|| {
        let names = Accuracy::ALL.map(Accuracy::name);
        format!("there is no class of that name; there are {}", names.join(", "))
    })
}

/// A target on the command line.
pub fn target(name: &str) -> Result<Target, String> {
    Target::named(name).ok_or_else(|| {
        let has_code = |name: &&str| Target::named(name).is_some_and(|target| target.has_code());
        let (with, without): (Vec<&str>, Vec<&str>) = Target::names().partition(has_code);
        let mut message = format!("there is no target of that name; there are host, {}", with.join(", "));
        if !without.is_empty() {
            message.push_str(&format!("; without code, for `dump` up to loops: {}", without.join(", ")));
        }
        message
    })
}
