//! Copies to compare with: memcpy, and one whose stores pass by the cache.

use std::hint::black_box;
use std::sync::OnceLock;

use super::{Failure, Outcome};

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Two arrays.
pub struct Buffers {
    from: Vec<Line>,
    to: Vec<Line>,
}

impl Buffers {
    /// Of that many bytes each, rounded up to cache lines.
    pub fn new(bytes: usize) -> Outcome<Buffers> {
        let lines = bytes.div_ceil(64).max(1);
        let make = |byte: u8| {
            let mut buffer = Vec::new();
            let refused = |_| Failure::Message(format!("there is no memory for {bytes} bytes"));
            buffer.try_reserve_exact(lines).map_err(refused)?;
            buffer.resize(lines, Line([byte; 64]));
            Ok::<_, Failure>(buffer)
        };
        Ok(Buffers { from: make(1)?, to: make(2)? })
    }

    /// The library's copy.
    pub fn memcpy(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&mut self.to);
    }

    /// A copy with streaming stores, where the machine has them.
    pub fn stream(&mut self) {
        stream(black_box(&self.from), &mut self.to);
        black_box(&mut self.to);
    }
}

#[cfg(target_arch = "x86_64")]
fn stream(from: &[Line], to: &mut [Line]) {
    assert_eq!(from.len(), to.len());
    if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: the machine has AVX.
        unsafe { stream_avx(from, to) }
    } else {
        to.copy_from_slice(from);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
fn stream_avx(from: &[Line], to: &mut [Line]) {
    use std::arch::x86_64::{_mm_sfence, _mm256_load_ps, _mm256_stream_ps};
    for (from, to) in from.iter().zip(to) {
        let (from, to) = (from.0.as_ptr().cast::<f32>(), to.0.as_mut_ptr().cast::<f32>());
        // SAFETY: a line is 64 bytes long and aligned to 64: two vectors of 32 bytes, each at a multiple of 32.
        unsafe {
            _mm256_stream_ps(to, _mm256_load_ps(from));
            _mm256_stream_ps(to.add(8), _mm256_load_ps(from.add(8)));
        }
    }
    // Makes the stores visible in order again.
    _mm_sfence();
}

#[cfg(not(target_arch = "x86_64"))]
fn stream(from: &[Line], to: &mut [Line]) {
    to.copy_from_slice(from);
}

/// Bytes of the last-level cache; a guess where the system does not tell.
pub fn last_level_cache() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| (0..8).filter_map(cache).max().unwrap_or(32 << 20))
}

/// Bytes of one of the first processor's caches.
fn cache(index: usize) -> Option<usize> {
    let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    let (number, unit) = match text.strip_suffix('K') {
        Some(number) => (number, 1 << 10),
        None => (text.strip_suffix('M')?, 1 << 20),
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}
