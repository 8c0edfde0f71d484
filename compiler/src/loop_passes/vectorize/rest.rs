//! The rest of a loop whose carried variables are in registers: the places after the last whole step, which are fewer than
//! its lanes.
//!
//! Needs the loop over the whole steps, and as many vectors of each carried variable as its lanes need, few. Leaves one
//! copy of the body for each of them, one inside the other: that of a vector, with its active lanes, behind the question whether
//! there is a place left for it.

use super::{Context, GROUP, HELD, LONG, Places, vector_statements};
use crate::loop_passes::build::Builder;
use crate::loops::{For, Func, Inst, Stmt, Type, Value};
use crate::ops::Prim;

impl Context<'_> {
    /// Whether the carried vectors of a loop stay in registers.
    pub(super) fn in_registers(&self, func: &Func, node: &For) -> bool {
        let states = node.carry.len() * self.pieces;
        let body = vector_statements(func, &node.body.stmts);
        let straight = node.body.stmts.iter().all(|stmt| stmt.bodies().is_empty());
        states + body <= HELD || states <= GROUP && body < LONG && straight
    }

    /// The places from the last whole step on, for the vectors from `piece` on; gives all vectors of the carried variables.
    pub(super) fn rest_in_registers(
        &mut self,
        b: &mut Builder<'_>,
        node: &For,
        held: Vec<Value>,
        places: Places,
        piece: usize,
    ) -> Vec<Value> {
        let pieces = self.pieces;
        if piece == pieces {
            return held;
        }
        let width = i64::from(self.width);
        let at = b.with_const(Prim::Add, places.middle, piece as i64 * width);
        let left = b.on_index(Prim::Sub, places.end, at);
        let zero = b.index(0);
        let any = b.compare(Prim::Gt, left, zero);
        // The vectors before this one are done with.
        let later: Vec<usize> = (0..held.len()).filter(|number| number % pieces >= piece).collect();
        let before: Vec<Value> = later.iter().map(|&number| held[number]).collect();
        let merged = b.choose(
            any,
            |b| {
                let mut held = held.clone();
                let width = b.index(width);
                let active = b.on_index(Prim::SelMin, left, width);
                let outside = self.values.clone();
                let old: Vec<Value> = held.iter().skip(piece).step_by(pieces).copied().collect();
                for (carry, &old) in node.carry.iter().zip(&old) {
                    self.values.insert(carry.var, vec![old]);
                }
                let var = b.func.value(Type::INDEX);
                b.stmts.push(Stmt::Let(var, Inst::Prim(Prim::Add, vec![at, zero])));
                let mut body = self.lane_body_at(b, node, var, 1, Some(active));
                self.values = outside;
                b.stmts.append(&mut body.stmts);
                let mask = self.active_mask(b, active, b.func.values[old[0]].elem);
                for (number, (&next, &old)) in body.yields.iter().zip(&old).enumerate() {
                    held[number * pieces + piece] = match mask {
                        Some(mask) => b.select(mask, next, old),
                        None => next,
                    };
                }
                let all = self.rest_in_registers(b, node, held, places, piece + 1);
                later.iter().map(|&number| all[number]).collect()
            },
            |_| before.clone(),
        );
        let mut all = held;
        for (&number, &value) in later.iter().zip(&merged) {
            all[number] = value;
        }
        all
    }
}
