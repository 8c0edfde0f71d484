//! Kernels on arrays that end exactly at an unreadable page, or begin right after one: no instruction touches a byte
//! outside. Every kernel of the suite and every example, with 0..=64 elements in a row.

use crate::inputs;
use crate::subject::{How, Kind, Memory, Spacing, Subject, assert_same, subjects};

/// Memory between two unreadable pages.
struct Block {
    start: *mut u8,
    bytes: usize,
}

/// Which end of the array touches an unreadable page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    First,
    Last,
}

/// Gives blocks between unreadable pages, and takes them again for the next call.
struct Guarded {
    page: usize,
    edge: Edge,
    blocks: Vec<Block>,
    used: usize,
}

impl Guarded {
    fn new(edge: Edge) -> Guarded {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Guarded { page: usize::try_from(page).expect("a page has a size"), edge, blocks: Vec::new(), used: 0 }
    }

    fn block(&self, bytes: usize) -> Block {
        let bytes = bytes.next_multiple_of(self.page).max(self.page);
        let all = bytes + 2 * self.page;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, wherever it is.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let start = base.cast::<u8>().wrapping_add(self.page);
        // SAFETY: inside what was just mapped.
        let status = unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
        Block { start, bytes }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        for block in &self.blocks {
            let base = block.start.wrapping_sub(self.page);
            // SAFETY: mapped in `block` with this size, and nothing points there any more.
            unsafe { libc::munmap(base.cast(), block.bytes + 2 * self.page) };
        }
    }
}

impl Memory for Guarded {
    fn get(&mut self, bytes: usize, _: usize) -> *mut u8 {
        if self.blocks.get(self.used).is_none_or(|block| block.bytes < bytes) {
            let block = self.block(bytes);
            self.blocks.insert(self.used, block);
        }
        let block = &self.blocks[self.used];
        self.used += 1;
        match self.edge {
            Edge::First => block.start,
            Edge::Last => block.start.wrapping_add(block.bytes - bytes),
        }
    }
}

/// The dimension that is innermost in most arrays varies; the others are small.
fn choices(subject: &Subject) -> Vec<Vec<i64>> {
    let dims = subject.free_dims();
    let mut choices = Vec::new();
    for length in 0..=64 {
        let size = |dim: usize| if dim + 1 == dims.len() { length } else { 1 + (dim as i64 + length) % 3 };
        let known: Vec<(&str, i64)> =
            dims.iter().enumerate().map(|(dim, name)| (name.as_str(), size(dim))).collect();
        choices.extend(subject.sizes(&known));
        if let Some((first, rest)) = known.split_first().filter(|(_, rest)| !rest.is_empty()) {
            let first = (first.0, length);
            let rest = rest.iter().map(|(name, _)| (*name, 1 + length % 2));
            choices.extend(subject.sizes(&std::iter::once(first).chain(rest).collect::<Vec<_>>()));
        }
    }
    choices
}

#[test]
fn nothing_outside_the_arrays_is_touched() {
    for edge in [Edge::First, Edge::Last] {
        let mut memory = Guarded::new(edge);
        for input in inputs::kernels() {
            for subject in subjects(&input) {
                for (number, sizes) in choices(&subject).into_iter().enumerate() {
                    let data = subject.data(sizes, Kind::Special, number as u64);
                    let expected = subject.execute(&data, &How::PLAIN);
                    let ways = [(Spacing::Dense, false), (Spacing::Padded, false), (Spacing::Dense, true)];
                    for (spacing, narrow) in ways {
                        memory.used = 0;
                        let how = How { spacing, narrow, ..How::PLAIN };
                        let found = subject.execute_in(&data, &how, &mut memory);
                        assert_same(&subject, &data, &format!("guarded, {edge:?}"), &expected, &found);
                    }
                }
            }
        }
    }
}

/// The guard works: a byte beyond is not readable.
#[test]
fn guarded_memory_ends() {
    for (edge, offset) in [(Edge::First, -1), (Edge::Last, 12)] {
        let mut memory = Guarded::new(edge);
        let outside = memory.get(12, 4).wrapping_offset(offset);
        // SAFETY: `write` reads the byte in the kernel, which answers with an error where there is none.
        let written = unsafe {
            let mut pipe = [0; 2];
            assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
            let written = libc::write(pipe[1], outside.cast(), 1);
            libc::close(pipe[0]);
            libc::close(pipe[1]);
            written
        };
        assert_eq!(written, -1, "{edge:?}");
    }
}
