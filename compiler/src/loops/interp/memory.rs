//! The interpreter's memory: arrays in which every element knows who wrote it. Reads of what nobody has written,
//! of what another range of the same phase has written, and accesses outside an array panic.

use super::lane::{self, Lane, same_bits};
use crate::loops::{BufferDecl, BufferKind, Elem, Func};

/// A dense array of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// What it holds.
    pub elem: Elem,
    /// The bits of its elements as memory has them, in order, each in a word of its own (zero-extended; bool: 0 or 1).
    pub bits: Vec<u64>,
}

macro_rules! array_from {
    ($($type:ident $elem:ident $values:ident)*) => {
        $(impl From<&[$type]> for Array {
            fn from(values: &[$type]) -> Array {
                Array { elem: Elem::$elem, bits: values.iter().map(|value| value.bits()).collect() }
            }
        }

        impl From<Vec<$type>> for Array {
            fn from(values: Vec<$type>) -> Array {
                Array::from(values.as_slice())
            }
        })*

        impl Array {
            $(#[doc = concat!("Its elements, which must be `", stringify!($type), "`.")]
            pub fn $values(&self) -> Vec<$type> {
                assert_eq!(self.elem, Elem::$elem, "the array holds {}", self.elem.name());
                self.bits.iter().map(|bits| $type::of(*bits)).collect()
            })*
        }
    };
}

array_from! { f32 F32 f32s  f64 F64 f64s  i32 I32 i32s  bool Bool bools }

impl Array {
    /// Reads elements as they lie in memory (little endian).
    pub fn from_bytes(elem: Elem, bytes: &[u8]) -> Array {
        let bits = bytes.chunks_exact(elem.bytes() as usize).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let bits = u64::from_le_bytes(word);
            if elem == Elem::Bool { u64::from(bits != 0) } else { bits }
        });
        Array { elem, bits: bits.collect() }
    }

    /// Its elements as they lie in memory (little endian).
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = self.elem.bytes() as usize;
        self.bits.iter().flat_map(|bits| bits.to_le_bytes().into_iter().take(width)).collect()
    }

    /// The first place at which the two differ, in bits (a NaN equals a NaN); also where one ends before the other
    /// or holds another type.
    pub fn first_difference(&self, other: &Array) -> Option<usize> {
        if self.elem != other.elem {
            return Some(0);
        }
        let mut pairs = self.bits.iter().zip(&other.bits);
        let differing = pairs.position(|(a, b)| !same_bits(self.elem, *a, *b));
        let shorter = self.bits.len().min(other.bits.len());
        differing.or((self.bits.len() != other.bits.len()).then_some(shorter))
    }

    /// Whether the two hold the same bits (a NaN equals a NaN).
    pub fn same_bits(&self, other: &Array) -> bool {
        self.first_difference(other).is_none()
    }
}

/// Stamp of an element that nobody has written.
const NOBODY: u32 = 0;
/// Stamp of an element that the caller has written.
const CALLER: u32 = 1;
/// The first stamp of a range of units.
pub(super) const FIRST_RANGE: u32 = 2;

/// The memory behind one or several buffers.
pub(super) struct Memory {
    pub(super) elem: Elem,
    bits: Vec<u64>,
    /// Who wrote each element.
    stamps: Vec<u32>,
}

impl Memory {
    pub(super) fn of_caller(array: Array) -> Memory {
        let stamps = vec![CALLER; array.bits.len()];
        Memory { elem: array.elem, bits: array.bits, stamps }
    }

    pub(super) fn new(elem: Elem, len: usize) -> Memory {
        Memory { elem, bits: vec![0; len], stamps: vec![NOBODY; len] }
    }

    pub(super) fn len(&self) -> usize {
        self.bits.len()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.stamps.fill(NOBODY);
    }

    /// The array, all of which some range must have written.
    pub(super) fn into_result(self, name: &str) -> Array {
        if let Some(element) = self.stamps.iter().position(|stamp| *stamp < FIRST_RANGE) {
            panic!("element {element} of the result {name} has not been written");
        }
        Array { elem: self.elem, bits: self.bits }
    }
}

/// What runs now: reads and writes are judged by it.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// Stamp of the range.
    pub(super) range: u32,
    /// Stamp of the first range of the phase.
    pub(super) phase: u32,
}

/// A buffer of the function: some memory in a shape.
pub(super) struct View {
    pub(super) name: String,
    pub(super) kind: BufferKind,
    /// Which memory.
    pub(super) memory: usize,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

/// Elements of a memory at equal distances.
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) stride: usize,
    pub(super) count: usize,
}

impl View {
    /// The view of a declared buffer, and its number of elements.
    pub(super) fn new(func: &Func, decl: &BufferDecl, sizes: &[i64], memory: usize) -> (View, usize) {
        let size = |axis| super::size_of(func, axis, sizes);
        let shape: Vec<i64> = decl.axes.iter().map(size).collect();
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let len = shape.iter().product::<i64>();
        let name = if decl.name.is_empty() { "(unnamed)".to_owned() } else { decl.name.clone() };
        (View { name, kind: decl.kind.clone(), memory, shape, strides }, len as usize)
    }

    /// Whether an axis has a position.
    pub(super) fn has(&self, axis: usize, position: i64) -> bool {
        (0..self.shape[axis]).contains(&position)
    }

    /// The elements at a position and, along `lane_axis`, after it.
    pub(super) fn span(&self, index: &[i64], lane_axis: Option<u32>, count: usize) -> Span {
        let mut first = 0;
        let lane_axis = lane_axis.map(|axis| axis as usize);
        for (axis, place) in index.iter().enumerate() {
            let extent = if lane_axis == Some(axis) { count as i64 } else { 1 };
            let inside = *place >= 0 && place.checked_add(extent).is_some_and(|end| end <= self.shape[axis]);
            assert!(inside, "access outside {}: {extent} from {index:?} of {:?}", self.name, self.shape);
            first += place * self.strides[axis];
        }
        let stride = lane_axis.map_or(1, |axis| self.strides[axis]);
        Span { first: first as usize, stride: stride as usize, count }
    }

    pub(super) fn read(&self, memory: &Memory, now: Now, span: &Span, out: &mut [u64]) {
        for (lane, out) in out.iter_mut().enumerate().take(span.count) {
            let element = span.first + lane * span.stride;
            self.check_read(memory.stamps[element], now, element);
            *out = lane::loaded(memory.elem, memory.bits[element]);
        }
    }

    fn check_read(&self, stamp: u32, now: Now, element: usize) {
        let name = &self.name;
        if let BufferKind::Param(_) = self.kind {
            assert!(stamp == CALLER, "element {element} of {name} is read after the result took its place");
            return;
        }
        assert!(stamp >= FIRST_RANGE, "element {element} of {name} is read and has not been written");
        let ours = stamp < now.phase || stamp == now.range;
        assert!(ours, "element {element} of {name} is read, and another range of this phase has written it");
    }

    pub(super) fn write(&self, memory: &mut Memory, now: Now, span: &Span, values: &[u64]) {
        for (lane, value) in values.iter().enumerate().take(span.count) {
            let element = span.first + lane * span.stride;
            let stamp = memory.stamps[element];
            let ours = stamp < now.phase || stamp == now.range;
            assert!(ours, "element {element} of {} is written by two ranges of one phase", self.name);
            memory.stamps[element] = now.range;
            memory.bits[element] = lane::stored(memory.elem, *value);
        }
    }
}
