//! `use "file.act";`: finds the files that a file uses, and puts their items beside its own.
//!
//! The compiler reads no files. [`load`] asks the caller for each text, under a path that lies beside the file that names
//! it, and takes it into the [`Sources`]; [`gather`] then finds all texts there. A file that is used twice is read once.
//! From a used file come functions, constants and reductions, and those of the files it uses itself; its kernels are its
//! own. All items share one name space.

use rustc_hash::FxHashMap;

use super::ast::{File, ItemKind, Use};
use super::parse;
use crate::diag::{Diagnostic, Diagnostics, FileId, Source, Sources, codes};

/// The largest number of files in one compilation.
pub const MAX_FILES: usize = 256;

/// The largest number of bytes that all used files have together.
pub const MAX_USED: usize = 8 << 20;

/// Gives the text of a path, or says in a few words why not. A path is that of the file that uses it, up to the last `/`,
/// with what stands between the quotes behind it, and without `.` and `..` where that can be done.
pub type Loader<'l> = dyn FnMut(&str) -> Result<String, String> + 'l;

/// Takes all files that `root` uses, and those that they use, into `sources`. What can't be had is noted there; the
/// message comes when the file is compiled.
pub fn load(sources: &mut Sources, root: FileId, loader: &mut Loader<'_>) {
    let mut known: FxHashMap<String, Result<FileId, String>> = FxHashMap::default();
    let mut open = vec![root];
    let mut total = 0;
    let name = sources.get(root).map_or(String::new(), |source| join("", &source.name));
    known.insert(name, Ok(root));
    while let Some(file) = open.pop() {
        let Some(source) = sources.get(file) else { continue };
        // Most files use none.
        if !source.text.contains("use") {
            continue;
        }
        // A text that is wrong has its message later.
        let Ok(tree) = parse(&source.text, file) else { continue };
        let folder = source.name.clone();
        for item in uses(&tree) {
            let path = join(&folder, &item.path);
            if let Some(found) = known.get(&path) {
                let found = found.clone();
                sources.link(file, &item.path, found);
                continue;
            }
            let found = read(&path, known.len(), &mut total, loader).map(|text| {
                let file = sources.add(Source::new(path.clone(), text));
                open.push(file);
                file
            });
            known.insert(path, found.clone());
            sources.link(file, &item.path, found);
        }
    }
}

fn read(path: &str, count: usize, total: &mut usize, loader: &mut Loader<'_>) -> Result<String, String> {
    if count >= MAX_FILES {
        return Err(too_many());
    }
    let text = loader(path)?;
    *total += text.len();
    if *total > MAX_USED {
        return Err(too_long());
    }
    Ok(text)
}

fn too_many() -> String {
    format!("it is one file too many: at most {MAX_FILES} are taken")
}

fn too_long() -> String {
    format!("the files that are used have more than {MAX_USED} bytes together")
}

/// The path that `path` means in the file `from`.
fn join(from: &str, path: &str) -> String {
    let folder = if path.starts_with('/') { "" } else { from.rfind('/').map_or("", |end| &from[..=end]) };
    let whole = format!("{folder}{path}");
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match (part, parts.last()) {
            ("." | "", _) => {}
            ("..", Some(&last)) if last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let start = if whole.starts_with('/') { "/" } else { "" };
    format!("{start}{}", parts.join("/"))
}

fn uses(file: &File) -> impl Iterator<Item = &Use> {
    file.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Use(item) => Some(item),
        _ => None,
    })
}

/// The file with the items of all files it uses, or what is wrong with these.
pub fn gather(tree: &mut File, root: FileId, sources: &Sources) -> Result<(), Diagnostics> {
    if uses(tree).next().is_none() {
        return Ok(());
    }
    let mut gathering = Gathering { sources, done: Vec::new(), items: Vec::new(), found: Diagnostics::new() };
    gathering.run(root, uses(tree).cloned().collect());
    if gathering.found.has_errors() {
        return Err(gathering.found);
    }
    tree.items.append(&mut gathering.items);
    Ok(())
}

struct Gathering<'s> {
    sources: &'s Sources,
    /// Files whose items are taken.
    done: Vec<FileId>,
    items: Vec<super::ast::Item>,
    found: Diagnostics,
}

