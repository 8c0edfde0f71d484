//! Lays out arrays as compiled code wants them: a pointer, and one stride per group of dimensions, the last one 1.
//! Where the caller's strides don't fit, a dense copy takes the array's place; a result is copied back afterwards.
//! Needs bound sizes and views without faults. No memory outside the positions of a view is touched.

use crate::abi::DType;
use crate::error::Error;
use crate::memory::Buffer;
use crate::plan::{Plan, TensorPlan};
use crate::tensor::{LEN_LIMIT, MAX_AXES, Raw};
use smallvec::SmallVec;

/// Strides of all groups of all tensors of a call.
pub(crate) type Strides = SmallVec<[i64; 64]>;

/// Appends the strides of the groups for an array that is dense.
#[inline]
pub(crate) fn dense_strides(tensor: &TensorPlan, sizes: &[i64], strides: &mut Strides) {
    let first = strides.len();
    strides.resize(first + tensor.groups.len(), 1);
    let mut inner = 1i64;
    for (group, stride) in tensor.groups.iter().zip(&mut strides[first..]).rev() {
        *stride = inner;
        for &dim in &tensor.dims[group.start as usize..group.end as usize] {
            // Wraps only where another axis is empty, and then no stride is used.
            inner = inner.wrapping_mul(sizes[dim as usize]);
        }
    }
}

/// Appends the strides of the groups for an array with strides of its own; false, and nothing appended, if it does
/// not have the form that compiled code takes.
pub(crate) fn own_strides(
    plan: &Plan,
    tensor: &TensorPlan,
    sizes: &[i64],
    raw: &Raw,
    strides: &mut Strides,
) -> bool {
    let leading_axes = raw.shape().len() + 1 - plan.slots[tensor.slot as usize].axes.len();
    let parts = parts(plan, tensor, sizes, raw, leading_axes);
    let mut parts = &parts[..];
    let first = strides.len();
    for (index, group) in tensor.groups.iter().enumerate() {
        let dims = &tensor.dims[group.start as usize..group.end as usize];
        let count = dims.iter().map(|&dim| if Some(dim) == plan.leading { leading_axes } else { 1 }).sum();
        let (own, rest) = parts.split_at(count);
        parts = rest;
        let last = index + 1 == tensor.groups.len();
        match collapse(own) {
            Collapsed::To(stride) if !last || stride == 1 => strides.push(stride),
            Collapsed::Single => strides.push(1),
            Collapsed::To(_) | Collapsed::Not => {
                strides.truncate(first);
                return false;
            }
        }
    }
    true
}

/// A stretch of positions with one stride: a dimension of an axis, or one of the caller's leading axes.
struct Part {
    size: i64,
    stride: i64,
}

/// The array's axes, split into dimensions, of which `..` has as many parts as the caller has leading axes.
fn parts(
    plan: &Plan,
    tensor: &TensorPlan,
    sizes: &[i64],
    raw: &Raw,
    leading_axes: usize,
) -> SmallVec<[Part; 16]> {
    let slot = &plan.slots[tensor.slot as usize];
    let mut parts = SmallVec::new();
    let mut caller = 0;
    for (axis, dims) in plan.axes_of(slot).enumerate() {
        if slot.leading == Some(axis as u32) {
            for _ in 0..leading_axes {
                parts.push(Part { size: raw.shape()[caller], stride: raw.stride(caller) });
                caller += 1;
            }
            continue;
        }
        let first = parts.len();
        let mut stride = raw.stride(caller);
        for &dim in dims.iter().rev() {
            let size = sizes[dim as usize];
            parts.insert(first, Part { size, stride });
            stride = stride.wrapping_mul(size);
        }
        caller += 1;
    }
    parts
}

/// What becomes of parts that are to be one axis.
enum Collapsed {
    /// One axis with this stride.
    To(i64),
    /// One position, so that any stride will do.
    Single,
    /// They can't be one axis.
    Not,
}

fn collapse(parts: &[Part]) -> Collapsed {
    let mut inner: Option<(i64, i64)> = None;
    for part in parts.iter().rev().filter(|part| part.size != 1) {
        inner = match inner {
            None => Some((part.stride, part.stride.wrapping_mul(part.size))),
            Some((stride, next)) if part.stride == next => Some((stride, next.wrapping_mul(part.size))),
            Some(_) => return Collapsed::Not,
        };
    }
    inner.map_or(Collapsed::Single, |(stride, _)| Collapsed::To(stride))
}

/// A dense copy of an array.
pub(crate) fn dense_copy(raw: &Raw) -> Result<Buffer, Error> {
    let copy = room_for(raw)?;
    // SAFETY: the buffer has room for all elements, and is fresh, so it overlaps nothing. The view is readable.
    unsafe { walk(raw, copy.as_ptr(), Direction::FromView) };
    Ok(copy)
}

