//! Tokens to expressions: precedence, juxtaposition, functions, fractions and roots.

use super::ast::{Bracket, Expr, Func};
use super::token::Token;
use super::{MAX_DEPTH, Value};

/// Reads expressions from a slice of tokens.
pub struct Reader<'a> {
    tokens: &'a [(Token, bool)],
    at: usize,
    depth: usize,
    /// What `±` stands for in this reading: minus where true.
    minus: bool,
}

fn boxed(a: Expr, b: Expr, make: fn(Box<Expr>, Box<Expr>) -> Expr) -> Expr {
    make(Box::new(a), Box::new(b))
}

impl<'a> Reader<'a> {
    /// A reader at the start of `tokens`; `minus` says what `±` stands for.
    pub fn new(tokens: &'a [(Token, bool)], minus: bool) -> Self {
        Self {
            tokens,
            at: 0,
            depth: 0,
            minus,
        }
    }

    /// The whole slice as one expression.
    pub fn whole(mut self) -> Option<Expr> {
        let expr = self.sum()?;
        (self.at == self.tokens.len()).then_some(expr)
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn eat(&mut self, token: &Token) -> bool {
        let hit = self.peek() == Some(token);
        self.at += usize::from(hit);
        hit
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn sum(&mut self) -> Option<Expr> {
        let mut left = self.product()?;
        loop {
            let make = match self.peek() {
                Some(Token::Plus) => Expr::Add as fn(_, _) -> _,
                Some(Token::Minus) => Expr::Sub,
                Some(Token::PlusMinus) if self.minus => Expr::Sub,
                Some(Token::PlusMinus) => Expr::Add,
                _ => return Some(left),
            };
            self.at += 1;
            left = boxed(left, self.product()?, make);
        }
    }

    fn product(&mut self) -> Option<Expr> {
        let mut left = self.signed()?;
        loop {
            left = match self.peek() {
                Some(Token::Star) => {
                    self.at += 1;
                    boxed(left, self.signed()?, Expr::Mul)
                }
                Some(Token::Slash) => {
                    self.at += 1;
                    boxed(left, self.signed()?, Expr::Div)
                }
                Some(Token::Vulgar(value)) => {
                    self.at += 1;
                    boxed(left, Expr::Num(*value), Expr::Add)
                }
                Some(_) if self.juxtaposed() => self.beside(left)?,
                _ => return Some(left),
            };
        }
    }

    /// True where the next token starts a factor without a sign of multiplication.
    fn juxtaposed(&self) -> bool {
        matches!(
            self.peek(),
            Some(
                Token::Sym(_)
                    | Token::Func(_)
                    | Token::Pi
                    | Token::Euler
                    | Token::Frac
                    | Token::Sqrt
                    | Token::Binom
                    | Token::Num(_)
                    | Token::Open(_)
            )
        )
    }

    /// `left` followed by a factor: a product, or a mixed number.
    fn beside(&mut self, left: Expr) -> Option<Expr> {
        let (next, space) = self.tokens.get(self.at)?;
        let whole = matches!(&left, Expr::Num(v) if v.as_int().is_some_and(|n| n >= 0));
        match next {
            // Two numbers side by side are a mixed number `1 1/2`, or nothing.
            Token::Num(_) => {
                let fraction = match self.tokens.get(self.at..self.at + 3)? {
                    [(Token::Num(n), _), (Token::Slash, _), (Token::Num(d), _)] => {
                        Self::proper(*n, *d)?
                    }
                    _ => return None,
                };
                if !whole || !space {
                    return None;
                }
                self.at += 3;
                return Some(boxed(left, Expr::Num(fraction), Expr::Add));
            }
            Token::Frac if whole => {
                let right = self.factor()?;
                if let Expr::Div(n, d) = &right
                    && let (Expr::Num(n), Expr::Num(d)) = (&**n, &**d)
                    && Self::proper(*n, *d).is_some()
                {
                    return Some(boxed(left, right, Expr::Add));
                }
                return Some(boxed(left, right, Expr::Mul));
            }
            // Two words side by side are prose.
            Token::Sym(name) if *space && name.len() > 1 && !is_greek(name) => return None,
            _ => {}
        }
        if matches!(&left, Expr::Sym(name) if name.len() > 1 && !is_greek(name)) {
            return None;
        }
        let right = self.factor()?;
        Some(boxed(left, right, Expr::Mul))
    }

    fn proper(n: Value, d: Value) -> Option<Value> {
        let (top, bottom) = (n.as_int()?, d.as_int()?);
        (top > 0 && top < bottom).then(|| Value::ratio(top, bottom))
    }

    fn signed(&mut self) -> Option<Expr> {
        let mut negative = false;
        loop {
            match self.peek() {
                Some(Token::Minus) => negative = !negative,
                Some(Token::Plus) => {}
                Some(Token::PlusMinus) => negative ^= self.minus,
                _ => break,
            }
            self.at += 1;
        }
        let factor = self.factor()?;
        Some(if negative {
            Expr::Neg(Box::new(factor))
        } else {
            factor
        })
    }

    /// A primary with its exponent and its signs behind.
    fn factor(&mut self) -> Option<Expr> {
        let mut base = self.nested(Self::primary)?;
        loop {
            let next = match self.peek() {
                Some(Token::Bang) => Expr::Call(Func::Factorial, Box::new(base)),
                Some(Token::Degree) => Expr::Degree(Box::new(base)),
                Some(Token::Percent) => Expr::Percent(Box::new(base)),
                Some(Token::Caret) => {
                    self.at += 1;
                    let exponent = self.nested(Self::signed)?;
                    base = boxed(base, exponent, Expr::Pow);
                    continue;
                }
                _ => return Some(base),
            };
            self.at += 1;
            base = next;
        }
    }

    fn primary(&mut self) -> Option<Expr> {
        let (token, _) = self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Num(value) | Token::Vulgar(value) => Some(Expr::Num(*value)),
            Token::Pi => Some(Expr::Pi),
            Token::Euler => Some(Expr::Euler),
            Token::Infinity => Some(Expr::Num(Value::Float(f64::INFINITY))),
            Token::Sym(name) => self.subscripted(name),
            Token::Open(bracket) => self.bracketed(*bracket),
            Token::Bar => {
                let inside = self.sum()?;
                self.eat(&Token::Bar)
                    .then(|| Expr::Call(Func::Abs, Box::new(inside)))
            }
            Token::Frac => {
                let top = self.argument()?;
                Some(boxed(top, self.argument()?, Expr::Div))
            }
            Token::Binom => {
                let (n, k) = (self.argument()?, self.argument()?);
                binomial(&n, &k)
            }
            Token::Sqrt => self.root(),
            Token::Func(func) => self.call(*func),
            _ => None,
        }
    }

    /// A symbol with `_1`, `_{ab}` or nothing behind.
    fn subscripted(&mut self, name: &str) -> Option<Expr> {
        if !self.eat(&Token::Underscore) {
            return Some(Expr::Sym(name.into()));
        }
        let group = self.eat(&Token::Open(Bracket::Curly));
        let mut full = format!("{name}_");
        loop {
            match self.peek()? {
                Token::Num(value) => full.push_str(&value.to_f64().to_string()),
                Token::Sym(part) => full.push_str(part),
                Token::Text(part) => full.push_str(part),
                Token::Euler => full.push('e'),
                Token::Comma if group => full.push(','),
                Token::Close(Bracket::Curly) if group => {
                    self.at += 1;
                    return Some(Expr::Sym(full));
                }
                _ => return None,
            }
            self.at += 1;
            if !group {
                return Some(Expr::Sym(full));
            }
        }
    }

    fn bracketed(&mut self, bracket: Bracket) -> Option<Expr> {
        let inside = self.sum()?;
        self.eat(&Token::Close(bracket)).then_some(inside)
    }

    /// `{…}` or a single token, as LaTeX takes arguments: `\frac12` is one half.
    fn argument(&mut self) -> Option<Expr> {
        if self.eat(&Token::Open(Bracket::Curly)) {
            return self.nested(|r| r.bracketed(Bracket::Curly));
        }
        self.nested(Self::primary)
    }

    fn root(&mut self) -> Option<Expr> {
        if self.peek() == Some(&Token::Open(Bracket::Square)) {
            self.at += 1;
            let degree = self.nested(Self::sum)?;
            if !self.eat(&Token::Close(Bracket::Square)) {
                return None;
            }
            let inside = self.argument()?;
            let one = Expr::Num(Value::int(1));
            return Some(boxed(inside, boxed(one, degree, Expr::Div), Expr::Pow));
        }
        let inside = self.nested(Self::primary)?;
        Some(Expr::Call(Func::Sqrt, Box::new(inside)))
    }

    fn call(&mut self, func: Func) -> Option<Expr> {
        let mut base = None;
        if func == Func::Ln && self.eat(&Token::Underscore) {
            base = Some(self.argument()?);
        }
        let exponent = match self.eat(&Token::Caret) {
            true => Some(self.nested(Self::signed)?),
            false => None,
        };
        let argument = match self.peek() {
            Some(Token::Open(bracket)) => {
                self.at += 1;
                let bracket = *bracket;
                let first = self.nested(|r| r.sum())?;
                if func == Func::Ln && self.eat(&Token::Comma) {
                    base = Some(self.nested(|r| r.sum())?);
                }
                if !self.eat(&Token::Close(bracket)) {
                    return None;
                }
                first
            }
            _ => self.nested(Self::loose_argument)?,
        };
        let mut value = Expr::Call(func, Box::new(argument));
        if let Some(base) = base {
            value = boxed(value, Expr::Call(Func::Ln, Box::new(base)), Expr::Div);
        }
        match exponent {
            // sin^{-1} is the inverse function, not the reciprocal.
            Some(Expr::Neg(e)) if matches!(&*e, Expr::Num(v) if v.as_int() == Some(1)) => {
                let Expr::Call(func, argument) = value else {
                    return None;
                };
                let inverse = match func {
                    Func::Sin => Func::Asin,
                    Func::Cos => Func::Acos,
                    Func::Tan => Func::Atan,
                    _ => return None,
                };
                Some(Expr::Call(inverse, argument))
            }
            Some(e) => Some(boxed(value, e, Expr::Pow)),
            None => Some(value),
        }
    }

    /// An argument without brackets: `sin 2x` takes the product, `sin x cos x` stops at the cosine.
    fn loose_argument(&mut self) -> Option<Expr> {
        let mut left = self.factor()?;
        while let Some(Token::Sym(_) | Token::Pi | Token::Euler | Token::Frac | Token::Sqrt) =
            self.peek()
        {
            left = boxed(left, self.factor()?, Expr::Mul);
        }
        Some(left)
    }
}

fn is_greek(name: &str) -> bool {
    super::names::greek_name(name).is_some() || name.contains('_')
}

fn binomial(n: &Expr, k: &Expr) -> Option<Expr> {
    let (Expr::Num(n), Expr::Num(k)) = (n, k) else {
        return None;
    };
    let (n, k) = (n.as_int()?, k.as_int()?);
    if !(0..=120).contains(&n) || k < 0 || k > n {
        return None;
    }
    let mut value = Value::int(1);
    for i in 0..k.min(n - k) {
        value = value.times(Value::int(n - i)).over(Value::int(i + 1));
    }
    Some(Expr::Num(value))
}
