//! Finds files of kernels below folders. Writes files whole or not at all: each is written beside its place first, and all are moved
//! there when nothing can fail any more but the moving.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Failure, Outcome};

/// A file written beside its place; gone if it is dropped.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    file: NamedTempFile,
}

impl Staged {
    /// A file that is new, or takes the place of another.
    pub fn new(path: &Path, bytes: &[u8]) -> Outcome<Staged> {
        let fail = |error: std::io::Error| Failure::Message(format!("{}: {error}", path.display()));
        if fs::metadata(path).is_ok_and(|known| !known.is_file()) {
            return Err(Failure::Message(format!("{}: is not a file that can be replaced", path.display())));
        }
        // A link stays; what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Failure::Message(format!("{}: there is no such folder", folder.display())));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".actc-");
        let usual = usual_permissions();
        if let Some(permissions) = usual {
            builder.permissions(permissions);
        }
        // The error's own text names the file beside it.
        let mut file = builder.tempfile_in(folder).map_err(|error| fail(error.kind().into()))?;
        file.write_all(bytes).and_then(|()| file.flush()).map_err(fail)?;
        Ok(Staged { path, file })
    }

    /// A file that keeps the permissions of the one whose place it takes.
    pub fn replacing(path: &Path, bytes: &[u8]) -> Outcome<Staged> {
        let staged = Staged::new(path, bytes)?;
        let fail = |error: std::io::Error| Failure::Message(format!("{}: {error}", path.display()));
        let permissions = fs::metadata(path).map_err(fail)?.permissions();
        fs::set_permissions(staged.file.path(), permissions).map_err(fail)?;
        Ok(staged)
    }
}

/// What a new file is allowed; the system takes away what the user's mask says.
#[cfg(unix)]
fn usual_permissions() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn usual_permissions() -> Option<Permissions> {
    None
}

/// Moves all to their places.
pub fn commit(staged: Vec<Staged>) -> Outcome {
    for Staged { path, file } in staged {
        file.persist(&path)
            .map_err(|error| Failure::Message(format!("{}: {}", path.display(), error.error)))?;
    }
    Ok(())
}

/// The files of kernels given, and those below the folders given.
pub fn kernels(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let (mut open, mut found) = (vec![path.clone()], Vec::new());
        while let Some(folder) = open.pop() {
            let fail = |error: std::io::Error| Failure::Message(format!("{}: {error}", folder.display()));
            for entry in fs::read_dir(&folder).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                // Links to folders are not followed: they may lead in a circle.
                if entry.file_type().map_err(fail)?.is_dir() {
                    open.push(entry.path());
                } else if entry.path().extension().is_some_and(|ending| ending == "act") {
                    found.push(entry.path());
                }
            }
        }
        if found.is_empty() {
            return Err(Failure::Message(format!("{}: there is no .act file below it", path.display())));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}
