//! Memory that kernels use while they run: aligned buffers, and a few spare ones per thread so that calls do not
//! allocate. Leaves at most [`SPARE_COUNT`] buffers of [`SPARE_BYTES`] bytes each with a thread.

use crate::error::Error;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// The alignment that compiled code may count on.
const ALIGN: usize = 64;
/// How many buffers a thread keeps for later calls.
const SPARE_COUNT: usize = 4;
/// The largest buffer that a thread keeps.
const SPARE_BYTES: usize = 4 << 20;
/// The smallest buffer that is allocated for scratch; small sizes then share one.
const LEAST_BYTES: usize = 4096;

/// Bytes aligned to [`ALIGN`], zero at first.
pub(crate) struct Buffer {
    ptr: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a Buffer owns its memory, as a Box would.
unsafe impl Send for Buffer {}

impl Buffer {
    /// No bytes; the pointer is aligned all the same.
    pub(crate) const fn empty() -> Buffer {
        #[repr(align(64))]
        struct Aligned;
        Buffer { ptr: NonNull::<Aligned>::dangling().cast(), bytes: 0 }
    }

    /// A new buffer, or [`Error::Memory`].
    pub(crate) fn zeroed(bytes: usize) -> Result<Buffer, Error> {
        if bytes == 0 {
            return Ok(Buffer::empty());
        }
        let refused = Error::Memory { bytes };
        let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else { return Err(refused) };
        // SAFETY: the layout has at least one byte.
        let ptr = unsafe { alloc_zeroed(layout) };
        NonNull::new(ptr).map(|ptr| Buffer { ptr, bytes }).ok_or(refused)
    }

    /// Its first byte.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes != 0 {
            // SAFETY: allocated in `zeroed` with this very layout, which was valid there.
            unsafe { dealloc(self.ptr.as_ptr(), Layout::from_size_align_unchecked(self.bytes, ALIGN)) }
        }
    }
}

thread_local! {
    static SPARE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// A buffer lent by the thread's spare ones; its contents are whatever the last user left. It goes back when
/// dropped. Loans may nest: the second one gets another buffer.
pub(crate) struct Loan(Buffer);

impl Loan {
    /// At least that many bytes.
    #[inline]
    pub(crate) fn take(bytes: usize) -> Result<Loan, Error> {
        if bytes == 0 { Ok(Loan(Buffer::empty())) } else { Loan::take_some(bytes) }
    }

    fn take_some(bytes: usize) -> Result<Loan, Error> {
        let spare = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let found = spare.iter().position(|buffer| buffer.bytes >= bytes);
            if found.is_none() && spare.len() == SPARE_COUNT {
                // All are too small: let one go, so that the new one can be kept.
                spare.remove(0);
            }
            found.map(|index| spare.swap_remove(index))
        });
        match spare {
            Ok(Some(buffer)) => Ok(Loan(buffer)),
            // None fits, or the thread is ending.
            Ok(None) | Err(_) => {
                let rounded = bytes.max(LEAST_BYTES).checked_next_power_of_two().unwrap_or(bytes);
                let rounded = if rounded <= SPARE_BYTES { rounded } else { bytes };
                Buffer::zeroed(rounded).map(Loan)
            }
        }
    }

    /// Its first byte.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr()
    }
}

impl Drop for Loan {
    #[inline]
    fn drop(&mut self) {
        if self.0.bytes == 0 || self.0.bytes > SPARE_BYTES {
            return;
        }
        let buffer = std::mem::replace(&mut self.0, Buffer::empty());
        // Where the thread is ending, the closure and the buffer in it are dropped.
        let _ = SPARE.try_with(move |spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_COUNT {
                spare.push(buffer);
            }
        });
    }
}

/// How much of a call's memory may be on its stack.
const LITTLE_BYTES: usize = 1024;

/// Memory on the stack, for calls that need little: faster than a loan. Its contents are whatever was there.
#[repr(align(64))]
pub(crate) struct Little(MaybeUninit<[u8; LITTLE_BYTES]>);

impl Little {
    /// It takes nothing to make.
    #[inline]
    pub(crate) const fn new() -> Little {
        Little(MaybeUninit::uninit())
    }

    /// Where the second of two parts with so many bytes starts, if there is room for both.
    #[inline]
    pub(crate) fn start(first: usize, second: usize) -> Option<usize> {
        if first > LITTLE_BYTES || second > LITTLE_BYTES {
            return None;
        }
        let start = first.next_multiple_of(ALIGN);
        (start + second <= LITTLE_BYTES).then_some(start)
    }

    /// Both parts.
    #[inline]
    pub(crate) fn parts(&mut self, start: usize) -> (*mut u8, *mut u8) {
        let ptr: *mut u8 = self.0.as_mut_ptr().cast();
        (ptr, ptr.wrapping_add(start))
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGN, Buffer, LITTLE_BYTES, Little, Loan};

    #[test]
    fn little_memory_is_aligned_and_apart() {
        let start = Little::start(65, LITTLE_BYTES - 128);
        assert_eq!(start, Some(128));
        let mut little = Little::new();
        let (first, second) = little.parts(128);
        assert_eq!((first as usize % ALIGN, second as usize - first as usize), (0, 128));
        assert_eq!(Little::start(0, LITTLE_BYTES), Some(0));
        assert_eq!(Little::start(1, LITTLE_BYTES - 63), None);
        assert_eq!(Little::start(usize::MAX, 0).or(Little::start(0, usize::MAX)), None);
    }

    #[test]
    fn loans_come_back_and_nest() {
        let first = Loan::take(100).unwrap();
        let second = Loan::take(100).unwrap();
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert_eq!(first.as_ptr() as usize % ALIGN, 0);
        let old = first.as_ptr();
        drop(first);
        assert_eq!(Loan::take(200).unwrap().as_ptr(), old);
    }

    #[test]
    fn impossible_sizes_are_errors() {
        assert!(Buffer::zeroed(usize::MAX).is_err());
        assert!(Loan::take(usize::MAX).is_err());
        assert_eq!(Buffer::empty().as_ptr() as usize % ALIGN, 0);
    }
}
