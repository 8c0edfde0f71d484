//! Every mistake in `tests/suite/errors/*.act`, as a person is told of it. One file holds one kind of mistake; its name
//! is that of its snapshot.

use std::path::{Path, PathBuf};

use act::diag::{Diagnostics, Source, Sources, codes, render, render_short};
use act::pipeline::{self, Blind, Options};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compiler/ lies in the workspace").to_owned()
}

/// All that the front end has to say about a text.
fn front_end(name: &str, text: &str) -> (Diagnostics, Sources) {
    let mut sources = Sources::new();
    let file = sources.add(Source::new(name, text));
    let found = match pipeline::front(&sources, file, &Options::default(), &mut Blind) {
        Ok(lowered) => lowered.warnings,
        Err(found) => found,
    };
    (found, sources)
}

fn inputs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/suite/errors")).expect("the folder of mistakes");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "act")).collect();
    paths.sort();
    paths
}

#[test]
fn mistakes_are_explained() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(root().join("tests/snapshots/diagnostics"));
    let mut silent = Vec::new();
    for path in inputs() {
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let (found, sources) = front_end(&format!("{name}.act"), &text);
        if found.is_empty() {
            silent.push(name);
            continue;
        }
        check(&name, &found, &sources);
        settings.set_description(text.as_str());
        settings.set_input_file(path.strip_prefix(root()).expect("below the root"));
        settings.bind(|| insta::assert_snapshot!(name.as_str(), render(&found, &sources, false)));
    }
    assert!(silent.is_empty(), "no mistake found in {silent:?}");
}

/// What holds for every message.
fn check(name: &str, found: &Diagnostics, sources: &Sources) {
    for message in found {
        let known = codes::ALL.iter().any(|(code, _)| *code == message.code);
        assert!(known, "{name}: {} is not in the list of codes", message.code);
        assert!(sources.locate(message.span).is_some(), "{name}: `{}` has no place", message.message);
        assert!(!message.message.ends_with('.'), "{name}: `{}` ends with a full stop", message.message);
        for help in &message.help {
            let place = help.replacement.as_ref().map(|(span, _)| sources.locate(*span));
            assert!(place != Some(None), "{name}: `{}` has no place", help.text);
        }
    }
    assert_eq!(
        render_short(found, sources).lines().count(),
        found.len() + usize::from(found.dropped() > 0),
        "{name}: one line for each message"
    );
    assert!(render(found, sources, true).contains('\u{1b}'), "{name}: colours");
}

/// Following the advice of a syntax error with one edit leads on: the same message does not come again at that place.
#[test]
fn fixes_of_syntax_errors_help() {
    for path in inputs() {
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let (found, _) = front_end(&name, &text);
        let Some(message) = found.iter().next().filter(|message| message.code.starts_with("E01")) else {
            continue;
        };
        let Some((span, new)) = message.help.iter().find_map(|help| help.replacement.clone()) else {
            continue;
        };
        let fixed = format!("{}{new}{}", &text[..span.start as usize], &text[span.end as usize..]);
        let (again, _) = front_end(&name, &fixed);
        let same = again.iter().any(|later| later.code == message.code && later.span == message.span);
        assert!(!same, "{name}: the fix changes nothing\n{fixed}");
    }
}
