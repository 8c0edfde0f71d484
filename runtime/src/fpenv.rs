//! The floating-point environment of a call. Host programs set flush-to-zero or another rounding mode (audio code,
//! `-ffast-math` start-up objects, `torch.set_flush_denormal`), which would change the bits of every result.
//! Needs nothing; leaves the thread as it was.

/// While it lives, the thread computes in the default environment: nearest even, subnormals kept, exceptions masked.
/// What was set before comes back when it is dropped, also when the stack unwinds.
pub(crate) struct FpEnv {
    /// The control register to restore, if it had to be changed.
    saved: Option<control::Word>,
    /// The control register belongs to the thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl FpEnv {
    /// Reads the control register and, only if it differs from the default, sets it.
    #[inline]
    pub(crate) fn enter() -> FpEnv {
        let word = control::read();
        let differs = word & control::MODES != control::DEFAULT;
        if differs {
            control::write(control::DEFAULT);
        }
        FpEnv { saved: differs.then_some(word), _not_send: std::marker::PhantomData }
    }
}

impl Drop for FpEnv {
    #[inline]
    fn drop(&mut self) {
        if let Some(word) = self.saved {
            control::write(word);
        }
    }
}

/// MXCSR.
#[cfg(target_arch = "x86_64")]
pub(crate) mod control {
    /// Its type.
    pub(crate) type Word = u32;
    /// Flush-to-zero, rounding, exception masks, denormals-are-zero; not the sticky flags.
    pub(crate) const MODES: Word = 0xFFC0;
    /// All exceptions masked, nothing else.
    pub(crate) const DEFAULT: Word = 0x1F80;

    #[inline]
    pub(crate) fn read() -> Word {
        let mut word: Word = 0;
        // SAFETY: stmxcsr stores four bytes to the place given, here a u32 on the stack, and does nothing else.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack, preserves_flags));
        }
        word
    }

    #[inline]
    pub(crate) fn write(word: Word) {
        // SAFETY: ldmxcsr reads four bytes. The words written are the default, or one that was read from the
        // register, so no reserved bit is set. Rust code between two writes runs in the default environment, or in
        // the one the caller had set.
        unsafe {
            std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, preserves_flags, readonly));
        }
    }
}

/// FPCR.
#[cfg(target_arch = "aarch64")]
pub(crate) mod control {
    /// Its type.
    pub(crate) type Word = u64;
    /// AH, FIZ, NEP, trap enables, FZ16, rounding, flush-to-zero, default NaN.
    pub(crate) const MODES: Word = 0x07C8_9F07;
    /// Nothing set.
    pub(crate) const DEFAULT: Word = 0;

    #[inline]
    pub(crate) fn read() -> Word {
        let word: Word;
        // SAFETY: reads a register that user code may read.
        unsafe {
            std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack, preserves_flags));
        }
        word
    }

    #[inline]
    pub(crate) fn write(word: Word) {
        // SAFETY: writes zero, or a word that was read from the register. Not marked `nomem`, so that no
        // computation on memory moves across it.
        unsafe {
            std::arch::asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags));
        }
    }
}

/// Other machines: there is no compiled code to protect.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) mod control {
    pub(crate) type Word = u32;
    pub(crate) const MODES: Word = 0;
    pub(crate) const DEFAULT: Word = 0;

    pub(crate) fn read() -> Word {
        0
    }

    pub(crate) fn write(_word: Word) {}
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{FpEnv, control};

    /// Flush-to-zero, denormals-are-zero, round towards zero.
    const ODD: u32 = control::DEFAULT | 0xE040;

    #[test]
    fn restores_what_was_set() {
        let before = control::read();
        control::write(ODD);
        {
            let _env = FpEnv::enter();
            assert_eq!(control::read() & control::MODES, control::DEFAULT);
        }
        let after = control::read();
        control::write(before);
        assert_eq!(after & control::MODES, ODD);
    }

    #[test]
    fn restores_when_unwinding() {
        let before = control::read();
        control::write(ODD);
        let caught = std::panic::catch_unwind(|| {
            let _env = FpEnv::enter();
            std::panic::resume_unwind(Box::new(()));
        });
        let after = control::read();
        control::write(before);
        assert!(caught.is_err());
        assert_eq!(after & control::MODES, ODD);
    }
}
