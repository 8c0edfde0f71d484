//! Runs one phase, on the calling thread or split over rayon's (feature `threads`). Ranges begin at multiples of the
//! phase's grain, which is all that compiled code asks for its results to have the same bits however it is split.

use crate::abi::{KernelArgs, PhaseFn};
#[cfg(feature = "threads")]
use crate::{fpenv::FpEnv, memory::Loan};

/// One phase of a call, with its sizes known.
#[cfg_attr(not(feature = "threads"), expect(dead_code, reason = "one thread needs no split"))]
pub(crate) struct Work<'a> {
    /// The code.
    pub(crate) function: PhaseFn,
    /// The call's arguments.
    pub(crate) args: &'a KernelArgs,
    /// Units of work, more than zero.
    pub(crate) extent: i64,
    /// Ranges begin at multiples of this.
    pub(crate) grain: i64,
    /// Bytes of scratch memory per thread.
    pub(crate) scratch: usize,
    /// Operations on elements per unit.
    pub(crate) per_unit: i64,
}

/// Runs the phase on at most `threads` threads, this one among them, each with at least so many operations; `scratch` is this
/// thread's.
///
/// # Safety
/// The function may be called with these arguments, on any split of the extent at multiples of the grain, from
/// several threads at once; `scratch` has the bytes that the work asks for.
#[inline]
pub(crate) unsafe fn run(work: &Work<'_>, threads: usize, least_work: i64, scratch: *mut u8) {
    #[cfg(feature = "threads")]
    if threads > 1 {
        // SAFETY: passed on.
        return unsafe { split(work, shares(work, threads, least_work), scratch) };
    }
    let _ = (threads, least_work);
    // SAFETY: the whole extent on one thread, by the caller's promise.
    unsafe { (work.function)(work.args, scratch, 0, work.extent) };
}

/// Operations on elements for each thread, below which another one costs more than it brings: about 20 us of computing. Waking a
/// thread takes 5 to 10 us, in which the others do its share; then there must be enough left for it.
pub(crate) const LEAST_WORK: i64 = 3 << 19;
/// Ranges per thread: more than one evens out threads that are held up.
#[cfg(feature = "threads")]
const RANGES: i64 = 4;

/// How many threads a phase is worth, if each is to have so many operations, and the length of its ranges.
#[cfg(feature = "threads")]
fn shares(work: &Work<'_>, threads: usize, least_work: i64) -> (usize, i64) {
    let grains = work.extent / work.grain + i64::from(work.extent % work.grain != 0);
    let worth = work.extent.saturating_mul(work.per_unit.max(1)) / least_work;
    let threads = i64::try_from(threads).unwrap_or(i64::MAX).min(worth).min(grains).max(1);
    let ranges = grains.min(threads.saturating_mul(RANGES));
    let length = (grains / ranges + i64::from(grains % ranges != 0)).saturating_mul(work.grain);
    (threads as usize, length)
}

/// Runs the phase on several threads, which take ranges of that length until there are none left.
///
/// # Safety
/// As for [`run`].
#[cfg(feature = "threads")]
unsafe fn split(work: &Work<'_>, (threads, length): (usize, i64), scratch: *mut u8) {
    let queue = Queue { work, length, next: std::sync::atomic::AtomicI64::new(0) };
    if threads == 1 {
        // SAFETY: passed on.
        return unsafe { queue.drain(scratch) };
    }
    rayon::in_place_scope(|scope| {
        for _ in 1..threads.min(rayon::current_num_threads() + 1) {
            scope.spawn(|_| {
                // Without memory for scratch this thread takes no range; the others do its share.
                if let Ok(scratch) = Loan::take(queue.work.scratch) {
                    let _env = FpEnv::enter();
                    // SAFETY: passed on; the scratch memory is this thread's alone while it is lent.
                    unsafe { queue.drain(scratch.as_ptr()) };
                }
            });
        }
        // SAFETY: passed on.
        unsafe { queue.drain(scratch) };
    });
}

/// Ranges of a phase, in the order in which threads take them.
#[cfg(feature = "threads")]
struct Queue<'a> {
    work: &'a Work<'a>,
    length: i64,
    next: std::sync::atomic::AtomicI64,
}

// SAFETY: the pointers in the arguments are only handed to the phase's function, which by the contract of
// `Kernel::from_raw` may run on several threads at once, and the caller of `run` keeps what they point to alive and
// to itself until all threads are joined.
#[cfg(feature = "threads")]
unsafe impl Sync for Queue<'_> {}

#[cfg(feature = "threads")]
impl Queue<'_> {
    /// Takes ranges until there are none left.
    ///
    /// # Safety
    /// As for [`run`]; `scratch` is not used by another thread meanwhile.
    unsafe fn drain(&self, scratch: *mut u8) {
        loop {
            // At most one overshoot per thread beyond the extent, far from overflow: extents come from sizes of
            // arrays. Relaxed is enough, since the ranges share nothing and the scope joins.
            let lo = self.next.fetch_add(self.length, std::sync::atomic::Ordering::Relaxed);
            if lo < 0 || lo >= self.work.extent {
                return;
            }
            let hi = lo.saturating_add(self.length).min(self.work.extent);
            // SAFETY: `lo` is a multiple of the grain since `length` is, and each range is taken once.
            unsafe { (self.work.function)(self.work.args, scratch, lo, hi) };
        }
    }
}

#[cfg(all(test, feature = "threads"))]
mod tests {
    use super::{LEAST_WORK, Work, shares};
    use crate::abi::KernelArgs;

    unsafe extern "C" fn nothing(_: *const KernelArgs, _: *mut u8, _: i64, _: i64) {}

    #[test]
    fn ranges_are_multiples_of_the_grain() {
        let null = std::ptr::null();
        let args = KernelArgs {
            data: null,
            sizes: null.cast(),
            strides: null.cast(),
            scalars: null.cast(),
            shared: std::ptr::null_mut(),
        };
        let shares = |extent, grain, per_unit, threads| {
            let work = Work { function: nothing, args: &args, extent, grain, scratch: 0, per_unit };
            shares(&work, threads, LEAST_WORK)
        };
        assert_eq!(shares(100, 1, 1, 8), (1, 25));
        assert_eq!(shares(1000, 1, 1 << 10, 2), (1, 250));
        assert_eq!(shares(1000, 1, 1 << 20, 2), (2, 125));
        assert_eq!(shares(1001, 32, 1 << 20, 2), (2, 128));
        assert_eq!(shares(3, 2, 1 << 23, 8), (2, 2));
        assert_eq!(shares(i64::MAX, 1 << 40, i64::MAX, usize::MAX).1 % (1 << 40), 0);
    }
}
