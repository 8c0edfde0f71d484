//! `actc fmt`: the canonical layout.

use std::path::PathBuf;

use act::syntax;

use super::files::{self, Staged, commit};
use super::source::Text;
use super::{Failure, Outcome, Session};

/// What may be given to `actc fmt`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  actc fmt kernels/*.act            rewrites the files whose layout differs
  actc fmt kernels                  the same for every .act file below a folder
  actc fmt --check kernels/*.act    names them instead; exit status 1 if there are any
  actc fmt - < in.act > out.act")]
pub struct Args {
    /// Files of kernels, and folders: of these every .act file below them; `-` is standard input, whose layout goes to standard
    /// output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only name the files whose layout differs
    #[arg(long)]
    check: bool,
}

/// Lays out every file, or names those that differ. Files are written only if all could be read.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let (mut staged, mut failed) = (Vec::new(), false);
    for path in &files::kernels(&args.files)? {
        let laid_out = Text::read(path).and_then(|text| layout(&text, session));
        let (old, new) = match laid_out {
            Ok(pair) => pair,
            Err(Failure::Closed) => return Err(Failure::Closed),
            Err(failure) => {
                if let Failure::Message(message) = failure {
                    super::tell("error", &message, session.color);
                }
                failed = true;
                continue;
            }
        };
        if args.check {
            if old != new {
                writeln!(session.out, "{}", path.display())?;
                failed = true;
            }
        } else if path.as_os_str() == "-" {
            session.out.write_all(new.as_bytes())?;
        } else if old != new {
            staged.push((path.clone(), new));
        }
    }
    if failed {
        return Err(Failure::Told);
    }
    let staged: Outcome<Vec<Staged>> =
        staged.into_iter().map(|(path, text)| Staged::replacing(&path, text.as_bytes())).collect();
    commit(staged?)
}

/// A text, and its canonical layout.
fn layout(text: &Text, session: &Session<'_>) -> Outcome<(String, String)> {
    let new = syntax::print(&text.parse(session)?);
    let again = syntax::parse(&new, text.file).map(|tree| syntax::print(&tree));
    assert!(again.is_ok_and(|again| again == new), "the layout does not read back:\n{new}");
    Ok((text.text().to_owned(), new))
}