/// A file on the way down: its number, and the uses that are still to be followed, last first.
struct Step {
    file: FileId,
    rest: Vec<Use>,
}

impl Gathering<'_> {
    fn run(&mut self, root: FileId, first: Vec<Use>) {
        let step = |file, mut rest: Vec<Use>| {
            rest.reverse();
            Step { file, rest }
        };
        let mut way = vec![step(root, first)];
        while let Some(last) = way.last_mut() {
            let Some(item) = last.rest.pop() else {
                self.done.extend(way.pop().map(|step| step.file));
                continue;
            };
            let Some(file) = self.find(last.file, &item) else { continue };
            if way.iter().any(|step| step.file == file) {
                self.circle(&way, file, &item);
            } else if !self.done.contains(&file) {
                way.push(step(file, self.take(file)));
            }
        }
    }

    /// The file that is meant.
    fn find(&mut self, from: FileId, item: &Use) -> Option<FileId> {
        let message = match self.sources.linked(from, &item.path) {
            Some(Ok(file)) => return Some(*file),
            Some(Err(reason)) => {
                let name = self.sources.get(from).map_or("", |source| source.name.as_str());
                let tried = join(name, &item.path);
                let hit_limit = [too_many(), too_long()].contains(reason);
                let code = if hit_limit { codes::TOO_MANY_FILES } else { codes::USE_MISSING };
                let message = format!("`{}` can't be used", item.path);
                Diagnostic::error(code, item.path_span, message)
                    .with_label(reason.clone())
                    .with_note(format!("the path is taken from the file that names it: {tried}"))
            }
            None => Diagnostic::error(
                codes::USE_MISSING,
                item.path_span,
                format!("`{}` can't be used: this text is compiled without a way to get others", item.path),
            )
            .with_help("compile the file with `act::compile_file`, or the text with `act::compile_files`, which asks you for the others"),
        };
        self.found.push(message);
        None
    }

    /// Takes the items of a file that may be used, and says what it uses itself.
    fn take(&mut self, file: FileId) -> Vec<Use> {
        let text = self.sources.get(file).map_or("", |source| source.text.as_str());
        let tree = match parse(text, file) {
            Ok(tree) => tree,
            Err(mistakes) => {
                self.found.append(mistakes);
                return Vec::new();
            }
        };
        let next = uses(&tree).cloned().collect();
        let useful =
            |kind: &ItemKind| matches!(kind, ItemKind::Fn(_) | ItemKind::Const(_) | ItemKind::Reduction(_));
        self.items.extend(tree.items.into_iter().filter(|item| useful(&item.kind)));
        next
    }

    fn circle(&mut self, way: &[Step], file: FileId, item: &Use) {
        let start = way.iter().position(|step| step.file == file).unwrap_or(0);
        let name = |file| self.sources.get(file).map_or("", |source| source.name.as_str());
        let chain: Vec<&str> = way[start..].iter().map(|step| step.file).chain([file]).map(name).collect();
        let message = match chain.as_slice() {
            [one, _] => format!("{one} uses itself"),
            _ => format!("files use each other in a circle: {}", chain.join(", which uses ")),
        };
        let error = Diagnostic::error(codes::USE_CIRCLE, item.path_span, message);
        self.found.push(error.with_help("put what both need into a file of its own"));
    }
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn paths_lie_beside_the_file_that_names_them() {
        let pairs = [
            ("main.act", "lib.act", "lib.act"),
            ("kernels/main.act", "lib.act", "kernels/lib.act"),
            ("kernels/main.act", "../lib.act", "lib.act"),
            ("kernels/main.act", "./a/../lib.act", "kernels/lib.act"),
            ("main.act", "../lib.act", "../lib.act"),
            ("../main.act", "../lib.act", "../../lib.act"),
            ("/a/b/main.act", "../lib.act", "/a/lib.act"),
            ("a/main.act", "/lib.act", "/lib.act"),
            ("-", "lib.act", "lib.act"),
        ];
        for (from, path, whole) in pairs {
            assert_eq!(join(from, path), whole, "{path} in {from}");
        }
    }
}
