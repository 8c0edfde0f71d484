//! The `.act` files that the tests run on: `tests/suite/kernels/<feature>/*.act` and `examples/kernels/*.act`, each with a
//! name made of its path, which is that of its snapshots.

use std::path::{Path, PathBuf};

/// One file.
#[derive(Clone, Debug)]
pub struct Input {
    /// `feature-file` for the suite, `file` for examples.
    pub name: String,
    /// Relative to the root of the workspace.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compiler/ lies in the workspace").to_owned()
}

/// What lies in a folder, in alphabetical order; nothing where there is no folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

fn files(folder: &Path, prefix: &str) -> Vec<Input> {
    let paths = entries(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "act"));
    let read = |path: PathBuf| Input {
        name: format!("{prefix}{}", path.file_stem().expect("a file has a name").to_string_lossy()),
        text: std::fs::read_to_string(&path).expect("a readable file"),
        path: path.strip_prefix(root()).expect("below the root").to_owned(),
    };
    paths.map(read).collect()
}

/// The kernels of the suite.
pub fn suite() -> Vec<Input> {
    let folders = entries(&root().join("tests/suite/kernels"));
    let inputs = folders.iter().flat_map(|folder| {
        let feature = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        files(folder, &format!("{feature}-"))
    });
    let inputs: Vec<Input> = inputs.collect();
    assert!(!inputs.is_empty(), "the suite is where it is looked for");
    inputs
}

/// The kernels that ship as examples.
pub fn examples() -> Vec<Input> {
    files(&root().join("examples/kernels"), "")
}

/// Both.
pub fn kernels() -> Vec<Input> {
    suite().into_iter().chain(examples()).collect()
}
