//! What the machine that code is compiled for can do: one row for each CPU level.
//!
//! Needs nothing of the compiler. Passes read the number of lanes from it; the back ends take Cranelift's description
//! of the machine from it. No target has a say in the bits of a result.

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use target_lexicon::{Architecture, Triple};

/// A level of instruction sets.
#[derive(Debug, PartialEq, Eq)]
struct Level {
    /// Its name on the command line.
    name: &'static str,
    /// Its short name.
    short: &'static str,
    /// Bytes of the widest vectors that our back ends make for it: 16 are Cranelift's, more those of the wide one.
    vector_bytes: u32,
    /// Whether it has fused multiply-add, without which no kernel runs.
    fma: bool,
    /// Its machine, where the triple doesn't say more.
    arch: &'static str,
    /// Cranelift's names of the features above the architecture's first level.
    features: &'static [&'static str],
}

const V2: &[&str] = &["has_sse3", "has_ssse3", "has_cmpxchg16b", "has_sse41", "has_sse42", "has_popcnt"];
const V3: &[&str] = &["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"];
const V4: &[&str] = &["has_avx512f", "has_avx512dq", "has_avx512vl"];

/// Every level, each x86 one including those before it.
const LEVELS: &[Level] = &[
    Level { name: "x86-64-v1", short: "v1", vector_bytes: 16, fma: false, arch: "x86_64", features: &[] },
    Level { name: "x86-64-v2", short: "v2", vector_bytes: 16, fma: false, arch: "x86_64", features: V2 },
    Level { name: "x86-64-v3", short: "v3", vector_bytes: 32, fma: true, arch: "x86_64", features: V3 },
    Level { name: "x86-64-v4", short: "v4", vector_bytes: 32, fma: true, arch: "x86_64", features: V4 },
    Level { name: "aarch64", short: "aarch64", vector_bytes: 16, fma: true, arch: "aarch64", features: &[] },
];

/// The machine that code is compiled for: a CPU level and a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    level: &'static Level,
    triple: Triple,
    /// Bytes of the vectors that the layout passes make.
    vector_bytes: u32,
}

impl Target {
    fn new(level: &'static Level, triple: Triple) -> Target {
        Target { level, triple, vector_bytes: 16 }
    }

    /// This machine.
    pub fn host() -> Target {
        let triple = Triple::host();
        let level = match triple.architecture {
            Architecture::X86_64 => host_x86_level(),
            _ => "aarch64",
        };
        let level = find(level).expect("the table has every level that a host may have");
        Target::new(level, triple)
    }

    /// The level of that name (`x86-64-v3`, or short `v3`), on this machine's platform; `host` is this machine.
    pub fn named(name: &str) -> Option<Target> {
        if name == "host" {
            return Some(Target::host());
        }
        let level = find(name)?;
        let mut triple = Triple::host();
        triple.architecture = level.arch.parse().expect("the table names architectures");
        Some(Target::new(level, triple))
    }

