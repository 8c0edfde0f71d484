//! The table of scalar functions: one row each, by which everything else knows them.
//!
//! A row says the function's name in the text forms, its number of operands, its [`Class`], its [`Typing`] and its
//! meaning in words. The language calls a [`Class::Expanded`] function by that name; which others have a name in it,
//! `sema::builtin` says. What a formula means to the tests is in `graph::eval`. What a [`Class::Core`] function does is implemented by `loops::interp` and the back ends;
//! [`Class::Expanded`] and [`Class::Storage`] functions are rewritten into core ones by `loop_passes::expand_math`, and no
//! back end ever sees them; [`Class::Graph`] functions exist in the graph only and are rewritten by a graph pass.

/// Who gives a function its machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Implemented by every back end.
    Core,
    /// Rewritten into core functions inside the loop IR.
    Expanded,
    /// Rewritten inside the graph IR.
    Graph,
    /// Between numbers and the bits that memory holds of them: made by the lowering, rewritten into core functions inside the
    /// loop IR.
    Storage,
}

/// How the types of operands and result hang together. All operands have the same number of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// Operands and result have one type: a float or an integer.
    Number,
    /// Operands and result have one floating-point type.
    Float,
    /// Operands have one type, float or integer; the result is bool.
    Compare,
    /// Operands and result are bool.
    Logic,
    /// The first operand is bool; the others and the result have one type, whatever it is.
    Select,
    /// Operands and result have one integer type (`i32`, `i64`). Loop IR only.
    Integer,
    /// The operand is a float, the result `i32`. Loop IR only.
    Encode,
    /// The operand is `i32`, the result `f32`. Loop IR only.
    Decode,
}

macro_rules! prims {
    ($($name:ident $text:literal $args:literal $class:ident $typing:ident $doc:literal;)*) => {
        /// A scalar function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Prim {
            $(#[doc = $doc] $name,)*
        }

        impl Prim {
            /// Every function, in the order of the table.
            pub const ALL: &[Prim] = &[$(Prim::$name),*];

            /// Its name in the text forms of both IRs.
            pub const fn name(self) -> &'static str {
                match self { $(Prim::$name => $text,)* }
            }

            /// How many operands it takes.
            pub const fn arity(self) -> usize {
                match self { $(Prim::$name => $args,)* }
            }

            /// Who gives it its machine code.
            pub const fn class(self) -> Class {
                match self { $(Prim::$name => Class::$class,)* }
            }

            /// The types of its operands and result.
            pub const fn typing(self) -> Typing {
                match self { $(Prim::$name => Typing::$typing,)* }
            }

            /// One sentence on its meaning.
            pub const fn doc(self) -> &'static str {
                match self { $(Prim::$name => $doc,)* }
            }

            /// The function of that name in the text forms.
            pub fn from_name(name: &str) -> Option<Prim> {
                Prim::ALL.iter().copied().find(|prim| prim.name() == name)
            }
        }
    };
}

