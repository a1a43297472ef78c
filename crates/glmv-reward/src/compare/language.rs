//! Style of a whole text: long Chinese beside long English, and large repeated blocks.

/// Fewest Chinese characters of a long Chinese paragraph.
pub const MIN_CHINESE: usize = 50;
/// Fewest words of a long English paragraph.
pub const MIN_ENGLISH: usize = 200;
/// Characters of a block that is looked for again.
const BLOCK: usize = 50;
/// Times a block must occur to be a repetition.
const TIMES: u16 = 10;
/// Texts above this many characters are sampled: one block of [`SAMPLE`], the same for equal blocks.
const DENSE: usize = 60_000;
const SAMPLE: u64 = 16;

/// True where one paragraph is long and Chinese and another long and English.
pub fn mixes(text: &str) -> bool {
    mixes_across(&[text])
}

/// As [`mixes`], over several texts: the one may be Chinese and the other English.
pub fn mixes_across(texts: &[&str]) -> bool {
    let (mut chinese, mut english) = (false, false);
    for paragraph in texts.iter().flat_map(|text| text.split("\n\n")) {
        let paragraph = paragraph.trim();
        chinese |= is_chinese(paragraph);
        english |= is_english(paragraph);
        if chinese && english {
            return true;
        }
    }
    false
}

/// At least [`MIN_CHINESE`] Chinese characters, and more than 80 % of all.
fn is_chinese(paragraph: &str) -> bool {
    let (mut all, mut chinese) = (0_usize, 0_usize);
    for c in paragraph.chars() {
        all += 1;
        chinese += usize::from(('\u{4e00}'..='\u{9fff}').contains(&c));
    }
    chinese >= MIN_CHINESE && chinese as f64 / all as f64 > 0.8
}

/// At least [`MIN_ENGLISH`] words of two letters or more, and more than 70 % of all pieces.
fn is_english(paragraph: &str) -> bool {
    if paragraph.len() < MIN_ENGLISH * 3 - 1 {
        return false;
    }
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let words = paragraph
        .split(|c: char| !inside(c))
        .filter(|w| w.len() >= 2 && w.bytes().all(|b| b.is_ascii_alphabetic()))
        .count();
    words >= MIN_ENGLISH && {
        let pieces = paragraph.split_whitespace().count();
        words as f64 / (pieces as f64 + 1e-5) > 0.7
    }
}

/// True where a block of 50 characters occurs ten times, lines of rules and leaders aside.
pub fn repeats(text: &str) -> bool {
    // Ten overlapping blocks need 59 characters.
    if text.len() < BLOCK + usize::from(TIMES) - 1 {
        return false;
    }
    let chars = without_rules(text);
    let Some(blocks) = (chars.len() + 1).checked_sub(BLOCK) else {
        return false;
    };
    if blocks < usize::from(TIMES) {
        return false;
    }
    const BASE: u64 = 0x0100_0000_01b3;
    let leading = (1..BLOCK).fold(1_u64, |p, _| p.wrapping_mul(BASE));
    let sparse = chars.len() > DENSE;
    let mut hash = 0_u64;
    let mut hashes = Vec::with_capacity(if sparse { blocks / 8 } else { blocks });
    for (i, c) in chars.iter().enumerate() {
        if i >= BLOCK {
            let old = u64::from(u32::from(chars[i - BLOCK])) + 1;
            hash = hash.wrapping_sub(old.wrapping_mul(leading));
        }
        hash = hash
            .wrapping_mul(BASE)
            .wrapping_add(u64::from(u32::from(*c)) + 1);
        if i + 1 >= BLOCK {
            let mixed = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            if !sparse || (mixed >> 40).is_multiple_of(SAMPLE) {
                hashes.push(mixed);
            }
        }
    }
    hashes.sort_unstable();
    hashes
        .windows(usize::from(TIMES))
        .any(|w| w.first() == w.last())
}

/// Characters without runs of three and more of the signs that draw rules, tables and leaders.
fn without_rules(text: &str) -> Vec<char> {
    const RULES: &str = "=|-~_#*.%－█ ─";
    let mut out: Vec<char> = Vec::with_capacity(text.len().min(1 << 20));
    let mut run = 0;
    for c in text.chars() {
        if out.last() == Some(&c) && RULES.contains(c) {
            run += 1;
        } else {
            drop_run(&mut out, run);
            run = 1;
        }
        out.push(c);
    }
    drop_run(&mut out, run);
    out
}

fn drop_run(out: &mut Vec<char>, run: usize) {
    if run >= 3 {
        out.truncate(out.len() - run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chinese(n: usize) -> String {
        "这是一段很长的中文".chars().cycle().take(n).collect()
    }

    #[test]
    fn mixing_needs_both_to_be_long() {
        let english = "word ".repeat(200);
        assert!(mixes(&format!("{}\n\n{english}", chinese(50))));
        assert!(!mixes(&format!("{}\n\n{english}", chinese(49))));
        assert!(!mixes(&format!(
            "{}\n\n{}",
            chinese(60),
            "word ".repeat(199)
        )));
        assert!(
            !mixes(&format!("{}\n{english}", chinese(60))),
            "one paragraph is neither"
        );
        assert!(mixes_across(&[&chinese(60), &english]) && !mixes_across(&[&chinese(60), ""]));
        assert!(!mixes(&chinese(500)) && !mixes(&english) && !mixes(""));
    }

    #[test]
    fn repetition_is_seen_and_rules_are_not() {
        let block = "The answer must be checked once more before it is given. ";
        assert!(repeats(&block.repeat(10)));
        assert!(!repeats(&block.repeat(9)));
        assert!(repeats(&"啊".repeat(59)) && !repeats(&"啊".repeat(58)));
        assert!(!repeats(&"-".repeat(500)) && !repeats(&"| --- ".repeat(3)));
        let varied: String = (0..5000).map(|i| format!("{i} ")).collect();
        assert!(!repeats(&varied));
        assert!(
            repeats(&format!("{varied}{}", block.repeat(3000))),
            "a long text is sampled"
        );
    }

    proptest! {
        #[test]
        fn text_around_a_repetition_does_not_hide_it(head in "[a-z ]{0,200}", unit in "[a-z]{50,70}", tail in "[a-z ]{0,200}") {
            let text = format!("{head}{}{tail}", unit.repeat(11));
            prop_assert!(repeats(&text));
        }
    }
}
