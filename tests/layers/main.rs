//! The floors of the house: no file imports from a floor above its own, and no two files import each other in a circle.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod graph;

use std::{collections::BTreeMap, fs, path::Path};

use graph::Graph;

/// The floor of each module of `src`, as `src/lib.rs` says.
const FLOORS: [(&str, u8); 12] = [
    ("api", 1),
    ("time", 1),
    ("fair_queue", 1),
    ("single_flight", 1),
    ("proxies", 1),
    ("kubernetes", 2),
    ("command_center", 2),
    ("connections", 3),
    ("process", 3),
    ("backup", 4),
    ("simulator", 5),
    ("cli", 6),
];

/// Files that have the names of the field's terms now.
const GIVEN_UP_FILES: [&str; 16] = [
    "turns", "aside", "gates", "budget", "side", "rounds", "waiting", "desk", "standing", "state", "progress", "judge",
    "others", "mark", "settle", "kept",
];

/// Names that the code gave up for the terms of the field.
const GIVEN_UP_NAMES: [&str; 19] = [
    "Turn", "Turns", "turns", "Aside", "aside", "Lanes", "LANES", "lanes", "Rounds", "Desk", "desk", "Told", "Known",
    "Standing", "Facts", "News", "judge", "Mark", "Kept",
];

/// Every file of `folder` by its path from there, with its text.
fn sources(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

fn house() -> BTreeMap<String, String> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn no_file_imports_from_a_floor_above_its_own() {
    let graph = Graph::of(&house());
    assert!(graph.edges().count() > 300, "the imports are read: {}", graph.edges().count());
    assert_eq!(graph.upward(&FLOORS), Vec::<String>::new());
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    assert_eq!(Graph::of(&house()).circles(), Vec::<Vec<String>>::new());
}

#[test]
fn every_module_has_its_floor_in_the_table_of_the_library() {
    let library = &house()["lib.rs"];
    for (module, floor) in FLOORS {
        assert!(library.contains(&format!("pub mod {module};")), "{module} is no module");
        let row = library.lines().find(|line| line.starts_with(&format!("//! | {floor} |"))).unwrap();
        assert!(row.contains(&format!("[`{module}`]")), "{module} does not stand on floor {floor}: {row}");
    }
    assert_eq!(library.matches("\npub mod ").count(), FLOORS.len(), "a module has no floor");
}

#[test]
fn an_upward_import_that_is_planted_is_found() {
    let mut house = house();
    let file = house.get_mut("time/clock.rs").unwrap();
    file.push_str("use crate::api::{self, ids::JobId};\nuse crate::{kubernetes::key::{ObjectKey}, time};\n");
    let found = Graph::of(&house).upward(&FLOORS);
    assert_eq!(found, ["time/clock.rs imports kubernetes/key.rs, which is a floor above it"]);
}

#[test]
fn a_circle_that_is_planted_is_found_also_through_a_re_export_and_a_path_in_the_code() {
    let planted = |text: &str| {
        let mut house = house();
        house.get_mut("api/ids.rs").unwrap().push_str(text);
        Graph::of(&house).circles()
    };
    for text in ["use super::SalesforceBackupStatus;", "fn f(_: crate::api::SalesforceBackupStatus) {}"] {
        let circles = planted(text);
        assert_eq!(circles.len(), 1, "{text}: {circles:?}");
        assert!(circles[0].contains(&"api/ids.rs".to_owned()) && circles[0].contains(&"api/status.rs".to_owned()));
    }
}

#[test]
fn no_comment_begins_with_a_question_word() {
    for (file, text) in house() {
        for line in text.lines().map(str::trim_start) {
            let comment = ["//! ", "/// "].iter().find_map(|begin| line.strip_prefix(begin)).unwrap_or_default();
            let first = comment.split_whitespace().next().unwrap_or_default();
            assert!(!["What", "Who", "Whether", "How"].contains(&first), "{file}: {line}");
        }
    }
}

#[test]
fn neither_a_file_nor_a_name_is_of_the_private_language_that_was_given_up() {
    for (file, text) in house().into_iter().filter(|(file, _)| !file.starts_with("simulator/")) {
        let is_given_up = |part: &str| GIVEN_UP_FILES.contains(&part.strip_suffix(".rs").unwrap_or(part));
        // The state of a job is the Command Center's own word.
        assert!(!file.split('/').any(is_given_up) || file == "command_center/jobs/state.rs", "{file}");
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        let mut names = code.split(|character: char| !character.is_alphanumeric() && character != '_');
        assert_eq!(names.find(|name| GIVEN_UP_NAMES.contains(name)), None, "{file}");
    }
}
