//! The table of domains.

use super::steps::Step::{self, *};
use super::{Domain, Extraction, Params, prompts};
use crate::grammar::{Boxed, Think};

/// A think block and one box.
const BOXED: Extraction = Extraction::Grammar(Think::Required, Boxed::One);
/// One box; agents may go without a think block.
const ACTION: Extraction = Extraction::Grammar(Think::Optional, Boxed::One);
/// A think block and no box.
const OPEN: Extraction = Extraction::Grammar(Think::Required, Boxed::None);

const HEDGE: Step = Hedge {
    spans: false,
    commas: true,
};
const HEDGE_SPANS: Step = Hedge {
    spans: true,
    commas: true,
};
const MATH: Step = Math {
    symbolic: false,
    mixed: false,
};
/// Choices where the case of a letter has a meaning of its own.
const LETTER: Step = Choice { fold: false };
const CHOICE: Step = Choice { fold: true };

const PARAMS: Params = Params::DEFAULT;
const STEM: Params = Params {
    rel_tol: 1e-5,
    ..PARAMS
};
const TOL: &[&str] = &["rel_tol"];
const OCR: &[&str] = &["ignore_case", "lower", "upper"];

/// Questions whose answer is a word, a number, a date or a choice.
const VQA: &[Step] = &[
    Identical,
    Empty,
    Folded,
    CHOICE,
    HEDGE,
    DateAccept,
    NumberAccept,
];

macro_rules! row {
    ($name:literal, $aliases:expr, $about:literal, $extraction:expr, $steps:expr, $keys:expr, $params:expr, $prompt:expr) => {
        Domain {
            name: $name,
            aliases: $aliases,
            about: $about,
            extraction: $extraction,
            steps: $steps,
            keys: $keys,
            params: $params,
            prompt: $prompt,
        }
    };
}

/// Every domain.
#[rustfmt::skip]
pub static DOMAINS: &[Domain] = &[
    row!("math", &[], "mathematics: numbers, expressions, sets, intervals", BOXED,
        &[Identical, Empty, LETTER, HEDGE, MATH], TOL, PARAMS, Some(prompts::MATH)),
    row!("physics", &[], "physics: as mathematics, units to the judge", BOXED,
        &[Identical, Empty, LETTER, HEDGE, Units, MATH], TOL, STEM, Some(prompts::QUANTITY)),
    row!("chemistry", &[], "chemistry: as physics, formulas in any notation", BOXED,
        &[Identical, Empty, LETTER, HEDGE, Units, Formula, MATH], TOL, STEM, Some(prompts::QUANTITY)),
    row!("biology", &[], "biology: words, genotypes, ratios", BOXED,
        &[Identical, Empty, LETTER, HEDGE, Genotype, MathAccept], TOL, STEM, Some(prompts::KNOWLEDGE)),
    row!("geography", &[], "geography: names, lists of names, numbers", BOXED,
        &[Identical, Empty, Folded, CHOICE, Hedge { spans: false, commas: false }, List, NumberAccept],
        TOL, STEM, Some(prompts::KNOWLEDGE)),
    row!("liberal_arts", &[], "history, politics, literature", BOXED,
        &[Identical, Empty, Folded, CHOICE, DateAccept], &[], PARAMS, Some(prompts::KNOWLEDGE)),
    row!("chart", &[], "charts: numbers within a tolerance, years exactly, labels", BOXED,
        &[Identical, Empty, Folded, CHOICE, HEDGE_SPANS, Date, Year, Number], TOL,
        Params { rel_tol: 0.025, ..PARAMS }, Some(prompts::CHART)),
    row!("ocr", &[], "text in pictures: edit distance without spaces", BOXED, &[Ocr], OCR, PARAMS, None),
    row!("ocr_ignore_case", &[], "as ocr, case does not count", BOXED, &[Ocr], OCR,
        Params { ignore_case: true, ..PARAMS }, None),
    row!("counting", &[], "how many: whole numbers, also as words", BOXED,
        &[Identical, Empty, CHOICE, HEDGE_SPANS, Count], &[], PARAMS, Some(prompts::COUNT)),
    row!("vqa", &["general_vqa"], "questions about a picture", BOXED, VQA, &[], PARAMS, Some(prompts::VISUAL)),
    row!("general", &["default"], "what has no domain of its own", BOXED, VQA, &[], PARAMS, Some(prompts::VISUAL)),
    row!("closed", &[], "a word, a number or a choice from a closed set: no judge is asked", BOXED, VQA, &[], PARAMS, None),
    row!("multi_image", &[], "questions about several pictures", BOXED,
        &[Identical, Empty, Folded, CHOICE, HEDGE, Date, MATH], TOL, PARAMS, Some(prompts::VISUAL)),
    row!("spatial", &["mmsi"], "directions, distances, relations in space", BOXED,
        &[Identical, Empty, Folded, CHOICE, HEDGE, Math { symbolic: true, mixed: true }, Opposite], TOL,
        Params { rel_tol: 0.01, ..PARAMS }, Some(prompts::VISUAL)),
    row!("grounding", &[], "boxes of objects: IoU above tau, one to one", BOXED, &[Boxes], &["tau"], PARAMS, None),
    row!("gui_grounding", &[], "one element of a screen: IoU of the box, or a point in it", ACTION, &[Target], &[], PARAMS, None),
    row!("gui_mobile", &["AndroidWorld"], "one action on a phone", ACTION, &[Mobile], &[], PARAMS, None),
    row!("gui_computer", &["OSWorld"], "one action on a computer", ACTION, &[Computer], &[], PARAMS, None),
    row!("gui_web", &["WebVoyager"], "one action in a browser", ACTION, &[Web], &[], PARAMS, None),
    row!("gui_qa", &[], "a question about a screen", ACTION, VQA, &[], PARAMS, Some(prompts::VISUAL)),
    row!("video_qa", &["video"], "questions about a video", BOXED, VQA, &[], PARAMS, Some(prompts::VISUAL)),
    row!("temporal_grounding", &[], "when something happens in a video: overlap of time", BOXED, &[Overlap], &[], PARAMS, None),
    row!("long_document", &["long_doc"], "questions about many pages", BOXED,
        &[Identical, Empty, Folded, CHOICE, DateAccept, NumberAccept], &[], PARAMS, Some(prompts::DOCUMENT)),
    row!("geo_guess", &["geoquest"], "where a picture was taken: a judge grades in parts", BOXED,
        &[Empty, MaxChars], &["max_chars"], PARAMS, Some(prompts::PLACE)),
    row!("language_mix", &[], "one language throughout", Extraction::Whole, &[LanguageMix], &[], PARAMS, None),
    row!("open_ended", &["chat"], "no single correct answer: a model grades it", OPEN, &[Open], &[], PARAMS, Some(prompts::OPEN)),
];
