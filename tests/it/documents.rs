//! README.md and ARCHITECTURE.md: what they show of the compiler and the program is what these print.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

use act::Target;
use act::diag::{Source, Sources};
use act::graph_passes::PASSES;
use act::ops::{Class, Prim};
use act::pipeline::{self, Observer, Options, Stage};
use act::sema::prelude;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compiler/ lies in the workspace").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a document: what stands behind the fence, and the text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("\n```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').expect("a block has lines")).collect()
}

fn actc(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_actc")).args(args).current_dir(root()).output();
    let output = output.expect("actc starts");
    assert!(output.status.success(), "actc {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn kernels_compile() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = read(document);
        let kernels: Vec<&str> =
            blocks(&text).into_iter().filter(|(kind, _)| *kind == "act").map(|(_, block)| block).collect();
        assert!(!kernels.is_empty(), "{document} shows a kernel");
        for kernel in kernels {
            if let Err(error) = act::compile(kernel) {
                panic!("{document}: {kernel}\n{error}");
            }
        }
    }
}

/// The kernel of the worked addition is one line, and its example holds on every engine.
#[test]
fn the_worked_activation_holds() {
    let text = read("CONTRIBUTING.md");
    let (_, block) = blocks(&text).into_iter().find(|(kind, _)| *kind == "act").expect("the activation");
    let items = block.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert_eq!(items.count(), 2, "a kernel in one line, and its example:\n{block}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serf.act");
    std::fs::write(&path, block).expect("written");
    assert!(actc(&["test", &path.to_string_lossy()]).ends_with("1 example holds\n"));
}

/// Each line that CONTRIBUTING.md shows of a file stands in it, and ARCHITECTURE.md names the file for this addition.
#[test]
fn the_worked_function_stands_where_it_is_said() {
    let (text, architecture) = (read("CONTRIBUTING.md"), read("ARCHITECTURE.md"));
    let row = architecture
        .lines()
        .find(|line| line.starts_with("| an elementary function with an approximation of its own |"))
        .expect("the row of ARCHITECTURE.md");
    let shown: Vec<(&str, &str)> = blocks(&text)
        .into_iter()
        .filter_map(|(kind, block)| Some((kind.strip_prefix("rust ")?, block)))
        .collect();
    assert_eq!(shown.len(), 4, "the files that the function touches");
    for (path, block) in shown {
        let file = read(path);
        for line in block.lines() {
            assert!(file.lines().any(|found| found == line), "{path} has no line `{line}`");
        }
        let place = path.strip_prefix("compiler/src/").expect("a file of the compiler");
        let place = place.strip_prefix("loop_passes/").unwrap_or(place).replace("log1p.rs", "NAME.rs");
        assert!(row.contains(&place), "ARCHITECTURE.md does not name {place}");
    }
}

#[test]
fn the_first_run_prints_what_the_readme_shows() {
    let text = read("README.md");
    let shown = blocks(&text).into_iter().find(|(kind, _)| *kind == "text").expect("an output").1;
    assert_eq!(actc(&["run", "examples/kernels/softmax.act"]).trim_end(), shown.trim_end());
}

#[test]
fn the_readme_has_every_command_and_function() {
    let text = read("README.md");
    let help = actc(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).expect("a list of commands");
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let command = line.split_whitespace().next().expect("a name");
        assert!(text.contains(&format!("`actc {command} ")), "README.md lacks `actc {command}`");
    }
    let section = text.split("## Functions").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("it");
    let words: Vec<&str> = section.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for name in prelude::function_names(false).chain(prelude::function_names(true)) {
        assert!(words.contains(&name), "README.md lacks `{name}`");
    }
    // Some have no name in the language: graph passes make them.
    let nameless = [Prim::ExpNonpos, Prim::OnePlusErf, Prim::Gelu];
    let expanded = Prim::ALL.iter().filter(|prim| prim.class() == Class::Expanded);
    for prim in expanded.filter(|prim| !nameless.contains(prim)) {
        assert!(words.contains(&prim.name()), "README.md lacks `{prim}`");
    }
}

/// The diagram has every pass over the graph.
#[test]
fn the_architecture_has_every_graph_pass() {
    let text = read("ARCHITECTURE.md");
    let line = text.lines().find(|line| line.contains("graph_passes::PASSES  ")).expect("the passes");
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for pass in PASSES {
        assert!(words.contains(&pass.name), "the diagram of ARCHITECTURE.md lacks `{}`", pass.name);
    }
}

/// The texts of all stages.
#[derive(Default)]
struct Texts(BTreeMap<&'static str, String>);

impl Observer for Texts {
    fn stage(&mut self, stage: Stage, _: &str, text: &dyn Display) {
        self.0.insert(stage.name(), text.to_string());
    }
}

/// Each line of a block that names a stage stands in what the stage prints, in order; `…` is for lines left out.
#[test]
fn stages_print_what_the_architecture_shows() {
    let mut sources = Sources::new();
    let file = sources.add(Source::new("softmax.act", read("examples/kernels/softmax.act")));
    let target = Target::named("v3").expect("a level of the table");
    let mut texts = Texts::default();
    let options = Options { target, ..Options::default() };
    pipeline::compile(&sources, file, &options, &mut texts).expect("the example compiles");

    let text = read("ARCHITECTURE.md");
    let shown: Vec<(&str, &str)> = blocks(&text)
        .into_iter()
        .filter_map(|(kind, block)| Some((kind.strip_prefix("text ")?, block)))
        .collect();
    assert_eq!(shown.len(), 5, "the dumps of ARCHITECTURE.md");
    for (stage, block) in shown {
        let printed = &texts.0[stage];
        let mut lines = printed.lines();
        for line in block.lines().filter(|line| line.trim() != "…") {
            assert!(
                lines.any(|found| found == line),
                "ARCHITECTURE.md, {stage}: `{line}` is not in\n{printed}"
            );
        }
    }
}
