//! Addresses. A position is a sum of values known at different depths of the nest; each part of the address is computed
//! where its values become known, and what is left inside a loop is an address mode: base + index * scale + number.

use iced_x86::Code;

use super::super::layout::{Number, Place, Stride, args};
use super::control::{Emitter, Key};
use super::vcode::{Base, Mem, Operand, Reg, Size};
use crate::loops::{Access, Buffer, Elem, Value};

/// Vectors are accessed in pieces up to so many bytes behind an address.
const PIECES: i64 = 64;

/// A value times bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    /// The value; none: the bytes alone.
    value: Option<Value>,
    /// The bytes.
    scale: Scale,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scale {
    /// A number.
    Known(i64),
    /// A stride times a number.
    Stride(Stride, i64),
}

impl Scale {
    /// Bytes of `count` elements.
    fn new(stride: Stride, count: i64, bytes: i64) -> Scale {
        match stride {
            Stride::Number(Number::Known(elements)) => {
                Scale::Known(elements.wrapping_mul(count).wrapping_mul(bytes))
            }
            Stride::Number(Number::Size(_)) | Stride::Argument(_) => {
                Scale::Stride(stride, count.wrapping_mul(bytes))
            }
        }
    }

    /// The factor by which an address mode multiplies.
    fn in_address_mode(self) -> Option<u32> {
        match self {
            Scale::Known(bytes @ (1 | 2 | 4 | 8)) => Some(bytes as u32),
            Scale::Known(_) | Scale::Stride(..) => None,
        }
    }
}

