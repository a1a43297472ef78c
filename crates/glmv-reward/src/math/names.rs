//! Names that mathematical text knows: functions, Greek letters, LaTeX commands.

use super::ast::Func;

/// The function a name stands for.
pub fn function(name: &str) -> Option<Func> {
    Some(match name {
        "sin" => Func::Sin,
        "cos" => Func::Cos,
        "tan" | "tg" => Func::Tan,
        "cot" | "ctg" => Func::Cot,
        "sec" => Func::Sec,
        "csc" => Func::Csc,
        "arcsin" | "asin" => Func::Asin,
        "arccos" | "acos" => Func::Acos,
        "arctan" | "atan" => Func::Atan,
        "sinh" => Func::Sinh,
        "cosh" => Func::Cosh,
        "tanh" => Func::Tanh,
        "ln" | "log" => Func::Ln,
        "lg" => Func::Lg,
        "exp" => Func::Exp,
        "sqrt" => Func::Sqrt,
        "abs" | "Abs" => Func::Abs,
        "factorial" => Func::Factorial,
        _ => return None,
    })
}

/// Functions that may stand before their argument without a space: `sinx`, `lnx`.
pub const PREFIXES: [&str; 9] = [
    "arcsin", "arccos", "arctan", "sin", "cos", "tan", "ln", "lg", "log",
];

/// Greek letters: character and name.
const GREEK: [(char, &str); 32] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('ζ', "zeta"),
    ('η', "eta"),
    ('θ', "theta"),
    ('ι', "iota"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
    ('Γ', "Gamma"),
    ('Δ', "Delta"),
    ('Θ', "Theta"),
    ('Λ', "Lambda"),
    ('Ξ', "Xi"),
    ('Π', "Pi"),
    ('Σ', "Sigma"),
    ('Φ', "Phi"),
    ('Ψ', "Psi"),
    ('Ω', "Omega"),
    ('ℏ', "hbar"),
];

/// The name of a Greek letter.
pub fn greek_char(c: char) -> Option<&'static str> {
    let c = match c {
        'ϕ' => 'φ',
        'ϵ' => 'ε',
        'µ' => 'μ',
        'Ω' => 'Ω',
        other => other,
    };
    GREEK.iter().find(|(g, _)| *g == c).map(|(_, name)| *name)
}

/// The name of a Greek letter from its command or plain name.
pub fn greek_name(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("var").unwrap_or(name);
    GREEK.iter().find(|(_, n)| *n == name).map(|(_, n)| *n)
}

/// Commands that only change the look.
pub fn is_spacing(command: &str) -> bool {
    matches!(
        command,
        "left"
            | "right"
            | "big"
            | "Big"
            | "bigl"
            | "bigr"
            | "Bigl"
            | "Bigr"
            | "bigg"
            | "Bigg"
            | "quad"
            | "qquad"
            | "displaystyle"
            | "textstyle"
            | "limits"
            | "nolimits"
            | "rm"
            | "it"
            | "bf"
    )
}

/// Commands whose argument is text.
pub fn is_text(command: &str) -> bool {
    matches!(
        command,
        "text"
            | "mathrm"
            | "textrm"
            | "textbf"
            | "textit"
            | "mathbf"
            | "mathit"
            | "operatorname"
            | "mbox"
            | "mathsf"
            | "boldsymbol"
            | "unit"
            | "hbox"
            | "mathcal"
    )
}
