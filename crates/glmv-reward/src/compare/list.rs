//! Lists of names without regard to order; an item that is repeated counts as often.

use super::string::fold;

/// Most items of a list.
const MAX_ITEMS: usize = 500;

/// Items between commas, semicolons, line ends and spaces, folded and sorted.
pub fn items(text: &str) -> Option<Vec<String>> {
    let ends = |c: char| c.is_whitespace() || ",;、，；".contains(c);
    let mut items: Vec<String> = text
        .split(ends)
        .filter(|s| !s.is_empty())
        .take(MAX_ITEMS + 1)
        .map(fold)
        .collect();
    if items.is_empty() || items.len() > MAX_ITEMS {
        return None;
    }
    items.sort_unstable();
    Some(items)
}

/// True where both lists hold the same items.
pub fn same(answer: &str, truth: &str) -> bool {
    matches!((items(answer), items(truth)), (Some(a), Some(t)) if a == t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_and_separators_do_not_matter() {
        assert!(same("长江、黄河", "黄河,长江"));
        assert!(same("Paris; London", "london, paris"));
        assert!(!same("Paris", "Paris, London") && !same("", ""));
        assert!(
            !same("Paris, Paris", "Paris"),
            "a repetition is another list"
        );
    }

    proptest! {
        #[test]
        fn rotated_lists_are_the_same(mut items in prop::collection::vec("[a-z]{1,6}", 1..8), turn in 0_usize..8, extra in "[A-Z]{7}") {
            let text = items.join(", ");
            let turn = turn % items.len();
            items.rotate_left(turn);
            prop_assert!(same(&items.join("、"), &text));
            items.push(extra);
            prop_assert!(!same(&items.join("；"), &text));
        }
    }
}