/// Room for a dense copy of an array, zero.
pub(crate) fn room_for(raw: &Raw) -> Result<Buffer, Error> {
    Buffer::zeroed(usize::try_from(raw.bytes).unwrap_or(usize::MAX))
}

/// Copies a dense copy back to the array.
///
/// # Safety
/// `copy` was made by [`room_for`] or [`dense_copy`] of this view, and the view may be written.
pub(crate) unsafe fn copy_back(raw: &Raw, copy: &Buffer) {
    // SAFETY: the buffer has all elements and is not part of the view's memory; the caller promises the rest.
    unsafe { walk(raw, copy.as_ptr(), Direction::ToView) };
}

/// An array in which one number stands everywhere.
pub(crate) fn filled(tensor: &TensorPlan, sizes: &[i64], dtype: DType, bits: u64) -> Result<Buffer, Error> {
    let bytes = dtype.bytes();
    let count = tensor.dims.iter().map(|&dim| sizes[dim as usize]);
    let count = if count.clone().any(|size| size == 0) {
        0
    } else {
        count.fold(1u64, |product, size| product.saturating_mul(size as u64))
    };
    if count >= LEN_LIMIT {
        return Err(Error::TooLarge { what: "an array that is left out".to_owned() });
    }
    let buffer = Buffer::zeroed(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(bytes))?;
    let element = &bits.to_le_bytes()[..bytes];
    if element.iter().any(|&byte| byte != 0) {
        for index in 0..count as usize {
            // SAFETY: the buffer has `count` elements of `bytes` bytes.
            unsafe { buffer.as_ptr().add(index * bytes).copy_from_nonoverlapping(element.as_ptr(), bytes) };
        }
    }
    Ok(buffer)
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    FromView,
    ToView,
}

/// Copies between a view and a dense row-major array of the same shape.
///
/// # Safety
/// `dense` has as many elements as the view, of its dtype, aligned, and does not overlap it. What is read is
/// readable, what is written is writable.
unsafe fn walk(view: &Raw, dense: *mut u8, direction: Direction) {
    // SAFETY: passed on; the integer has the size of the element. Elements are copied as plain bits.
    unsafe {
        match view.dtype.bytes() {
            1 => walk_of::<u8>(view, dense.cast(), direction),
            2 => walk_of::<u16>(view, dense.cast(), direction),
            4 => walk_of::<u32>(view, dense.cast(), direction),
            _ => walk_of::<u64>(view, dense.cast(), direction),
        }
    }
}

/// As [`walk`], for elements of one size.
///
/// # Safety
/// As for [`walk`].
unsafe fn walk_of<T: Copy>(view: &Raw, dense: *mut T, direction: Direction) {
    if view.bytes == 0 {
        return;
    }
    let shape = view.shape();
    let mut strides = [0isize; MAX_AXES];
    for (axis, stride) in strides.iter_mut().enumerate().take(shape.len()) {
        *stride = view.stride(axis) as isize;
    }
    let (outer, row, step) = match shape.split_last() {
        Some((&row, outer)) => (outer, row as usize, strides[outer.len()]),
        None => (shape, 1, 1),
    };
    let mut position = [0i64; MAX_AXES];
    let (mut start, mut dense) = (view.ptr.cast::<T>(), dense);
    loop {
        // SAFETY: `start` is position [.., 0] of the view; the row's positions and the next `row` dense elements
        // exist by the contract.
        unsafe { copy_row(start, step, dense, row, direction) };
        dense = dense.wrapping_add(row);
        // The next row, as an odometer counts.
        let mut axis = outer.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            position[axis] += 1;
            start = start.wrapping_offset(strides[axis]);
            if position[axis] < outer[axis] {
                break;
            }
            start = start.wrapping_offset(strides[axis].wrapping_mul(-(outer[axis] as isize)));
            position[axis] = 0;
        }
    }
}

/// Copies one row.
///
/// # Safety
/// `view` has `row` positions `step` apart and `dense` has `row` elements; they do not overlap.
unsafe fn copy_row<T: Copy>(view: *mut T, step: isize, dense: *mut T, row: usize, direction: Direction) {
    for index in 0..row {
        let at = view.wrapping_offset(step.wrapping_mul(index as isize));
        // SAFETY: both are elements by the contract; views are aligned to their elements, buffers to 64.
        unsafe {
            match direction {
                Direction::FromView => *dense.add(index) = *at,
                Direction::ToView => *at = *dense.add(index),
            }
        }
    }
}
