//! Three small functions for x86-64, in bytes, for which Cranelift's IR has no instructions: what the CPU can do, and the
//! control register of vector arithmetic. They need nothing, and run on every x86-64 machine.

/// `u32 get()`: MXCSR.
///
/// ```text
/// push rax
/// stmxcsr [rsp]
/// pop rax
/// ret
/// ```
pub(super) const GET_MXCSR: &[u8] = &[0x50, 0x0F, 0xAE, 0x1C, 0x24, 0x58, 0xC3];

/// `void set(u32 edi)` in the calling convention of System V: sets MXCSR.
///
/// ```text
/// push rdi
/// ldmxcsr [rsp]
/// pop rdi
/// ret
/// ```
pub(super) const SET_MXCSR: &[u8] = &[0x57, 0x0F, 0xAE, 0x14, 0x24, 0x5F, 0xC3];

/// `void set(u32 ecx)` in the calling convention of Windows: sets MXCSR.
///
/// ```text
/// push rcx
/// ldmxcsr [rsp]
/// pop rcx
/// ret
/// ```
pub(super) const SET_MXCSR_WINDOWS: &[u8] = &[0x51, 0x0F, 0xAE, 0x14, 0x24, 0x59, 0xC3];

/// Bits of registers that `cpuid` and `xgetbv` fill, all of which a level needs.
struct Needs {
    /// Leaf 1, ecx.
    basic: u32,
    /// Leaf 7, ebx.
    extended: u32,
    /// Leaf 0x80000001, ecx.
    amd: u32,
    /// XCR0: what the operating system saves.
    saved: u32,
}

/// x86-64-v3 of the psABI.
const V3: Needs = Needs {
    basic: bits(&[
        0,  // SSE3
        9,  // SSSE3
        12, // FMA
        13, // CMPXCHG16B
        19, // SSE4.1
        20, // SSE4.2
        22, // MOVBE
        23, // POPCNT
        27, // OSXSAVE
        28, // AVX
        29, // F16C
    ]),
    extended: bits(&[
        3, // BMI1
        5, // AVX2
        8, // BMI2
    ]),
    amd: bits(&[5]),      // LZCNT
    saved: bits(&[1, 2]), // xmm, ymm
};

/// x86-64-v4.
const V4: Needs = Needs {
    extended: V3.extended
        | bits(&[
            16, // AVX512F
            17, // AVX512DQ
            28, // AVX512CD
            30, // AVX512BW
            31, // AVX512VL
        ]),
    saved: V3.saved | bits(&[5, 6, 7]), // masks, the upper halves of zmm0-15, zmm16-31
    ..V3
};

const fn bits(places: &[u32]) -> u32 {
    let mut word = 0;
    let mut index = 0;
    while index < places.len() {
        word |= 1 << places[index];
        index += 1;
    }
    word
}

/// `u32 check()`: 1 if this machine is of that level, else 0. `None` for levels that no kernel is compiled for.
pub(super) fn check_level(level: &str) -> Option<Vec<u8>> {
    match level {
        "x86-64-v3" => Some(check(&V3)),
        "x86-64-v4" => Some(check(&V4)),
        _ => None,
    }
}

