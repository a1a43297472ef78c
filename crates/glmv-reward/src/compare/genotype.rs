//! Genotypes: `bBAa` is `AaBb`.

/// Pairs of alleles in a fixed order; `None` if `text` is no plain genotype.
pub fn normal(text: &str) -> Option<Vec<[char; 2]>> {
    let letters: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let fits = (2..=24).contains(&letters.len()) && letters.len().is_multiple_of(2);
    if !fits || !letters.iter().all(char::is_ascii_alphabetic) {
        return None;
    }
    let mut pairs = Vec::with_capacity(letters.len() / 2);
    for pair in letters.chunks_exact(2) {
        if !pair[0].eq_ignore_ascii_case(&pair[1]) {
            return None;
        }
        pairs.push([pair[0].min(pair[1]), pair[0].max(pair[1])]);
    }
    pairs.sort_unstable_by_key(|p| (p[0].to_ascii_uppercase(), *p));
    let repeated = pairs
        .windows(2)
        .any(|w| w[0][0].eq_ignore_ascii_case(&w[1][0]));
    (!repeated).then_some(pairs)
}

/// True where both are the same genotype; `None` where one is none.
pub fn same(answer: &str, truth: &str) -> Option<bool> {
    Some(normal(answer)? == normal(truth)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_of_alleles_does_not_matter() {
        assert_eq!(same("bBAa", "AaBb"), Some(true));
        assert_eq!(same("AABb", "AaBb"), Some(false));
        for text in ["A", "mitosis", "AB", "AaA", "", "AaAA", "Aa1"] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shuffled_pairs_are_the_same(kinds in prop::collection::vec(0_u8..4, 1..6), turn in 0_usize..6) {
            let pair = |i: usize, kind: u8| {
                let upper = char::from(b'A' + i as u8);
                let lower = upper.to_ascii_lowercase();
                match kind { 0 => [upper, upper], 1 => [lower, lower], 2 => [upper, lower], _ => [lower, upper] }
            };
            let pairs: Vec<[char; 2]> = kinds.iter().enumerate().map(|(i, k)| pair(i, *k)).collect();
            let text: String = pairs.iter().flatten().collect();
            let mut turned = pairs.clone();
            turned.rotate_left(turn % pairs.len());
            let turned: String = turned.iter().map(|p| [p[1], p[0]]).collect::<Vec<_>>().concat().iter().collect();
            prop_assert_eq!(same(&turned, &text), Some(true));
        }
    }
}
