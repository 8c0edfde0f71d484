//! Addresses. A position is a sum of values known at different depths of the nest; each part of the address is computed
//! where its values become known, and what is left inside a loop is an address mode: base + index * size + number.

use cranelift_codegen::ir::{self, InstBuilder, types};

use super::super::layout::{Number, Place, Stride, args};
use super::control::{Emitter, Key};
use crate::loops::{Access, Buffer, Elem, Value};

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

    /// Whether an address mode multiplies by it.
    fn in_address_mode(self) -> bool {
        matches!(self, Scale::Known(1 | 2 | 4 | 8))
    }
}

/// An address: a value, and a number to be added to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) base: ir::Value,
    pub(super) offset: i32,
}

impl Address {
    /// So many bytes further.
    pub(super) fn plus(self, bytes: i32) -> Address {
        Address { base: self.base, offset: self.offset + bytes }
    }
}

impl Emitter<'_> {
    /// The address of the (first) element; of a gather, that at position 0 of the axes that it gathers along.
    pub(super) fn address(&mut self, access: &Access) -> Address {
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
        let (mut base, start) = self.base(access.buffer, terms.is_empty());
        known = known.wrapping_add(start);
        // From the outermost place inwards; what an address mode can add comes last.
        terms.sort_by_key(|term| (self.term_depth(*term), term.scale.in_address_mode()));
        for end in 1..=terms.len() {
            let depth = self.term_depth(terms[end - 1]);
            if end == terms.len() || self.term_depth(terms[end]) > depth {
                base = self.add_terms(access.buffer, base, &terms, end, depth);
            }
        }
        self.with_offset(base, known)
    }

    /// A base and a number, which must fit into an instruction.
    fn with_offset(&mut self, base: ir::Value, known: i64) -> Address {
        // Vectors are accessed in up to 16 pieces behind it.
        match i32::try_from(known) {
            Ok(offset) if offset < i32::MAX - 16 => Address { base, offset },
            _ => {
                let depth = self.depth();
                Address { base: self.at(depth).ins().iadd_imm_s(base, known), offset: 0 }
            }
        }
    }

    /// Adds the terms before `end` of depth `depth`.
    fn add_terms(
        &mut self,
        buffer: Buffer,
        base: ir::Value,
        terms: &[Term],
        end: usize,
        depth: u32,
    ) -> ir::Value {
        let key = Key::Address(buffer, terms[..end].into());
        self.cached(depth, key, |emitter, depth| {
            let mut sum = base;
            for &term in &terms[..end] {
                if emitter.term_depth(term) == depth {
                    let part = emitter.term(term, depth);
                    sum = emitter.at(depth).ins().iadd(sum, part);
                }
            }
            sum
        })
    }

    /// The depth at which a term is known.
    fn term_depth(&self, term: Term) -> u32 {
        term.value.map_or(0, |value| self.depth_of(value))
    }

    /// A term, computed at its depth.
    fn term(&mut self, term: Term, depth: u32) -> ir::Value {
        let Some(value) = term.value else { return self.scale(term.scale) };
        let var = self.scopes[depth as usize].innermost.as_ref().map(|innermost| innermost.var);
        if var == Some(value) && !term.scale.in_address_mode() {
            let scale = self.scale(term.scale);
            return self
                .cached(depth, Key::Induction(term), |emitter, depth| emitter.induction(depth, scale));
        }
        let value = self.value(value);
        match term.scale {
            Scale::Known(1) => value,
            Scale::Known(bytes) if bytes > 0 && bytes.count_ones() == 1 => {
                self.at(depth).ins().ishl_imm_u(value, i64::from(bytes.trailing_zeros()))
            }
            Scale::Known(bytes) => self.at(depth).ins().imul_imm_s(value, bytes),
            Scale::Stride(..) => {
                let scale = self.scale(term.scale);
                self.at(depth).ins().imul(value, scale)
            }
        }
    }

    /// A number of bytes as a value, known from the start.
    pub(super) fn scale(&mut self, scale: Scale) -> ir::Value {
        match scale {
            Scale::Known(bytes) => self.at(0).ins().iconst(types::I64, bytes),
            Scale::Stride(stride, factor) => {
                let elements = match stride {
                    Stride::Number(number) => self.number(number),
                    Stride::Argument(index) => self.word(args::STRIDES, index),
                };
                self.cached(0, Key::Stride(stride, factor), |emitter, depth| {
                    emitter.at(depth).ins().imul_imm_s(elements, factor)
                })
            }
        }
    }

    /// Bytes from one element to the next along an axis.
    pub(super) fn axis_scale(&self, buffer: Buffer, axis: usize) -> Scale {
        Scale::new(self.layout.strides(buffer)[axis], 1, i64::from(self.func.buffers[buffer].elem.bytes()))
    }

    /// Where a buffer starts: a value and a number. `alone`: nothing else will be added but numbers.
    fn base(&mut self, buffer: Buffer, alone: bool) -> (ir::Value, i64) {
        match self.layout.place(buffer) {
            Place::Data(index) => (self.word(args::DATA, index), 0),
            Place::Shared(start) => {
                let memory = self.argument(args::SHARED);
                self.within(buffer, memory, start)
            }
            Place::Scratch(start) => self.within(buffer, self.scratch, start),
            Place::Stack(_) => {
                let slot = self.slot(buffer);
                let depth = self.depth();
                if alone {
                    // Becomes part of the address mode.
                    return (self.at(depth).ins().stack_addr(types::I64, slot, 0), 0);
                }
                let base = self.cached(0, Key::Base(buffer), |emitter, depth| {
                    emitter.at(depth).ins().stack_addr(types::I64, slot, 0)
                });
                (base, 0)
            }
        }
    }

    fn within(&mut self, buffer: Buffer, memory: ir::Value, start: Number) -> (ir::Value, i64) {
        match start {
            Number::Known(bytes) => (memory, bytes),
            Number::Size(_) => {
                let start = self.number(start);
                let base = self.cached(0, Key::Base(buffer), |emitter, depth| {
                    emitter.at(depth).ins().iadd(memory, start)
                });
                (base, 0)
            }
        }
    }
}
