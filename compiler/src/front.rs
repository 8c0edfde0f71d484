//! The front door: text in, kernels of this process out.

use act_runtime::Module;

use crate::diag::{Diagnostics, Source, Sources, render};
use crate::emit::{self, CompiledKernel, EmitError};
use crate::pipeline::{self, Blind, CompileError, Options};

/// Why a text does not become kernels, or a call not results. Displays as the compiler's messages, with the places in the
/// text.
#[derive(Debug)]
pub enum Error {
    /// Mistakes in the text.
    Text {
        /// What is wrong, with places in `sources`.
        diagnostics: Diagnostics,
        /// The text.
        sources: Sources,
    },
    /// This machine or the target can't run the kernels; in a sentence.
    Target(String),
    /// A kernel that is not there, or a call that does not fit; for programs that have one error type for both.
    Call(act_runtime::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Text { diagnostics, sources } => {
                f.write_str(render(diagnostics, sources, false).trim_end())
            }
            Error::Target(message) => f.write_str(message),
            Error::Call(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<EmitError> for Error {
    fn from(error: EmitError) -> Error {
        Error::Target(error.message)
    }
}

impl From<act_runtime::Error> for Error {
    fn from(error: act_runtime::Error) -> Error {
        Error::Call(error)
    }
}

/// Compiles every kernel of a text for this machine. Warnings are dropped.
pub fn compile(text: &str) -> Result<Module, Error> {
    compile_with(text, &Options::default())
}

/// The same with options.
pub fn compile_with(text: &str, options: &Options) -> Result<Module, Error> {
    compile_named("kernel.act", text, options)
}

/// The same for a text with a name, which messages show.
pub fn compile_named(name: &str, text: &str, options: &Options) -> Result<Module, Error> {
    let kernels = compile_kernels(name, text, options)?;
    Ok(emit::jit::load(kernels)?.with_threads(options.threads))
}

/// Compiles every kernel of a text for any machine: what [`emit::object()`] makes an object file of.
pub fn compile_kernels(name: &str, text: &str, options: &Options) -> Result<Vec<CompiledKernel>, Error> {
    let mut sources = Sources::new();
    let file = sources.add(Source::new(name, text));
    match pipeline::compile(&sources, file, options, &mut Blind) {
        Ok((kernels, _)) => Ok(kernels),
        Err(CompileError::Text(diagnostics)) => Err(Error::Text { diagnostics, sources }),
        Err(CompileError::Target(error)) => Err(Error::Target(error.message)),
    }
}