    /// The names of all levels.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LEVELS.iter().map(|level| level.name)
    }

    /// Whether this compiler makes code for it; for the others it goes as far as the loops.
    pub fn has_code(&self) -> bool {
        isa::lookup(self.triple.clone()).is_ok()
    }

    /// The same level on another platform, as `x86_64-unknown-linux-gnu` names it.
    pub fn on_platform(&self, triple: &str) -> Result<Target, String> {
        let triple: Triple = triple.parse().map_err(|error| format!("`{triple}`: {error}"))?;
        let arch = triple.architecture.to_string();
        if arch != self.level.arch {
            return Err(format!("level {} is not one of the architecture {arch}", self.level.name));
        }
        Ok(Target::new(self.level, triple))
    }

    /// The name of the level, the same on every platform.
    pub fn name(&self) -> &'static str {
        self.level.name
    }

    /// The platform.
    pub fn triple(&self) -> &Triple {
        &self.triple
    }

    /// The same machine with the widest vectors that there are for it; passes take their number of lanes from it.
    pub fn wide(&self) -> Target {
        Target { vector_bytes: self.level.vector_bytes, ..self.clone() }
    }

    /// Whether the wide back end has vectors for it.
    pub fn has_wide_vectors(&self) -> bool {
        self.level.vector_bytes > 16
    }

    /// Bytes of the vectors that passes make: 16, or more for [`Target::wide`].
    pub fn vector_bytes(&self) -> u32 {
        self.vector_bytes
    }

    /// How many elements of that many bytes a vector holds.
    pub fn lanes(&self, element_bytes: u32) -> u32 {
        self.vector_bytes / element_bytes
    }

    /// How many vectors fit into the registers.
    pub fn vector_registers(&self) -> u32 {
        if self.level.arch == "aarch64" { 32 } else { 16 }
    }

    /// Whether it has fused multiply-add.
    pub fn has_fma(&self) -> bool {
        self.level.fma
    }

    /// Whether this machine can run code compiled for it.
    pub fn runs_here(&self) -> bool {
        let host = Target::host();
        let index = |level: &'static Level| LEVELS.iter().position(|known| known == level);
        self.triple == host.triple && index(self.level) <= index(host.level)
    }

    /// Cranelift's description of the machine, for code that is complete in itself.
    pub(crate) fn isa(&self) -> Result<OwnedTargetIsa, String> {
        self.build_isa(false, "backtracking")
    }

    /// The same, with registers allocated in one pass: worse code, in time that grows with its length and no faster.
    pub(crate) fn quick_isa(&self) -> Result<OwnedTargetIsa, String> {
        self.build_isa(false, "single_pass")
    }

    /// The same for code that is linked with other code.
    pub(crate) fn linked_isa(&self) -> Result<OwnedTargetIsa, String> {
        self.build_isa(true, "backtracking")
    }

    fn build_isa(&self, pic: bool, registers: &str) -> Result<OwnedTargetIsa, String> {
        let mut builder = isa::lookup(self.triple.clone()).map_err(|error| {
            format!("no code generator for {} is built in ({error}); there is one for x86_64", self.triple)
        })?;
        for feature in self.features() {
            builder.enable(feature).map_err(|error| format!("{feature}: {error}"))?;
        }
        builder.finish(flags(pic, registers)).map_err(|error| error.to_string())
    }

    /// The features of this level and those that it includes.
    fn features(&self) -> impl Iterator<Item = &'static str> {
        let last = LEVELS.iter().position(|level| level == self.level).expect("levels come from the table");
        LEVELS[..=last]
            .iter()
            .filter(|level| level.arch == self.level.arch)
            .flat_map(|level| level.features.iter().copied())
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.level.name)
    }
}

/// The level of that name.
fn find(name: &str) -> Option<&'static Level> {
    LEVELS.iter().find(|level| level.name == name || level.short == name)
}

/// Cranelift's settings. The loop passes have put the code in order and Cranelift's optimiser would undo that: it hoists and
/// merges, and the vectors no longer fit into the registers.
fn flags(pic: bool, registers: &str) -> settings::Flags {
    let mut flags = settings::builder();
    let values = [
        ("opt_level", "none"),
        ("regalloc_algorithm", registers),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("is_pic", if pic { "true" } else { "false" }),
        ("preserve_frame_pointers", "false"),
        ("unwind_info", "false"),
        // Large frames touch every page, so that a full stack ends in the guard page.
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
    ];
    for (name, value) in values {
        flags.set(name, value).expect("a setting of this version of Cranelift");
    }
    settings::Flags::new(flags)
}

#[cfg(target_arch = "x86_64")]
fn host_x86_level() -> &'static str {
    macro_rules! has {
        ($($feature:tt)*) => { true $(&& std::arch::is_x86_feature_detected!($feature))* };
    }
    if !has!("sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "cmpxchg16b") {
        "x86-64-v1"
    } else if !has!("avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe") {
        "x86-64-v2"
    } else if !has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
        "x86-64-v3"
    } else {
        "x86-64-v4"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn host_x86_level() -> &'static str {
    "x86-64-v1"
}
