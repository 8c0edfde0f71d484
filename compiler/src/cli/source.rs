//! Reads kernels: from the name of a file to its text, its tree, its graphs, its code. Mistakes are shown on the way.

use std::io::Read as _;
use std::path::Path;

use act::diag::{FileId, Source, Sources};
use act::emit::CompiledKernel;
use act::graph::Graph;
use act::pipeline::{self, Blind, CompileError, Observer};
use act::syntax::{self, ast};
use act::{Options, sema};

use super::{Failure, Outcome, Session};

/// A text of kernels.
pub struct Text {
    /// The text, for messages.
    pub sources: Sources,
    /// Its number there.
    pub file: FileId,
}

/// Reads a text of at most `limit` bytes; `-` is standard input.
pub fn read_text(path: &Path, limit: usize) -> Outcome<String> {
    let name = path.display();
    let fail = |error: std::io::Error| Failure::Message(format!("{name}: {error}"));
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_end(&mut bytes).map_err(fail)?;
    } else {
        let file = std::fs::File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Err(Failure::Message(format!("{name}: is a directory, not a file")));
        }
        file.take(most).read_to_end(&mut bytes).map_err(fail)?;
    }
    if bytes.len() > limit {
        let message =
            format!("{name}: the file is larger than {limit} bytes, which is the most that is read");
        return Err(Failure::Message(message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        let byte = error.as_bytes()[at];
        Failure::Message(format!(
            "{name}: not a text file: line {line} has the byte {byte:#04x}, which is not UTF-8"
        ))
    })
}

impl Text {
    /// Reads a file, and those that it uses.
    pub fn read(path: &Path) -> Outcome<Text> {
        let text = read_text(path, syntax::MAX_FILE)?;
        let mut sources = Sources::new();
        let file = sources.add(Source::new(path.display().to_string(), text));
        syntax::uses::load(&mut sources, file, &mut |path| {
            // Only the command line means standard input by `-`.
            let place = if path == "-" { "./-" } else { path };
            read_text(Path::new(place), syntax::MAX_FILE).map_err(|failure| match failure {
                Failure::Message(message) => {
                    message.strip_prefix(&format!("{path}: ")).unwrap_or(&message).to_owned()
                }
                Failure::Told | Failure::Closed => "it can't be read".to_owned(),
            })
        });
        Ok(Text { sources, file })
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        self.sources.get(self.file).map_or("", |source| source.text.as_str())
    }

    /// Its syntax tree.
    pub fn parse(&self, session: &Session<'_>) -> Outcome<ast::File> {
        syntax::parse(self.text(), self.file).map_err(|mistakes| {
            session.show(&mistakes, &self.sources);
            Failure::Told
        })
    }

    /// The name of the kernel meant: the one chosen, or the only one.
    pub fn choose(&self, chosen: Option<&str>, session: &Session<'_>) -> Outcome<String> {
        let tree = self.parse(session)?;
        let names: Vec<&str> = sema::kernel_names(&tree).collect();
        match (chosen, names.as_slice()) {
            (Some(name), _) => Ok(name.to_owned()),
            (None, [name]) => Ok((*name).to_owned()),
            (None, []) => Err(Failure::Message("there is no kernel in the file".to_owned())),
            (None, names) => {
                let message = format!(
                    "there are several kernels in the file; choose one with -k: {}",
                    names.join(", ")
                );
                Err(Failure::Message(message))
            }
        }
    }

    /// Its graphs as written; warnings are shown.
    pub fn graphs(&self, options: &Options, session: &Session<'_>) -> Outcome<Vec<Graph>> {
        match pipeline::front(&self.sources, self.file, options, &mut Blind) {
            Ok(lowered) => {
                session.show(&lowered.warnings, &self.sources);
                Ok(lowered.graphs)
            }
            Err(mistakes) => {
                session.show(&mistakes, &self.sources);
                Err(Failure::Told)
            }
        }
    }

    /// The graph of the one kernel that `options` choose.
    pub fn graph(&self, options: &Options, session: &Session<'_>) -> Outcome<Graph> {
        let mut graphs = self.graphs(options, session)?;
        let one = graphs.len() == 1;
        graphs.pop().filter(|_| one).ok_or_else(|| Failure::Message("that is not one kernel".to_owned()))
    }

    /// Its code; warnings are shown.
    pub fn compile(
        &self,
        options: &Options,
        watch: &mut dyn Observer,
        session: &Session<'_>,
    ) -> Outcome<Vec<CompiledKernel>> {
        match pipeline::compile(&self.sources, self.file, options, watch) {
            Ok((kernels, warnings)) => {
                session.show(&warnings, &self.sources);
                Ok(kernels)
            }
            Err(CompileError::Text(mistakes)) => {
                session.show(&mistakes, &self.sources);
                Err(Failure::Told)
            }
            Err(CompileError::Target(error)) => Err(Failure::Message(error.to_string())),
        }
    }
}