fn check(needs: &Needs) -> Vec<u8> {
    let mut code = Bytes::default();
    code.put(&[0x53]); // push rbx, which the caller wants back
    code.put(&[0x31, 0xC0]); // xor eax, eax
    code.put(&[0x0F, 0xA2]); // cpuid: eax is the last leaf
    code.put(&[0x83, 0xF8, 0x07]); // cmp eax, 7
    code.fail_if(BELOW);
    code.put(&[0xB8, 0x01, 0, 0, 0]); // mov eax, 1
    code.put(&[0x0F, 0xA2]); // cpuid
    code.put(&[0x81, 0xE1]).put(&needs.basic.to_le_bytes()); // and ecx, basic
    code.put(&[0x81, 0xF9]).put(&needs.basic.to_le_bytes()); // cmp ecx, basic
    code.fail_if(NOT_EQUAL);
    code.put(&[0x31, 0xC9]); // xor ecx, ecx
    code.put(&[0x0F, 0x01, 0xD0]); // xgetbv: OSXSAVE is among the basic bits, so there is one
    code.put(&[0x25]).put(&needs.saved.to_le_bytes()); // and eax, saved
    code.put(&[0x3D]).put(&needs.saved.to_le_bytes()); // cmp eax, saved
    code.fail_if(NOT_EQUAL);
    code.put(&[0xB8, 0x07, 0, 0, 0]); // mov eax, 7
    code.put(&[0x31, 0xC9]); // xor ecx, ecx
    code.put(&[0x0F, 0xA2]); // cpuid
    code.put(&[0x81, 0xE3]).put(&needs.extended.to_le_bytes()); // and ebx, extended
    code.put(&[0x81, 0xFB]).put(&needs.extended.to_le_bytes()); // cmp ebx, extended
    code.fail_if(NOT_EQUAL);
    code.put(&[0xB8, 0x01, 0, 0, 0x80]); // mov eax, 0x80000001: every machine with AVX2 has this leaf
    code.put(&[0x0F, 0xA2]); // cpuid
    code.put(&[0x81, 0xE1]).put(&needs.amd.to_le_bytes()); // and ecx, amd
    code.put(&[0x81, 0xF9]).put(&needs.amd.to_le_bytes()); // cmp ecx, amd
    code.fail_if(NOT_EQUAL);
    code.put(&[0xB8, 0x01, 0, 0, 0]); // mov eax, 1
    code.put(&[0x5B]); // pop rbx
    code.put(&[0xC3]); // ret
    code.finish()
}

/// `jb`.
const BELOW: u8 = 0x72;
/// `jne`.
const NOT_EQUAL: u8 = 0x75;

/// Code that has one place to fail, at its end.
#[derive(Default)]
struct Bytes {
    code: Vec<u8>,
    /// Where the distances to that place go.
    jumps: Vec<usize>,
}

impl Bytes {
    fn put(&mut self, bytes: &[u8]) -> &mut Bytes {
        self.code.extend_from_slice(bytes);
        self
    }

    fn fail_if(&mut self, jump: u8) {
        self.code.extend([jump, 0]);
        self.jumps.push(self.code.len() - 1);
    }

    fn finish(mut self) -> Vec<u8> {
        let end = self.code.len();
        for at in self.jumps {
            let distance = i8::try_from(end - (at + 1)).expect("the code is shorter than 128 bytes");
            self.code[at] = distance as u8;
        }
        self.code.extend([0x31, 0xC0]); // xor eax, eax
        self.code.extend([0x5B]); // pop rbx
        self.code.extend([0xC3]); // ret
        self.code
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

    use super::{GET_MXCSR, SET_MXCSR, SET_MXCSR_WINDOWS, check_level};

    fn text(bytes: &[u8]) -> String {
        let mut formatter = IntelFormatter::new();
        let mut lines = Vec::new();
        for instruction in Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE) {
            let mut line = String::new();
            formatter.format(&instruction, &mut line);
            lines.push(line);
        }
        lines.join("; ")
    }

    #[test]
    fn bytes_are_what_the_comments_say() {
        assert_eq!(text(GET_MXCSR), "push rax; stmxcsr [rsp]; pop rax; ret");
        assert_eq!(text(SET_MXCSR), "push rdi; ldmxcsr [rsp]; pop rdi; ret");
        assert_eq!(text(SET_MXCSR_WINDOWS), "push rcx; ldmxcsr [rsp]; pop rcx; ret");
        let check = check_level("x86-64-v3").expect("there is one");
        assert_eq!(check.len() - 4, 0x63, "where it fails");
        assert_eq!(
            text(&check),
            "push rbx; xor eax,eax; cpuid; cmp eax,7; jb short 0000000000000063h; mov eax,1; cpuid; \
             and ecx,38D83201h; cmp ecx,38D83201h; jne short 0000000000000063h; xor ecx,ecx; xgetbv; and eax,6; \
             cmp eax,6; jne short 0000000000000063h; mov eax,7; xor ecx,ecx; cpuid; and ebx,128h; cmp ebx,128h; \
             jne short 0000000000000063h; mov eax,80000001h; cpuid; and ecx,20h; cmp ecx,20h; \
             jne short 0000000000000063h; mov eax,1; pop rbx; ret; xor eax,eax; pop rbx; ret"
        );
        assert!(check_level("x86-64-v4").is_some() && check_level("x86-64-v2").is_none());
    }
}
