//! What each stage makes of every example and every kernel of the suite: `snapshots/<stage>/<name>.snap`, where the name is
//! that of the file. Machine code is that for one named target, so that it is the same on every host. The stages
//! that are long are shown for the examples only.

use std::collections::BTreeMap;
use std::fmt::Display;

use act::backend::Engine;
use act::diag::{Source, Sources, render};
use act::pipeline::{self, CompileError, Observer, Options, Stage};
use act::target::Target;

use crate::inputs::{self, Input, root};

/// The texts of all stages of one file; those of its kernels after one another.
#[derive(Default)]
struct Texts(BTreeMap<Stage, String>);

impl Observer for Texts {
    fn stage(&mut self, stage: Stage, _: &str, text: &dyn Display) {
        let all = self.0.entry(stage).or_default();
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(text.to_string().trim_end());
        all.push('\n');
    }
}

fn stages_of(input: &Input, engine: Engine) -> Texts {
    let target = Target::named("x86-64-v3").expect("a level of the table");
    let target = target.on_platform("x86_64-unknown-linux-gnu").expect("its architecture");
    let options = Options { target, engine, ..Options::default() };
    let mut texts = Texts::default();
    let mut sources = Sources::new();
    let file = sources.add(Source::new(input.path.to_string_lossy(), input.text.as_str()));
    match pipeline::compile(&sources, file, &options, &mut texts) {
        Ok((_, warnings)) => assert!(warnings.is_empty(), "{}", render(&warnings, &sources, false)),
        Err(CompileError::Text(found)) => panic!("{}", render(&found, &sources, false)),
        Err(CompileError::Target(error)) => panic!("{}: {error}", input.name),
    }
    texts
}

fn check(input: &Input, stages: &[Stage]) {
    check_by(Engine::Cranelift, input, stages);
}

fn check_by(engine: Engine, input: &Input, stages: &[Stage]) {
    let texts = stages_of(input, engine);
    for stage in stages {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.set_snapshot_path(root().join("tests/snapshots").join(stage.name()));
        settings.set_description(input.text.as_str());
        settings.set_input_file(&input.path);
        settings.bind(|| insta::assert_snapshot!(input.name.as_str(), texts.0[stage]));
    }
}

const FRONT: [Stage; 2] = [Stage::Ast, Stage::Graph];
const MIDDLE: [Stage; 3] = [Stage::Optimized, Stage::Regions, Stage::Schedule];
const BACK: [Stage; 3] = [Stage::Loops, Stage::Clif, Stage::Asm];

#[test]
fn front() {
    inputs::kernels().iter().for_each(|input| check(input, &FRONT));
}

#[test]
fn middle() {
    inputs::kernels().iter().for_each(|input| check(input, &MIDDLE));
}

#[test]
fn back() {
    inputs::examples().iter().for_each(|input| check(input, &BACK));
}

/// The wide back end's code of a few kernels.
#[test]
fn wide() {
    let shown = ["silu", "softmax", "rms_norm"];
    let inputs = inputs::examples();
    let inputs: Vec<&Input> = inputs.iter().filter(|input| shown.contains(&input.name.as_str())).collect();
    assert_eq!(inputs.len(), shown.len());
    inputs.into_iter().for_each(|input| check_by(Engine::Wide, input, &[Stage::Vcode]));
}

/// Stages depend on the text and the options alone.
#[test]
fn stages_are_the_same_each_time() {
    for input in inputs::suite() {
        for engine in [Engine::Wide, Engine::Cranelift] {
            let (one, other) = (stages_of(&input, engine), stages_of(&input, engine));
            for (stage, text) in &one.0 {
                assert!(*text == other.0[stage], "{}: {} differs from run to run", input.name, stage.name());
            }
        }
    }
}
