//! Folds as the module `loops` defines them: lane after lane, with no state where no element has counted.

use super::{Machine, Reduce, lane};
use crate::loops::{BLOCK_STEPS, Elem, FoldDecl, FoldUse, Order, Part};
use crate::ops::Term;

/// The numbers of a state; none before the first element that counts.
type State = Option<Vec<u64>>;

/// A fold on the way: the state of each lane, and the blocks before.
pub(super) struct FoldTree<'a> {
    decl: &'a FoldDecl,
    used: &'a FoldUse,
    row: bool,
    lanes: Vec<State>,
    /// The elements of a block that is made at once, by lanes.
    held: Vec<Vec<Vec<u64>>>,
    steps: i64,
    blocks: u64,
    stack: Vec<Vec<State>>,
}

impl<'a> Machine<'a> {
    pub(super) fn fold_trees(&self, node: &'a Reduce) -> Vec<FoldTree<'a>> {
        let func = self.func;
        let tree = |used: &'a FoldUse| {
            let lanes = used.args.iter().map(|&arg| self.slot(arg).lanes).max().unwrap_or(1);
            FoldTree {
                decl: &func.folds[used.fold],
                used,
                row: node.order != Order::Column,
                lanes: vec![None; lanes],
                held: vec![Vec::new(); lanes],
                steps: 0,
                blocks: 0,
                stack: Vec::new(),
            }
        };
        node.folds.iter().map(tree).collect()
    }

    /// One step of a fold: an element for each of the first lanes.
    pub(super) fn fold_step(&mut self, tree: &mut FoldTree<'a>) {
        let active = if tree.row { self.active } else { tree.lanes.len() };
        for lane in 0..active {
            let at = |value| self.regs[self.slot(value).at + lane];
            if tree.used.cond.is_some_and(|cond| at(cond) == 0) {
                continue;
            }
            let element: Vec<u64> = tree.used.args.iter().map(|&arg| at(arg)).collect();
            if !tree.decl.stages.is_empty() {
                tree.held[lane].push(element);
                continue;
            }
            tree.lanes[lane] = Some(match tree.lanes[lane].take() {
                None => self.part(&tree.decl.lift, &element),
                Some(state) => self.part(&tree.decl.step, &[state, element].concat()),
            });
        }
        tree.steps += 1;
        if tree.steps == BLOCK_STEPS {
            self.end_fold_block(tree);
        }
    }

    fn end_fold_block(&mut self, tree: &mut FoldTree<'a>) {
        let fresh = vec![None; tree.lanes.len()];
        let mut block = std::mem::replace(&mut tree.lanes, fresh);
        if !tree.decl.stages.is_empty() {
            let count = if tree.row { 1 } else { block.len() };
            let share = block.len() / count;
            let held = std::mem::replace(&mut tree.held, vec![Vec::new(); block.len()]);
            block = held.chunks(share).map(|lanes| Some(self.staged(tree.decl, lanes))).collect();
        } else if tree.row {
            let mut half = block.len() / 2;
            while half > 0 {
                let high = block.split_off(half);
                block = self.merged(tree.decl, block, high);
                half /= 2;
            }
        }
        for _ in 0..tree.blocks.trailing_ones() {
            let top = tree.stack.pop().expect("one entry for each one bit of the count");
            block = self.merged(tree.decl, top, block);
        }
        tree.stack.push(block);
        tree.blocks += 1;
        tree.steps = 0;
    }

    /// The state of a block, of which each lane holds some elements.
    fn staged(&mut self, decl: &'a FoldDecl, lanes: &[Vec<Vec<u64>>]) -> Vec<u64> {
        let mut closed = Vec::new();
        for stage in &decl.stages {
            // By term, by lane.
            let mut terms: Vec<Vec<u64>> = Vec::new();
            let mut factors = stage.each.block.yields.iter();
            let types = stage.terms.iter().map(|term| {
                let elem = self.slot(*factors.nth(term.factors() - 1).expect("a factor for each term")).elem;
                terms.push(vec![lane::identity(term.reduction(), elem); lanes.len()]);
                elem
            });
            let types: Vec<Elem> = types.collect();
            for (lane, elements) in lanes.iter().enumerate() {
                for element in elements {
                    let given = self.part(&stage.each, &[&element[..], &closed].concat());
                    let mut given = given.into_iter();
                    let mut next = || given.next().expect("a factor for each term");
                    for ((term, &elem), states) in stage.terms.iter().zip(&types).zip(&mut terms) {
                        states[lane] = match term {
                            Term::Of(reduction) => lane::combine(*reduction, elem)(next(), states[lane]),
                            Term::Products => lane::fma(elem, next(), next(), states[lane]),
                        };
                    }
                }
            }
            let whole =
                stage.terms.iter().zip(&types).zip(&mut terms).map(|((term, &elem), states)| {
                    super::fold(lane::combine(term.reduction(), elem), states)
                });
            let whole: Vec<u64> = whole.collect();
            let count = lanes.iter().map(Vec::len).sum::<usize>();
            let count = match decl.states[0].0 {
                Elem::F64 => (count as f64).to_bits(),
                Elem::F32 => u64::from((count as f32).to_bits()),
                _ => count as u64,
            };
            closed = self.part(&stage.close, &[&[count], &closed[..], &whole].concat());
        }
        closed
    }

    /// Stores the results of a fold.
    pub(super) fn end_fold(&mut self, mut tree: FoldTree<'a>) {
        if tree.steps > 0 {
            self.end_fold_block(&mut tree);
        }
        let mut whole = tree.stack.pop();
        while let Some(early) = tree.stack.pop() {
            whole = whole.map(|late| self.merged(tree.decl, early, late));
        }
        let lanes = if tree.row { 1 } else { tree.lanes.len() };
        let whole = whole.unwrap_or_else(|| vec![None; lanes]);
        for (lane, state) in whole.into_iter().enumerate() {
            for (number, result) in tree.used.results.iter().enumerate() {
                let at = self.slot(*result).at + lane;
                self.regs[at] = state.as_ref().map_or(tree.decl.states[number].1, |state| state[number]);
            }
        }
    }

    /// The states of lower lanes or earlier blocks with those of higher or later ones, lane by lane.
    fn merged(&mut self, decl: &'a FoldDecl, early: Vec<State>, late: Vec<State>) -> Vec<State> {
        let pairs = early.into_iter().zip(late);
        let merged = pairs.map(|pair| match pair {
            (Some(a), Some(b)) => Some(self.part(&decl.merge, &[a, b].concat())),
            (state, None) | (None, state) => state,
        });
        merged.collect()
    }

    fn part(&mut self, part: &'a Part, args: &[u64]) -> Vec<u64> {
        for (param, &bits) in part.params.iter().zip(args) {
            self.fill(*param, bits);
        }
        self.body(&part.block.stmts);
        part.block.yields.iter().map(|value| self.scalar(*value)).collect()
    }
}
