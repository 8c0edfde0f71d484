//! Folds in the order of their tree: every state is the interval of what the parts of the definition may give, so that the
//! intervals hold what is computed in that order, and what the formula gives.

use act::graph::{Fold, Form, Graph, NodeId, Op};
use act::loops::BLOCK_STEPS;
use act::types::{DimId, DimSet};

use super::{Range, Run, TRUE, converted, prim};

/// The numbers of a state; none where no element has counted. Whether one has is certain, or both are possible.
#[derive(Clone)]
struct State {
    numbers: Vec<Range>,
    certain: bool,
}

/// A fold on the way, for one result.
struct Tree<'a> {
    run: &'a Run<'a>,
    fold: &'a Fold,
    lanes: Vec<Option<State>>,
    steps: i64,
    blocks: u64,
    stack: Vec<Option<State>>,
}

impl Tree<'_> {
    fn element(&mut self, lane: usize, args: &[Range], counts: Range) {
        let (may, must) = (counts.has(1.0), counts == TRUE);
        if !may {
            return;
        }
        let lifted = self.run.part(&self.fold.lift, args);
        let before = self.lanes[lane].take();
        let Some(before) = before else {
            self.lanes[lane] = Some(State { numbers: lifted, certain: must });
            return;
        };
        let stepped = self.run.part(&self.fold.step, &[&before.numbers, args].concat());
        let mut numbers = if before.certain { stepped } else { either(&stepped, &lifted) };
        if !must {
            numbers = either(&numbers, &before.numbers);
        }
        self.lanes[lane] = Some(State { numbers, certain: before.certain || must });
    }

    fn merged(&self, early: Option<State>, late: Option<State>) -> Option<State> {
        let (early, late) = match (early, late) {
            (Some(early), Some(late)) => (early, late),
            (state, None) | (None, state) => return state,
        };
        let mut numbers = self.run.part(&self.fold.merge, &[&early.numbers[..], &late.numbers].concat());
        if !late.certain {
            numbers = either(&numbers, &early.numbers);
        }
        if !early.certain {
            numbers = either(&numbers, &late.numbers);
        }
        Some(State { numbers, certain: early.certain || late.certain })
    }

    /// A step is done.
    fn step(&mut self) {
        self.steps += 1;
        if self.steps == BLOCK_STEPS {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        let mut lanes: Vec<Option<State>> = self.lanes.iter_mut().map(Option::take).collect();
        while lanes.len() > 1 {
            let high = lanes.split_off(lanes.len() / 2);
            lanes = lanes.into_iter().zip(high).map(|(low, high)| self.merged(low, high)).collect();
        }
        let mut block = lanes.pop().expect("a tree has a lane");
        for _ in 0..self.blocks.trailing_ones() {
            let top = self.stack.pop().expect("one entry for each one bit of the count");
            block = self.merged(top, block);
        }
        self.stack.push(block);
        self.blocks += 1;
        self.steps = 0;
    }

    fn finish(mut self, number: usize) -> Range {
        if self.steps > 0 {
            self.end_block();
        }
        let mut whole = self.stack.pop().flatten();
        while let Some(early) = self.stack.pop() {
            whole = self.merged(early, whole);
        }
        let empty = Range::of(self.fold.empty[number].value());
        match whole {
            None => empty,
            Some(State { numbers, certain: true }) => numbers[number],
            Some(State { numbers, .. }) => numbers[number].or(empty),
        }
    }
}

fn either(a: &[Range], b: &[Range]) -> Vec<Range> {
    a.iter().zip(b).map(|(a, b)| a.or(*b)).collect()
}

impl Run<'_> {
    /// One number of the state of a fold.
    pub(super) fn fold(
        &self,
        fold: &Fold,
        number: usize,
        args: &[NodeId],
        dims: DimSet,
        id: NodeId,
    ) -> Vec<Range> {
        let all: Vec<DimId> = self.graph.operand_dims(args).iter().collect();
        let kept: Vec<DimId> = self.graph.nodes[id].dims.iter().collect();
        let reduced: Vec<DimId> = all.iter().copied().filter(|dim| dims.contains(*dim)).collect();
        let row = self.graph.form(args, dims) == Form::Row;
        let run = if row { all.iter().rev().take_while(|dim| dims.contains(**dim)).count() } else { 0 };
        let length: usize = reduced[reduced.len() - run..].iter().map(|&dim| self.size(dim)).product();
        let lanes = match (row, fold.is_wide()) {
            (false, _) => 1,
            (true, true) => 16,
            (true, false) => 32,
        };
        // Places of the results outside, those of one result inside.
        let order: Vec<DimId> = kept.iter().chain(&reduced).copied().collect();
        let from: Vec<Vec<usize>> =
            args.iter().map(|&arg| self.offsets(self.graph.nodes[arg].dims, &order)).collect();
        let places: usize = reduced.iter().map(|&dim| self.size(dim)).product();
        let count: usize = kept.iter().map(|&dim| self.size(dim)).product();
        let operands = fold.operands().len();
        let one = |result: usize| {
            let (run, stack) = (self, Vec::new());
            let mut tree = Tree { run, fold, lanes: vec![None; lanes], steps: 0, blocks: 0, stack };
            for place in 0..places {
                let at = result * places + place;
                let values: Vec<Range> =
                    args.iter().zip(&from).map(|(&arg, from)| self.of(arg)[from[at]]).collect();
                let (element, cond) = values.split_at(operands);
                let position = if row { place % length } else { 0 };
                tree.element(position % lanes, element, cond.first().copied().unwrap_or(TRUE));
                if !row || position % lanes == lanes - 1 || position + 1 == length {
                    tree.step();
                }
            }
            tree.finish(number)
        };
        (0..count).map(one).collect()
    }

    /// The results of a part of a definition.
    fn part(&self, part: &Graph, args: &[Range]) -> Vec<Range> {
        let mut values: Vec<Range> = Vec::with_capacity(part.nodes.len());
        let value = |values: &[Range], id: NodeId| values[id.as_u32() as usize];
        for node in part.nodes.values() {
            values.push(match &node.op {
                Op::Param(param) => args[*param as usize],
                Op::Const(constant) => self.constant(*constant),
                Op::Prim(function, operands) => {
                    let same = operands.len() >= 2 && operands[0] == operands[1];
                    let operands: Vec<Range> = operands.iter().map(|&id| value(&values, id)).collect();
                    prim(*function, &operands, same, node.dtype)
                }
                Op::Convert(operand) => converted(value(&values, *operand), node.dtype),
                op => unreachable!("{op:?} in a part of a fold"),
            });
        }
        part.results.iter().map(|&(_, id)| value(&values, id)).collect()
    }
}