impl Emitter<'_> {
    /// The address of the (first) element; of a gather, that at position 0 of the axes that it gathers along.
    pub(super) fn address(&mut self, access: &Access) -> Mem {
        let bytes = i64::from(self.func.buffers[access.buffer].elem.bytes());
        let (mut terms, mut known) = (Vec::new(), 0i64);
        for (axis, &position) in access.index.iter().enumerate() {
            // What is gathered along is added lane by lane.
            if self.func.values[position].elem == Elem::I32 {
                continue;
            }
            let stride = self.layout.strides(access.buffer)[axis];
            let mut constant = 0i64;
            let mut parts = Vec::new();
            self.facts.take_apart(position, 1, &mut parts, &mut constant);
            terms.extend(
                parts.into_iter().map(|(value, count)| Term {
                    value: Some(value),
                    scale: Scale::new(stride, count, bytes),
                }),
            );
            match Scale::new(stride, constant, bytes) {
                Scale::Known(more) => known = known.wrapping_add(more),
                Scale::Stride(_, 0) => {}
                scale @ Scale::Stride(..) => terms.push(Term { value: None, scale }),
            }
        }
        let (mut base, start) = self.base(access.buffer);
        known = known.wrapping_add(start);
        // From the outermost place inwards; what an address mode can multiply comes last.
        terms.sort_by_key(|term| (self.term_depth(*term), term.scale.in_address_mode().is_some()));
        let index = terms.last().and_then(|&term| Some((term.value?, term.scale.in_address_mode()?)));
        let summed = terms.len() - usize::from(index.is_some());
        for end in 1..=summed {
            let depth = self.term_depth(terms[end - 1]);
            if end == summed || self.term_depth(terms[end]) > depth {
                base = Base::Reg(self.add_terms(access.buffer, base, &terms[..end], depth));
            }
        }
        let index = index.map(|(value, scale)| (self.reg(value), scale));
        match i32::try_from(known) {
            Ok(disp) if i64::from(disp) < i64::from(i32::MAX) - PIECES - i64::from(self.code.slots) => {
                Mem { base, index, disp }
            }
            _ => {
                let base = self.base_register(base);
                let far = self.integer(known);
                let sum = self.lea(Mem { base: Base::Reg(base), index: Some((far, 1)), disp: 0 });
                Mem { base: Base::Reg(sum), index, disp: 0 }
            }
        }
    }

    /// The address as one number.
    pub(super) fn address_register(&mut self, mem: Mem) -> Reg {
        match mem {
            Mem { base: Base::Reg(base), index: None, disp: 0 } => base,
            _ => self.lea(mem),
        }
    }

    /// The address of a place.
    pub(super) fn lea(&mut self, mem: Mem) -> Reg {
        let to = self.general();
        self.op(Code::Lea_r64_m, &[Operand::Def(to, Size::Q), Operand::Mem(mem)]);
        to
    }

    fn base_register(&mut self, base: Base) -> Reg {
        match base {
            Base::Reg(reg) => reg,
            Base::Slot(_) | Base::Pool(_) => self.lea(Mem::at(base)),
        }
    }

    /// Adds those of the terms that are of depth `depth`; the base has the others.
    fn add_terms(&mut self, buffer: Buffer, base: Base, terms: &[Term], depth: u32) -> Reg {
        self.cached(depth, Key::Address(buffer, terms.into()), |emitter| {
            let mut sum = base;
            for &term in terms {
                if emitter.term_depth(term) != depth {
                    continue;
                }
                let (part, scale) = match (term.value, term.scale.in_address_mode()) {
                    (Some(value), Some(scale)) => (emitter.reg(value), scale),
                    _ => (emitter.term(term, depth), 1),
                };
                sum = Base::Reg(emitter.lea(Mem { base: sum, index: Some((part, scale)), disp: 0 }));
            }
            emitter.base_register(sum)
        })
    }

    /// The depth at which a term is known.
    fn term_depth(&self, term: Term) -> u32 {
        term.value.map_or(0, |value| self.depth_of(value))
    }

    /// A term, computed at its depth.
    fn term(&mut self, term: Term, depth: u32) -> Reg {
        let Some(value) = term.value else { return self.scale(term.scale) };
        if self.is_innermost_variable(value, depth) && term.scale.in_address_mode().is_none() {
            let scale = self.scale(term.scale);
            return self.cached(depth, Key::Induction(term), |emitter| emitter.induction(depth, scale));
        }
        let value = self.reg(value);
        match term.scale {
            Scale::Known(1) => value,
            Scale::Known(bytes) => self.times(value, bytes),
            Scale::Stride(..) => {
                let scale = self.scale(term.scale);
                self.product(value, scale)
            }
        }
    }

    /// A number of bytes as a value, known from the start.
    pub(super) fn scale(&mut self, scale: Scale) -> Reg {
        match scale {
            Scale::Known(bytes) => self.cached(0, Key::Number(bytes), |emitter| emitter.integer(bytes)),
            Scale::Stride(stride, factor) => {
                let elements = match stride {
                    Stride::Number(number) => self.number(number),
                    Stride::Argument(index) => self.word(args::STRIDES, index),
                };
                self.cached(0, Key::Stride(stride, factor), |emitter| emitter.times(elements, factor))
            }
        }
    }

    /// Bytes from one element to the next along an axis.
    pub(super) fn axis_scale(&self, buffer: Buffer, axis: usize) -> Scale {
        Scale::new(self.layout.strides(buffer)[axis], 1, i64::from(self.func.buffers[buffer].elem.bytes()))
    }

    /// Where a buffer starts: a base and a number.
    fn base(&mut self, buffer: Buffer) -> (Base, i64) {
        match self.layout.place(buffer) {
            Place::Data(index) => (Base::Reg(self.word(args::DATA, index)), 0),
            Place::Shared(start) => {
                let memory = self.argument(args::SHARED);
                self.within(buffer, memory, start)
            }
            Place::Scratch(start) => self.within(buffer, self.scratch, start),
            Place::Stack(_) => (Base::Slot(self.slot(buffer)), 0),
        }
    }

    fn within(&mut self, buffer: Buffer, memory: Reg, start: Number) -> (Base, i64) {
        match start {
            Number::Known(bytes) => (Base::Reg(memory), bytes),
            Number::Size(_) => {
                let start = self.number(start);
                let base = self.cached(0, Key::Base(buffer), |emitter| {
                    emitter.lea(Mem { base: Base::Reg(memory), index: Some((start, 1)), disp: 0 })
                });
                (Base::Reg(base), 0)
            }
        }
    }
}
