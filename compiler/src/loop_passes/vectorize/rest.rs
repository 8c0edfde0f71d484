//! The rest of a loop whose carried variables are in registers: the places after the last whole step, which are fewer than
//! its lanes.
//!
//! Needs the loop over the whole steps, and as many vectors of each carried variable as its lanes need, few. Leaves one
//! copy of the body for each of them, one inside the other: that of a vector, with its active lanes, behind the question whether
//! there is a place left for it. A short body has a further copy, for a vector that is filled.

use super::{Context, HELD, INTERLEAVED, Places, vector_statements};
use crate::loop_passes::build::Builder;
use crate::loops::{For, Func, Inst, Stmt, Type, Value};
use crate::ops::Prim;

impl Context<'_> {
    /// Whether the carried vectors of a loop stay in registers.
    pub(super) fn in_registers(&self, func: &Func, node: &For) -> bool {
        node.carry.len() * self.pieces + vector_statements(func, &node.body.stmts) <= HELD
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
        let width = b.index(i64::from(self.width));
        let at = b.with_const(Prim::Add, places.middle, piece as i64 * i64::from(self.width));
        let left = b.on_index(Prim::Sub, places.end, at);
        let zero = b.index(0);
        let any = b.compare(Prim::Gt, left, zero);
        // The vectors before this one are done with.
        let later: Vec<usize> = (0..held.len()).filter(|number| number % pieces >= piece).collect();
        let only_later = |all: &[Value]| later.iter().map(|&number| all[number]).collect::<Vec<Value>>();
        let apart = piece + 1 < pieces && vector_statements(b.func, &node.body.stmts) <= INTERLEAVED;
        let merged = b.choose(
            any,
            |b| {
                if !apart {
                    let held = self.last_vector(b, node, &held, (at, left), piece);
                    return only_later(&self.rest_in_registers(b, node, held, places, piece + 1));
                }
                let whole = b.compare(Prim::Ge, left, width);
                let then = b.nested(|b| {
                    let held = self.vector_at(b, node, &held, at, piece, None);
                    only_later(&self.rest_in_registers(b, node, held, places, piece + 1))
                });
                let otherwise = b.nested(|b| {
                    let held = self.last_vector(b, node, &held, (at, left), piece);
                    only_later(&held)
                });
                b.choose(
                    whole,
                    |b| {
                        b.stmts = then.0;
                        then.1
                    },
                    |b| {
                        b.stmts = otherwise.0;
                        otherwise.1
                    },
                )
            },
            |_| only_later(&held),
        );
        let mut all = held;
        for (&number, &value) in later.iter().zip(&merged) {
            all[number] = value;
        }
        all
    }

    /// The body for a vector some of whose places may be behind the end, `left` places before it.
    fn last_vector(
        &mut self,
        b: &mut Builder<'_>,
        node: &For,
        held: &[Value],
        (at, left): (Value, Value),
        piece: usize,
    ) -> Vec<Value> {
        let width = b.index(i64::from(self.width));
        let active = b.on_index(Prim::SelMin, left, width);
        self.vector_at(b, node, held, at, piece, Some(active))
    }

    /// The body for one vector, from the place `at` on; gives all vectors of the carried variables.
    fn vector_at(
        &mut self,
        b: &mut Builder<'_>,
        node: &For,
        held: &[Value],
        at: Value,
        piece: usize,
        active: Option<Value>,
    ) -> Vec<Value> {
        let pieces = self.pieces;
        let mut held = held.to_vec();
        let outside = self.values.clone();
        let old: Vec<Value> = held.iter().skip(piece).step_by(pieces).copied().collect();
        for (carry, &old) in node.carry.iter().zip(&old) {
            self.values.insert(carry.var, vec![old]);
        }
        let (var, zero) = (b.func.value(Type::INDEX), b.index(0));
        b.stmts.push(Stmt::Let(var, Inst::Prim(Prim::Add, vec![at, zero])));
        let mut body = self.lane_body_at(b, node, var, 1, active);
        self.values = outside;
        b.stmts.append(&mut body.stmts);
        let elem = b.func.values[old[0]].elem;
        let mask = active.and_then(|active| self.active_mask(b, active, elem));
        for (number, (&next, &old)) in body.yields.iter().zip(&old).enumerate() {
            held[number * pieces + piece] = match mask {
                Some(mask) => b.select(mask, next, old),
                None => next,
            };
        }
        held
    }
}
