//! What mathematical text means: expressions, and the structures answers are made of.

use super::Value;

/// A function of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Func {
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Cotangent.
    Cot,
    /// Secant.
    Sec,
    /// Cosecant.
    Csc,
    /// Inverse sine.
    Asin,
    /// Inverse cosine.
    Acos,
    /// Inverse tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Hyperbolic tangent.
    Tanh,
    /// Natural logarithm; also `log` without a base.
    Ln,
    /// Logarithm to base ten (`lg`).
    Lg,
    /// Exponential.
    Exp,
    /// Square root.
    Sqrt,
    /// Absolute value.
    Abs,
    /// Factorial.
    Factorial,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A number.
    Num(Value),
    /// π.
    Pi,
    /// Euler's number.
    Euler,
    /// A symbol.
    Sym(String),
    /// Sum.
    Add(Box<Expr>, Box<Expr>),
    /// Difference.
    Sub(Box<Expr>, Box<Expr>),
    /// Product.
    Mul(Box<Expr>, Box<Expr>),
    /// Quotient.
    Div(Box<Expr>, Box<Expr>),
    /// Power.
    Pow(Box<Expr>, Box<Expr>),
    /// Negation.
    Neg(Box<Expr>),
    /// Function of one argument.
    Call(Func, Box<Expr>),
    /// An angle in degrees; its value is in radians.
    Degree(Box<Expr>),
    /// Hundredths.
    Percent(Box<Expr>),
}

impl Expr {
    /// Calls `visit` with the name of every symbol, repeated ones too.
    pub fn symbols<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::Num(_) | Self::Pi | Self::Euler => {}
            Self::Sym(name) => visit(name),
            Self::Add(a, b)
            | Self::Sub(a, b)
            | Self::Mul(a, b)
            | Self::Div(a, b)
            | Self::Pow(a, b) => {
                a.symbols(visit);
                b.symbols(visit);
            }
            Self::Neg(a) | Self::Call(_, a) | Self::Degree(a) | Self::Percent(a) => {
                a.symbols(visit);
            }
        }
    }

    /// Sorted names without repetition.
    pub fn symbol_set(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.symbols(&mut |name| names.push(name));
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A kind of bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bracket {
    /// `( )`
    Round,
    /// `[ ]`
    Square,
    /// `{ }`: a set.
    Curly,
    /// None: a list separated by commas, semicolons or line ends.
    Bare,
    /// None: alternatives separated by "or", or by a sign ±.
    Or,
    /// None: `a : b`.
    Ratio,
}

/// A relation sign; `Greater` and `GreaterEq` are turned round while parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `≠`
    Unequal,
    /// `<`
    Less,
    /// `≤`
    LessEq,
    /// `>`
    Greater,
    /// `≥`
    GreaterEq,
}

/// What a whole answer is.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// One expression.
    Expr(Expr),
    /// Several things between two brackets: tuple, interval, set, list, alternatives.
    Seq(Bracket, Bracket, Vec<Form>),
    /// A union of sets or intervals.
    Union(Vec<Form>),
    /// A chain `a < b ≤ c`, each sign before its right side; one link for a plain relation.
    Chain(Expr, Vec<(Relation, Expr)>),
}

impl Form {
    /// True for more than one thing side by side: a bare list or alternatives.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Seq(Bracket::Bare | Bracket::Or, _, items) if items.len() > 1)
    }
}