prims! {
//  row      text       args class    types   meaning
    Add      "add"      2    Core     Number  "Sum. Integers wrap.";
    Sub      "sub"      2    Core     Number  "Difference. Integers wrap.";
    Mul      "mul"      2    Core     Number  "Product. Integers wrap.";
    Div      "div"      2    Core     Float   "Quotient.";
    Fma      "fma"      3    Core     Float   "First times second plus third, rounded once.";
    Neg      "neg"      1    Core     Number  "Negative: flips the sign of a float, also of 0.";
    Abs      "abs"      1    Core     Number  "Absolute value: clears the sign of a float.";
    Sqrt     "sqrt"     1    Core     Float   "Square root; NaN below zero.";
    Floor    "floor"    1    Core     Float   "Largest whole number not above.";
    Ceil     "ceil"     1    Core     Float   "Smallest whole number not below.";
    Trunc    "trunc"    1    Core     Float   "Whole part, towards zero.";
    Round    "round"    1    Core     Float   "Nearest whole number, ties to even.";
    CopySign "copysign" 2    Core     Float   "First with the sign of second.";
    SelMax   "selmax"   2    Core     Number  "`a > b ? a : b`: the second where either is NaN or both are zero.";
    SelMin   "selmin"   2    Core     Number  "`a < b ? a : b`: the second where either is NaN or both are zero.";
    Eq       "eq"       2    Core     Compare "Equal; false where either is NaN.";
    Ne       "ne"       2    Core     Compare "Not equal; true where either is NaN.";
    Lt       "lt"       2    Core     Compare "Less; false where either is NaN.";
    Le       "le"       2    Core     Compare "Less or equal; false where either is NaN.";
    Gt       "gt"       2    Core     Compare "Greater; false where either is NaN.";
    Ge       "ge"       2    Core     Compare "Greater or equal; false where either is NaN.";
    And      "and"      2    Core     Logic   "Both.";
    Or       "or"       2    Core     Logic   "At least one.";
    Not      "not"      1    Core     Logic   "Not.";
    Select   "select"   3    Core     Select  "The second where the first holds, else the third.";

    IAnd     "iand"     2    Core     Integer "Bitwise and.";
    IOr      "ior"      2    Core     Integer "Bitwise or.";
    IXor     "ixor"     2    Core     Integer "Bitwise exclusive or.";
    Shl      "shl"      2    Core     Integer "First shifted left by second (below the width; a constant where there are several lanes).";
    ShrU     "shru"     2    Core     Integer "First shifted right by second (likewise), zeros come in.";
    ShrS     "shrs"     2    Core     Integer "First shifted right by second (likewise), the sign comes in.";
    IDiv     "idiv"     2    Core     Integer "Quotient of non-negative numbers, rounded down; anything by 0; one lane only.";
    IRem     "irem"     2    Core     Integer "Remainder of non-negative numbers; anything by 0; one lane only.";
    Ctz      "ctz"      1    Core     Integer "Number of trailing zero bits; one lane only.";
    Clz      "clz"      1    Core     Integer "Number of leading zero bits; one lane only.";

    Max      "max"      2    Graph    Number  "Larger of the two; NaN if either is.";
    Min      "min"      2    Graph    Number  "Smaller of the two; NaN if either is.";

    Exp      "exp"      1    Expanded Float   "e to the power x.";
    ExpNonpos "exp_nonpos" 1 Expanded Float   "e to the power x for x <= 0; that or 0 where it is below the smallest normal number.";
    Exp2     "exp2"     1    Expanded Float   "2 to the power x.";
    Expm1    "expm1"    1    Expanded Float   "e to the power x, minus 1, without cancellation.";
    Log      "log"      1    Expanded Float   "Natural logarithm.";
    Log2     "log2"     1    Expanded Float   "Logarithm to base 2.";
    Log10    "log10"    1    Expanded Float   "Logarithm to base 10.";
    Log1p    "log1p"    1    Expanded Float   "Natural logarithm of 1 + x, without cancellation.";
    Pow      "pow"      2    Expanded Float   "First to the power of second, as IEEE 754 defines pow.";
    Cbrt     "cbrt"     1    Expanded Float   "Cube root.";
    Rsqrt    "rsqrt"    1    Expanded Float   "1 over the square root.";
    Tanh     "tanh"     1    Expanded Float   "Hyperbolic tangent.";
    Sigmoid  "sigmoid"  1    Expanded Float   "1 / (1 + exp(-x)).";
    Erf      "erf"      1    Expanded Float   "Error function.";
    Erfc     "erfc"     1    Expanded Float   "1 - erf(x), without cancellation.";
    OnePlusErf "one_plus_erf" 1 Expanded Float "1 + erf(x), without cancellation; an absolute error like that of the sum.";
    Gelu     "gelu"     1    Expanded Float   "x/2 (1 + erf(x / sqrt(2))); an absolute error that is small beside x.";
    Sin      "sin"      1    Expanded Float   "Sine of x radians.";
    Cos      "cos"      1    Expanded Float   "Cosine of x radians.";
    Tan      "tan"      1    Expanded Float   "Tangent of x radians.";
    Asin     "asin"     1    Expanded Float   "Inverse sine.";
    Acos     "acos"     1    Expanded Float   "Inverse cosine.";
    Atan     "atan"     1    Expanded Float   "Inverse tangent.";
    Atan2    "atan2"    2    Expanded Float   "Angle of the point (second, first).";
    Sinh     "sinh"     1    Expanded Float   "Hyperbolic sine.";
    Cosh     "cosh"     1    Expanded Float   "Hyperbolic cosine.";
    Asinh    "asinh"    1    Expanded Float   "Inverse hyperbolic sine.";
    Acosh    "acosh"    1    Expanded Float   "Inverse hyperbolic cosine.";
    Atanh    "atanh"    1    Expanded Float   "Inverse hyperbolic tangent.";
    FrexpMantissa "frexp_mantissa" 1 Expanded Float "The m of x = m 2^n with |m| in [1/2, 1); x itself if it is 0 or infinite.";
    FrexpExponent "frexp_exponent" 1 Expanded Float "The n of x = m 2^n with |m| in [1/2, 1); 0 if x is 0 or infinite.";
    Ldexp    "ldexp"    2    Expanded Float   "First times 2 to the power of second, which is rounded to a whole number.";
    NextUp   "next_up"  1    Expanded Float   "The smallest number of the type above x.";
    Hypot    "hypot"    2    Expanded Float   "Square root of the sum of squares, without overflow.";

    ToF16    "to_f16"   1    Storage  Encode  "The 16 bits of the nearest `f16`, ties to even; a NaN is one NaN.";
    ToBf16   "to_bf16"  1    Storage  Encode  "The 16 bits of the nearest `bf16`, ties to even; a NaN is one NaN.";
    OfF16    "of_f16"   1    Storage  Decode  "The value of the `f16` with these 16 bits (0 to 65535), exactly.";
    OfBf16   "of_bf16"  1    Storage  Decode  "The value of the `bf16` with these 16 bits (0 to 65535), exactly.";
}

impl std::fmt::Display for Prim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
