//! `docs/SUMMARY.md` against the pages of `docs`, and the length of a page. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::links::{read, resolve};

const SUMMARY: &str = "docs/SUMMARY.md";
const LINES: usize = 150;
/// Pages that a test generates; they may be long.
const GENERATED: [&str; 4] =
    ["docs/reference/kind.md", "docs/reference/flags.md", "docs/reference/conditions.md", "docs/reference/values.md"];

/// Pages that the summary lacks, entries that are no page, and pages of 150 lines or more.
pub fn faults(pages: &BTreeMap<String, String>) -> Vec<String> {
    let Some(summary) = pages.get(SUMMARY) else { return vec![format!("{SUMMARY} is missing")] };
    let named: BTreeSet<String> = read(summary).1.iter().filter_map(|link| resolve(SUMMARY, link)).collect();
    let docs: BTreeSet<String> =
        pages.keys().filter(|page| page.starts_with("docs/") && *page != SUMMARY).cloned().collect();
    let missing = docs.difference(&named).map(|page| format!("{SUMMARY} does not name {page}"));
    let extra = named.difference(&docs).map(|page| format!("{SUMMARY} names {page}, which is no page of docs"));
    let long = docs.iter().filter(|page| !GENERATED.contains(&page.as_str()) && pages[*page].lines().count() >= LINES);
    missing.chain(extra).chain(long.map(|page| format!("{page} has {LINES} lines or more"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(summary: &str, page: &str) -> Vec<String> {
        faults(&BTreeMap::from([(SUMMARY.into(), summary.into()), ("docs/a.md".into(), page.into())]))
    }

    #[test]
    fn pages_and_summary_must_agree() {
        assert!(check("[a](a.md)", "x").is_empty());
        assert_eq!(check("", "x"), ["docs/SUMMARY.md does not name docs/a.md"]);
        assert_eq!(check("[a](a.md) [b](b.md)", "x"), ["docs/SUMMARY.md names docs/b.md, which is no page of docs"]);
    }

    #[test]
    fn a_long_page_is_named() {
        assert_eq!(check("[a](a.md)", &"x\n".repeat(150)), ["docs/a.md has 150 lines or more"]);
    }
}
