//! What the machine can do, as the levels that code is compiled for. Asks the CPU; leaves nothing.

/// A level of instruction sets. The x86-64 ones are those of the psABI; each includes those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// x86-64: SSE2.
    V1,
    /// x86-64-v2: up to SSE4.2.
    V2,
    /// x86-64-v3: AVX2, FMA, F16C.
    V3,
    /// x86-64-v4: AVX-512 F, BW, CD, DQ, VL.
    V4,
    /// AArch64 with Neon, which all of them have.
    Aarch64,
    /// Any other machine.
    Other,
}

impl Isa {
    /// Every level.
    pub const ALL: [Isa; 6] = [Isa::V1, Isa::V2, Isa::V3, Isa::V4, Isa::Aarch64, Isa::Other];

    /// The level of this machine. Cheap after the first time.
    pub fn detect() -> Isa {
        detect()
    }

    /// Whether a machine of this level runs code that was compiled for the level `needed`.
    pub fn runs(self, needed: Isa) -> bool {
        self == needed || (needed < self && self <= Isa::V4)
    }

    /// The level of that name.
    pub fn from_name(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::V1 => "x86-64-v1",
            Isa::V2 => "x86-64-v2",
            Isa::V3 => "x86-64-v3",
            Isa::V4 => "x86-64-v4",
            Isa::Aarch64 => "aarch64",
            Isa::Other => "other",
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    macro_rules! has {
        ($($feature:tt)*) => { true $(&& std::arch::is_x86_feature_detected!($feature))* };
    }
    if !has!("sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "cmpxchg16b") {
        Isa::V1
    } else if !has!("avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe") {
        Isa::V2
    } else if !has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
        Isa::V3
    } else {
        Isa::V4
    }
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Isa {
    Isa::Aarch64
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Isa {
    Isa::Other
}

#[cfg(test)]
mod tests {
    use super::Isa;

    #[test]
    fn levels_include_those_below() {
        assert!(Isa::V3.runs(Isa::V1) && Isa::V4.runs(Isa::V3) && Isa::Aarch64.runs(Isa::Aarch64));
        assert!(!Isa::V2.runs(Isa::V3) && !Isa::Aarch64.runs(Isa::V1) && !Isa::Other.runs(Isa::V1));
        assert!(Isa::ALL.into_iter().all(|isa| Isa::from_name(isa.name()) == Some(isa)));
    }
}
