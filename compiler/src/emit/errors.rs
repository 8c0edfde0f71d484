//! The error codes of kernels compiled ahead of time. Their numbers are part of the C interface: a new error gets a
//! new number, and none is used again.

/// An error of a C function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// Its name in C.
    pub(super) name: &'static str,
    /// What the function returns.
    pub(super) number: i32,
    /// When.
    pub(super) doc: &'static str,
}

/// A size out of range.
pub(super) const SIZE: Code =
    Code { name: "ACT_ERROR_SIZE", number: -1, doc: "a size is negative, or 2^31 or more" };

/// A size that has no value.
pub(super) const COMPUTED: Code = Code {
    name: "ACT_ERROR_COMPUTED",
    number: -2,
    doc: "a size computed from others is negative, 2^31 or more, or a division in it does not come out even",
};

/// More than can be counted.
pub(super) const TOO_LARGE: Code = Code {
    name: "ACT_ERROR_TOO_LARGE",
    number: -3,
    doc: "an array has 2^48 elements or more, or the kernel's memory can't be counted",
};

/// An array is missing.
pub(super) const NULL: Code =
    Code { name: "ACT_ERROR_NULL", number: -4, doc: "an array is NULL that has elements and no default" };

/// Arrays share memory.
pub(super) const OVERLAP: Code = Code {
    name: "ACT_ERROR_OVERLAP",
    number: -5,
    doc: "a result shares memory with another array, and is not one that may be the same",
};

/// No memory for the kernel.
pub(super) const WORKSPACE: Code =
    Code { name: "ACT_ERROR_WORKSPACE", number: -6, doc: "the workspace is NULL or too small" };

/// The wrong machine.
pub(super) const CPU: Code = Code {
    name: "ACT_ERROR_CPU",
    number: -7,
    doc: "the CPU or the operating system lacks what the code needs",
};

/// A number that is not allowed.
pub(super) const RANGE: Code = Code {
    name: "ACT_ERROR_RANGE",
    number: -8,
    doc: "a number lies outside of the range that its parameter is declared with, or is NaN",
};

/// All of them.
pub(super) const ALL: [Code; 8] = [SIZE, COMPUTED, TOO_LARGE, NULL, OVERLAP, WORKSPACE, CPU, RANGE];
