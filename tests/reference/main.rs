//! The reference pages of `docs`, which are generated from the code, and the links of every Markdown page.
//!
//! `SFB_UPDATE=1 cargo test --test reference` writes the pages instead of comparing them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod anchors;
mod conditions;
mod flags;
mod links;
mod summary;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use salesforce_backup_operator::cli::crds::{self, Format};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// True if the pages are to be written. Their links are then left to the next run, because tests run side by side.
fn is_update() -> bool {
    std::env::var_os("SFB_UPDATE").is_some()
}

/// Compares `page` of `docs/reference` with what the code says, or writes it.
fn compare(page: &str, generated: &str) {
    let path = root().join("docs/reference").join(page);
    if is_update() {
        fs::write(path, generated).unwrap();
        return;
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let lines = stored.lines().map(Some).chain(std::iter::repeat(None));
    let first = generated.lines().zip(lines).enumerate().find(|(_, (code, page))| Some(*code) != *page);
    assert!(
        stored == generated,
        "docs/reference/{page} does not say what the code says; write it anew by SFB_UPDATE=1 cargo test --test reference\n{first:#?}"
    );
}

#[test]
fn the_page_of_the_kind_is_up_to_date() {
    compare("kind.md", &crds::text(&crds::Args { format: Format::Markdown }).unwrap());
}

#[test]
fn the_page_of_conditions_is_up_to_date() {
    compare("conditions.md", &conditions::page());
}

#[test]
fn the_page_of_flags_is_up_to_date() {
    compare("flags.md", &flags::page());
}

#[test]
fn the_page_of_values_is_up_to_date() {
    let chart = root().join("charts/salesforce-backup-operator");
    let read = |file: &str| fs::read_to_string(chart.join(file)).unwrap();
    let schema = serde_json::from_str(&read("values.schema.json")).unwrap();
    compare("values.md", &values::page(&read("values.yaml"), &schema));
}

/// Every file of the repository with its folders, and the text of every page.
fn tree() -> (BTreeSet<String>, BTreeMap<String, String>) {
    let listed =
        Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let (mut files, mut pages) = (BTreeSet::new(), BTreeMap::new());
    for file in String::from_utf8(listed.stdout).unwrap().lines() {
        let Ok(bytes) = fs::read(root().join(file)) else { continue };
        if Path::new(file).extension().is_some_and(|extension| extension == "md") {
            pages.insert(file.to_owned(), String::from_utf8(bytes).unwrap());
        }
        files.extend(Path::new(file).ancestors().filter_map(|path| path.to_str()).map(str::to_owned));
    }
    (files, pages)
}

#[test]
fn every_link_and_anchor_of_every_page_leads_somewhere() {
    if is_update() {
        return;
    }
    let (files, pages) = tree();
    assert!(pages.len() > 20, "the pages are found: {}", pages.len());
    assert_eq!(links::broken(&pages, &files), Vec::<String>::new());
}

#[test]
fn the_summary_names_every_page_of_docs_and_no_page_is_long() {
    if is_update() {
        return;
    }
    assert_eq!(summary::faults(&tree().1), Vec::<String>::new());
}

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
}
