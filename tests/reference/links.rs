//! Links of Markdown pages: what is broken in a set of pages. Pure; the caller reads the files.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::anchors::anchors;

/// One page: the texts of its headings and the targets of its links.
pub fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut headings, mut links, mut open) = (Vec::new(), Vec::new(), None::<String>);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => open = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => headings.extend(open.take()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => links.push(dest_url.to_string()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = open.as_mut() {
                    heading.push_str(&part);
                }
            }
            _ => {}
        }
    }
    (headings, links)
}

/// The path that `link` means on page `from`; `None` if it leaves the repository, or begins at a root, which is another one
/// on each site that shows the page.
pub fn resolve(from: &str, link: &str) -> Option<String> {
    if link.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Every broken relative link and anchor of `pages` (path to text); `files` holds every path, folders too.
pub fn broken(pages: &BTreeMap<String, String>, files: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (page, text) in pages {
        for link in read(text).1.into_iter().filter(|link| !link.contains(':')) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { Some(page.clone()) } else { resolve(page, path) };
            let Some(target) = target.filter(|target| target.is_empty() || files.contains(target)) else {
                found.push(format!("{page}: no file for {link}"));
                continue;
            };
            if let (false, Some(text)) = (anchor.is_empty(), pages.get(&target))
                && !anchors(read(text).0.iter().map(String::as_str)).iter().any(|known| known == anchor)
            {
                found.push(format!("{page}: no heading for {link}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &str) -> Vec<String> {
        let pages = BTreeMap::from([("docs/a.md".into(), a.into()), ("b.md".into(), "# The `b` page".into())]);
        let files = pages.keys().cloned().chain(["docs".to_owned()]).collect();
        broken(&pages, &files)
    }

    #[test]
    fn sound_links_pass() {
        assert!(check("[b](../b.md#the-b-page) [c](https://example.com/x)").is_empty());
    }

    #[test]
    fn broken_links_and_anchors_are_named() {
        assert_eq!(check("[b](b.md)"), ["docs/a.md: no file for b.md"]);
        assert_eq!(check("[b](../b.md#gone)"), ["docs/a.md: no heading for ../b.md#gone"]);
    }

    #[test]
    fn a_page_is_checked_against_its_own_headings_numbered_where_they_repeat() {
        assert!(check("# Here\n## Here\n[1](#here) [2](#here-1) [3](../docs/)").is_empty());
        assert_eq!(check("# Here\n[2](#here-1)"), ["docs/a.md: no heading for #here-1"]);
    }

    #[test]
    fn links_by_reference_and_images_are_links_and_code_is_not() {
        let found = check("[one][r] ![two](c.png)\n\n`[three](d.md)`\n\n```\n[four](e.md)\n```\n\n[r]: f.md\n");
        assert_eq!(found, ["docs/a.md: no file for f.md", "docs/a.md: no file for c.png"]);
    }

    #[test]
    fn a_link_that_leaves_the_repository_or_begins_at_a_root_is_broken() {
        assert_eq!(check("[b](../../b.md)"), ["docs/a.md: no file for ../../b.md"]);
        assert_eq!(check("[b](/b.md)"), ["docs/a.md: no file for /b.md"]);
    }
}
