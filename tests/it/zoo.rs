//! The zoo: which kernel of `examples/kernels` answers for which id of the golden vectors, and for which paper.
//!
//! A kernel that is called as its id, and whose inputs, parameters and results are called as in the manifest, needs no
//! more than to be there. `examples/kernels/index.toml` says for the others, in a table named by the id:
//!
//! - `kernel`: the kernel's name;
//! - `when`: parameters of the manifest that are not the kernel's, with the values for which the kernel is the one meant;
//! - `kernels`: a list of `{ when, kernel }`, where the values of such parameters choose between kernels;
//! - `rename`: names of the manifest, each with the kernel's name for that input, parameter or result;
//! - `dims`: parameters of the manifest that are dimension parameters, each with its name in the kernel; those that are
//!   called the same need no entry;
//! - `bound`: which promise of the language's numerics holds, beside the manifest's tolerance (see `golden`);
//! - `program`: the Rust program, below `examples`, that answers instead of a kernel.
//!
//! Needs the files; leaves the answers, and the table of papers of README.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use act::diag::{FileId, Source, Sources, render};
use act::syntax::{self, ast};
use serde_json::{Map, Value as Json};

use crate::inputs::root;

/// How many ids of the manifest may have no kernel.
const MISSING: usize = 239;

/// A kernel of the zoo.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The file, relative to the root of the workspace.
    pub path: PathBuf,
    /// Its dimension parameters.
    pub dims: BTreeSet<String>,
}

/// The kernel, or one of the kernels, that an id means.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The kernel's name.
    pub kernel: String,
    /// The parameters that choose it, with their values.
    pub when: Map<String, Json>,
}

/// What `index.toml` says of an id.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The kernels; the first one whose conditions hold is meant. None for a program.
    pub variants: Vec<Variant>,
    /// The kernel's name for a name of the manifest.
    pub rename: BTreeMap<String, String>,
    /// The dimension parameter for a parameter of the manifest.
    pub dims: BTreeMap<String, String>,
    /// The promise that holds.
    pub bound: Option<String>,
    /// The program that answers, relative to the root of the workspace.
    pub program: Option<PathBuf>,
}

impl Entry {
    /// Which kernel these parameters ask for.
    pub fn variant(&self, params: &Map<String, Json>) -> Option<&Variant> {
        let holds =
            |variant: &&Variant| variant.when.iter().all(|(name, value)| params.get(name) == Some(value));
        self.variants.iter().find(holds)
    }
}

/// Everything that answers for ids.
pub struct Zoo {
    /// By name.
    pub kernels: BTreeMap<String, Kernel>,
    entries: BTreeMap<String, Entry>,
}

/// The `.act` files below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "act") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A text file.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON file.
pub fn read_json(path: &Path) -> Json {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(path: &Path) -> ast::File {
    let text = read(path);
    let mut sources = Sources::new();
    let file = sources.add(Source::new(path.display().to_string(), text.clone()));
    syntax::parse(&text, file).unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)))
}

impl Zoo {
    /// Reads all files and the index.
    pub fn read() -> Zoo {
        let mut kernels = BTreeMap::new();
        for path in files(&root().join("examples/kernels")) {
            for item in parse(&path).items {
                let ast::ItemKind::Kernel(kernel) = item.kind else { continue };
                let dims =
                    kernel.generics.iter().filter(|one| matches!(one.kind, ast::GenericKind::Dim { .. }));
                let dims = dims.map(|one| one.name.as_str().to_owned()).collect();
                let path = path.strip_prefix(root()).expect("below the root").to_owned();
                let name = kernel.name.as_str().to_owned();
                if let Some(other) = kernels.insert(name.clone(), Kernel { path: path.clone(), dims }) {
                    panic!("{name} is in {} and in {}", other.path.display(), path.display());
                }
            }
        }
        let path = root().join("examples/kernels/index.toml");
        let index: Json =
            toml::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let index = index.as_object().expect("a table");
        let entries = index.iter().map(|(id, entry)| (id.clone(), read_entry(id, entry))).collect();
        Zoo { kernels, entries }
    }

    /// Who answers for an id, if anybody does.
    pub fn entry(&self, id: &str) -> Option<Entry> {
        let plain = || Variant { kernel: id.to_owned(), when: Map::new() };
        let entry = match self.entries.get(id) {
            Some(entry) => entry.clone(),
            None => Entry { variants: vec![plain()], ..Entry::default() },
        };
        let there = |variant: &Variant| self.kernels.contains_key(&variant.kernel);
        (entry.program.is_some() || entry.variants.iter().all(there)).then_some(entry)
    }
}

fn read_entry(id: &str, json: &Json) -> Entry {
    const KEYS: [&str; 7] = ["kernel", "when", "kernels", "rename", "dims", "bound", "program"];
    let object = json.as_object().unwrap_or_else(|| panic!("index.toml: {id} is no table"));
    for key in object.keys() {
        assert!(KEYS.contains(&key.as_str()), "index.toml: {id} has the unknown key {key}");
    }
    let text = |json: &Json, key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let names = |key: &str| -> BTreeMap<String, String> {
        let map = object.get(key).and_then(Json::as_object).cloned().unwrap_or_default();
        map.into_iter().map(|(from, to)| (from, to.as_str().expect("a name").to_owned())).collect()
    };
    let variant = |json: &Json| Variant {
        kernel: text(json, "kernel").unwrap_or_else(|| id.to_owned()),
        when: json.get("when").and_then(Json::as_object).cloned().unwrap_or_default(),
    };
    let program = text(json, "program").map(PathBuf::from);
    let variants = match json.get("kernels").and_then(Json::as_array) {
        Some(list) => list.iter().map(variant).collect(),
        None if program.is_some() => Vec::new(),
        None => vec![variant(json)],
    };
    Entry { variants, rename: names("rename"), dims: names("dims"), bound: text(json, "bound"), program }
}

