//! Anchors as GitHub makes them from headings, and targets of relative links. Pure.

use std::collections::HashMap;

/// The anchor of one heading: lower case; letters, digits, `_` and `-` stay, a space becomes `-`, the rest goes.
pub fn slug(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    heading.trim().to_lowercase().chars().filter_map(kept).collect()
}

/// The anchors of a page, in order: the second heading with the same text gets `-1`, the third `-2`.
pub fn anchors<'a>(headings: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    headings
        .into_iter()
        .map(slug)
        .map(|base| {
            let count = seen.entry(base.clone()).or_insert(0);
            let anchor = if *count == 0 { base } else { format!("{base}-{count}") };
            *count += 1;
            anchor
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_goes_and_spaces_become_hyphens() {
        assert_eq!(slug("Use `spec.suspend`: a how-to"), "use-specsuspend-a-how-to");
    }

    #[test]
    fn repeated_headings_are_numbered() {
        assert_eq!(anchors(["A", "B", "A", "A"]), ["a", "b", "a-1", "a-2"]);
    }
}
