//! Reductions that the text defines, in the loop IR: a state of several numbers, combined as the definition says.
//!
//! A [`FoldDecl`] is written for one lane: each of its [`Part`]s is straight-line code over values of one lane, which stands for
//! the same code at any number of lanes ([`Part::at`]). A [`Reduce`](super::Reduce) names the definitions that it uses
//! in its [`FoldUse`]s. The numeric pass `lanes` writes them out; after it there is no definition left.

use cranelift_entity::{SecondaryMap, entity_impl};

use super::{Block, Elem, Func, Inst, Stmt, Value};
use crate::ops::Term;

/// A reduction of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fold(u32);
entity_impl!(Fold, "f");

/// How elements and states are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldDecl {
    /// For readers.
    pub name: String,
    /// The numbers of the state: their types, and the bits of what the fold of nothing is.
    pub states: Vec<(Elem, u64)>,
    /// The state of one element, from its operands.
    pub lift: Part,
    /// A state with one element more, from both.
    pub step: Part,
    /// Two states as one: that of what comes first, then that of what comes later.
    pub merge: Part,
    /// How the state of a block is made at once, if not element by element.
    pub stages: Vec<Stage>,
}

/// One of several looks at all elements of a block. The terms are reductions in the order of [`Reduce`](super::Reduce), without
/// blocks of their own: over the lanes, which are then folded. A definition with stages is the only reduction of its loop, and has no
/// condition. What its loop stores is stored with the last stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What is made of all elements.
    pub terms: Vec<Term>,
    /// What the terms take of an element: from its operands and what the stage before has closed with.
    pub each: Part,
    /// What the next stage gets, or the state: from how many elements there are (as the first state's type), what the stage before
    /// has closed with and the terms.
    pub close: Part,
}

impl FoldDecl {
    /// The parts with their names in the text form.
    pub fn parts(&self) -> Vec<(&'static str, &Part)> {
        let mut parts = vec![("lift", &self.lift), ("step", &self.step), ("merge", &self.merge)];
        parts.extend(self.stages.iter().flat_map(|stage| [("each", &stage.each), ("close", &stage.close)]));
        parts
    }

    /// The parts, to be changed.
    pub fn parts_mut(&mut self) -> Vec<&mut Part> {
        let mut parts = vec![&mut self.lift, &mut self.step, &mut self.merge];
        parts.extend(self.stages.iter_mut().flat_map(|stage| [&mut stage.each, &mut stage.close]));
        parts
    }
}

/// Straight-line code over values of one lane, which only definitions see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What it is given.
    pub params: Vec<Value>,
    /// `Let` statements, and what the part yields.
    pub block: Block,
}

impl Part {
    /// Writes the part out for operands with so many lanes; the statements go to `out`. Gives what it yields.
    pub fn at(&self, func: &mut Func, lanes: u32, args: &[Value], out: &mut Vec<Stmt>) -> Vec<Value> {
        let mut names: SecondaryMap<Value, Option<Value>> = SecondaryMap::new();
        for (&param, &arg) in self.params.iter().zip(args) {
            names[param] = Some(arg);
        }
        for stmt in &self.block.stmts {
            let (value, mut inst) = self.definition(stmt);
            inst.operands_mut(&mut |arg| *arg = names[*arg].expect("a part uses what it defines"));
            let ty = func.values[value].with_lanes(lanes);
            let here = func.value(ty);
            names[value] = Some(here);
            out.push(Stmt::Let(here, inst));
        }
        self.block.yields.iter().map(|&value| names[value].expect("a part yields what it defines")).collect()
    }

    fn definition(&self, stmt: &Stmt) -> (Value, Inst) {
        match stmt {
            Stmt::Let(value, inst) => (*value, inst.clone()),
            stmt => unreachable!("{stmt:?} in a part of a fold: {self:?}"),
        }
    }
}

/// A fold in a reduction loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldUse {
    /// The definition.
    pub fold: Fold,
    /// The operands of an element.
    pub args: Vec<Value>,
    /// Whether the element counts (`bool`, of the same lanes); always if `None`.
    pub cond: Option<Value>,
    /// The numbers of the state at the end.
    pub results: Vec<Value>,
}