/// The manifest of the golden vectors that are checked in.
fn manifest() -> Map<String, Json> {
    let manifest = read_json(&root().join("tests/golden/manifest.json"));
    manifest.as_object().expect("an object").clone()
}

#[test]
fn every_id_has_an_answer() {
    let zoo = Zoo::read();
    let manifest = manifest();
    for id in zoo.entries.keys() {
        assert!(manifest.contains_key(id), "index.toml has {id}, which no golden vectors are for");
    }
    for (id, entry) in &zoo.entries {
        for Variant { kernel, .. } in &entry.variants {
            assert!(zoo.kernels.contains_key(kernel), "index.toml, {id}: no file has the kernel {kernel}");
        }
        let program = entry.program.iter().find(|path| !root().join(path).is_file());
        assert!(program.is_none(), "index.toml, {id}: {program:?} is not there");
    }
    let missing: Vec<&String> = manifest.keys().filter(|id| zoo.entry(id).is_none()).collect();
    println!("{} of {} ids have no kernel: {missing:?}", missing.len(), manifest.len());
    assert!(missing.len() <= MISSING, "nobody answers for {missing:?}");
}

/// The table of papers as README.md has it: every paper with its kernels, in the order of the papers' names.
fn papers() -> String {
    let zoo = Zoo::read();
    let mut papers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, golden) in &manifest() {
        let Some(entry) = zoo.entry(id) else { continue };
        let link = |path: &Path| format!("[`{id}`]({})", path.display());
        let link = match (&entry.program, entry.variants.first()) {
            (Some(program), _) => link(program),
            (None, Some(variant)) => link(&zoo.kernels[&variant.kernel].path),
            (None, None) => continue,
        };
        papers.entry(golden["seed"].as_str().expect("a paper").to_owned()).or_default().push(link);
    }
    // What stands in no paper of its own comes last.
    let mut rows: Vec<_> = papers.into_iter().collect();
    rows.sort_by_key(|(paper, _)| (paper == STANDARD, paper.to_lowercase()));
    let mut table = "| paper | kernels |\n|---|---|\n".to_owned();
    for (paper, kernels) in rows {
        let paper = if paper == STANDARD { "Standard layers" } else { &paper };
        table += &format!("| {paper} | {} |\n", kernels.join(" "));
    }
    table
}

/// What the manifest calls layers that no single paper is about.
const STANDARD: &str = "standard layer";

/// `ACT_UPDATE=1` writes the table instead.
#[test]
fn the_readme_has_the_papers() {
    const MARKS: [&str; 2] =
        ["<!-- papers: written by `ACT_UPDATE=1 cargo test --test it zoo` -->\n", "<!-- end -->"];
    let path = root().join("README.md");
    let text = read(&path);
    let inside = || {
        let start = text.find(MARKS[0])? + MARKS[0].len();
        Some(start..start + text[start..].find(MARKS[1])?)
    };
    let inside = inside().expect("README.md has the marks around its table of papers");
    let table = papers();
    if std::env::var_os("ACT_UPDATE").is_some() {
        let updated = format!("{}{table}{}", &text[..inside.start], &text[inside.end..]);
        std::fs::write(&path, updated).expect("README.md can be written");
    } else {
        assert!(
            text[inside] == table,
            "README.md lacks a kernel or has too many; ACT_UPDATE=1 writes:\n{table}"
        );
    }
}

/// The formatter on every file of the zoo: they are formatted; whatever a line is indented by and wherever comments are added,
/// they come out the same, with all comments.
#[test]
fn the_zoo_is_formatted() {
    let format = |name: &str, text: &str| {
        let tree = syntax::parse(text, FileId(0));
        let tree = tree.unwrap_or_else(|errors| panic!("{name}: {errors:?}\n{text}"));
        syntax::print(&tree)
    };
    for path in files(&root().join("examples/kernels")) {
        let name = path.display().to_string();
        let text = read(&path);
        assert_eq!(format(&name, &text), text, "{name} is not formatted");
        let bare: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert_eq!(format(&name, &bare.join("\n")), text, "{name}: what lines are indented by shows");
        let mut commented = String::new();
        let mut count = 0;
        for line in &bare {
            // A comment between lines of documentation, or between these and their item, has no place of its own.
            if !line.is_empty() && !line.starts_with("//") {
                count += 1;
                commented += &format!("{line} // comment {count}.\n");
            } else {
                commented += &format!("{line}\n");
            }
        }
        let once = format(&name, &commented);
        for number in 1..=count {
            let comment = format!("// comment {number}.");
            assert_eq!(once.matches(&comment).count(), 1, "{name}: {comment}\n{commented}\n{once}");
        }
        assert_eq!(format(&name, &once), once, "{name}: formatting twice is not formatting once");
    }
}
