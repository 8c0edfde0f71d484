//! What the compiler of Rust does not check: ARCHITECTURE.md agrees with the sources, every file says what it is for, the
//! prelude is documented.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::inputs::root;

/// The files with this ending below a folder, sorted.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                open.extend(path.file_name().is_some_and(|name| name != "target").then_some(path));
            } else if path.extension().is_some_and(|own| own == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The words in backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the table of modules: name, and what the module may use.
fn table() -> BTreeMap<String, String> {
    let text = read(&root().join("ARCHITECTURE.md"));
    let section = text.split("## What each module does, may use, and offers").nth(1).expect("the section");
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "a row has four cells: {line}");
        (cells[0].trim_matches('`').to_owned(), cells[2].to_owned())
    });
    rows.collect()
}

/// The module of `compiler/src` that a file belongs to, and how many modules deep it is.
fn module(path: &Path) -> (String, usize) {
    let inside = path.strip_prefix(root().join("compiler/src")).expect("a file of the compiler");
    let inside = inside.with_extension("");
    let mut parts: Vec<String> =
        inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts[0].clone(), parts.len())
}

/// The names right after `prefix` in some code: `prefix::name` and `prefix::{name, other::…}`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = |text: &str| text.chars().take_while(|c| is_word(*c)).collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| is_word(c) || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                _ if start && is_word(c) => {
                    names.insert(word(&list[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn modules_use_what_the_table_says() {
    let table = table();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files("compiler/src", "rs") {
        let (name, depth) = module(&path);
        if name == "lib" || name == "main" {
            continue;
        }
        let text = code(&read(&path));
        let above = "super::".repeat(depth);
        let uses = used.entry(name.clone()).or_default();
        // The program is a crate of its own.
        if name != "cli" {
            uses.extend(names_after(&text, "crate::"));
            uses.extend(names_after(&text, &above));
        }
        uses.extend(text.contains("act_runtime::").then(|| "runtime".to_owned()));
        uses.extend(text.contains("actlang_grammar::").then(|| "grammar".to_owned()));
        for word in [name.as_str(), "", "super", "self"] {
            uses.remove(word);
        }
    }
    let modules: Vec<&String> = used.keys().collect();
    assert_eq!(modules, table.keys().collect::<Vec<_>>(), "the modules and the rows of ARCHITECTURE.md");
    for (name, uses) in &used {
        let cell = &table[name];
        let mut allowed = quoted(cell);
        allowed
            .extend(["runtime", "grammar"].into_iter().filter(|word| cell.contains(word)).map(str::to_owned));
        if cell.starts_with("all of the above") {
            allowed.extend(table.keys().cloned());
        }
        let forbidden: Vec<&String> = uses.difference(&allowed).collect();
        assert!(forbidden.is_empty(), "`{name}` uses {forbidden:?}, which ARCHITECTURE.md does not allow");
        let idle: Vec<String> = quoted(cell).difference(uses).cloned().collect();
        assert!(idle.is_empty(), "`{name}` does not use {idle:?}, which ARCHITECTURE.md says it may");
    }
}

#[test]
fn uses_are_found() {
    let text =
        "use crate::{graph::{Op, Node}, ops};\nlet x = crate::types::DType::F32;\nuse some::crate::no;";
    let names: Vec<String> = names_after(text, "crate::").into_iter().collect();
    assert_eq!(names, ["graph", "ops", "types"]);
}

#[test]
fn packages_do_not_depend_on_what_stands_above_them() {
    let manifest = |package: &str| read(&root().join(package).join("Cargo.toml"));
    let dependencies = |package: &str| {
        let text = manifest(package);
        let lines = text.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
        lines.take_while(|line| !line.starts_with('[')).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    for package in ["runtime", "grammar"] {
        let found = dependencies(package);
        assert!(!found.contains("actlang"), "{package} depends on a package of ours:\n{found}");
        assert!(!found.contains("cranelift"), "{package} depends on Cranelift:\n{found}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["compiler/src", "runtime/src", "grammar/src", "tests/it", "examples"] {
        for path in files(folder, "rs") {
            assert!(read(&path).starts_with("//! "), "{} does not begin with `//!`", shown(&path));
        }
    }
    for path in files("compiler/prelude", "act").into_iter().chain(files("examples/kernels", "act")) {
        assert!(read(&path).starts_with("//! "), "{} does not begin with `//!`", shown(&path));
    }
}

#[test]
fn no_marks_are_left() {
    // Put together here, so that this file has none.
    let marks = ["TO", "FIX", "XX"].map(|mark| {
        format!(
            "{mark}{}",
            if mark == "TO" {
                "DO"
            } else if mark == "XX" {
                "X"
            } else {
                "ME"
            }
        )
    });
    for (folder, ending) in [
        ("compiler", "rs"),
        ("runtime", "rs"),
        ("tests/it", "rs"),
        ("compiler/prelude", "act"),
        ("grammar", "pest"),
    ] {
        for path in files(folder, ending) {
            let text = read(&path);
            for mark in &marks {
                let found = text.split(|c: char| !c.is_alphanumeric()).any(|word| word == mark);
                assert!(!found, "{} has the mark {mark}", shown(&path));
            }
        }
    }
}

#[test]
fn the_prelude_is_documented() {
    let mut count = 0;
    for path in files("compiler/prelude", "act") {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("fn ")) {
            count += 1;
            let documented = number > 0 && lines[number - 1].starts_with("/// ");
            assert!(documented, "{}:{}: `{line}` has no documentation", shown(&path), number + 1);
        }
    }
    assert!(count > 0, "the prelude is where it is looked for");
}
