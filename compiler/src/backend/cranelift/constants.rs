//! Constants: the pool behind the code.
//!
//! A vector instruction reads a constant from memory as fast as from a register, if it is its last operand. So constants
//! stand in a pool, and are loaded right before their use, where instruction selection makes a memory operand of the
//! load. What an innermost loop keeps in registers, [`facts`](super::super::facts) says.

use super::super::facts::Pattern;

/// The constants of a function, in the order of first use.
#[derive(Default)]
pub(super) struct Pool {
    patterns: Vec<Pattern>,
}

impl Pool {
    /// What the pool's place is a multiple of.
    pub(super) const ALIGNMENT: usize = 16;

    /// How many bytes into the pool a constant is; added if it is new.
    pub(super) fn offset(&mut self, pattern: Pattern) -> i32 {
        let known = self.patterns.iter().position(|known| *known == pattern);
        let index = known.unwrap_or_else(|| {
            self.patterns.push(pattern);
            self.patterns.len() - 1
        });
        i32::try_from(index * pattern.len()).expect("fewer than 2^27 constants")
    }

    /// All of it.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.patterns.iter().flatten().copied()
    }
}

impl std::fmt::Display for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, pattern) in self.patterns.iter().enumerate() {
            write!(f, "; constant {:#06x}:", index * pattern.len())?;
            for word in pattern.as_chunks::<4>().0 {
                write!(f, " {:08x}", u32::from_le_bytes(*word))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
