//! The chart rendered from value files, and the values that it refuses, by both Helms that are in use.

use std::{collections::BTreeSet, fs};

use clap::CommandFactory as _;
use control_plane::Tool;
use salesforce_backup_operator::cli::Cli;
use serde_json::Value;

use crate::helm::{CHART, Folder, HELMS, copy, documents, run, values};

/// Without a cluster, Helm 3 takes one for granted that is older than the chart wants.
const TEMPLATE: [&str; 5] = ["template", "op", CHART, "--namespace=ops", "--kube-version=1.33.0"];
/// The least that has to be said.
const MINIMAL: [&str; 2] = ["--values", "tests/chart/values/minimal.yaml"];

#[test]
fn both_helms_find_nothing_to_complain_of() {
    for helm in HELMS {
        let linted = run(helm, &[&["lint", "--strict", CHART], &MINIMAL[..]].concat()).unwrap();
        assert!(!linted.contains("[WARNING]") && !linted.contains("[INFO]"), "{helm:?}: {linted}");
    }
}

#[test]
fn every_value_file_renders_the_same_objects_by_both_helms() {
    let files = values("values");
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let file = file.to_str().unwrap();
        let [four, three] = HELMS.map(|helm| {
            let rendered = run(helm, &[&TEMPLATE[..], &["--values", file]].concat()).unwrap();
            objects(&rendered)
        });
        for (four, three) in four.iter().zip(&three) {
            assert_eq!(four, three, "{file}");
        }
        assert_eq!(four.len(), three.len(), "{file}");
        let enabled = !fs::read_to_string(file).unwrap().contains("enabled: false # nothing");
        assert_eq!(four.iter().any(|object| object["kind"] == "Deployment"), enabled, "{file}");
    }
}

#[test]
fn a_value_that_cannot_work_is_refused_with_what_is_wrong() {
    let files = values("bad-values");
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected = text
            .lines()
            .next()
            .unwrap()
            .strip_prefix("# expects: ")
            .unwrap_or_else(|| panic!("{} does not say in its first line what it expects", file.display()));
        for helm in HELMS {
            let refused = run(helm, &[&TEMPLATE[..], &["--values", file.to_str().unwrap()]].concat());
            let complaint = refused.expect_err(&format!("{helm:?} takes {}", file.display()));
            assert!(complaint.contains(expected), "{helm:?} says of {}: {complaint}", file.display());
        }
    }
}

#[test]
fn the_suites_of_the_templates_pass() {
    let told = run(Tool::HelmUnittest, &["--strict", "--file", "../../tests/chart/unittest/*_test.yaml", CHART]);
    let told = told.unwrap_or_else(|complaint| panic!("{complaint}"));
    assert!(told.contains("Test Suites:"), "no suite was run: {told}");
}

#[test]
fn the_readme_of_the_chart_is_what_its_values_say() {
    let folder = Folder::new();
    copy(CHART.as_ref(), folder.path());
    run(Tool::HelmDocs, &["--chart-search-root", folder.path().to_str().unwrap()]).unwrap();
    let [written, kept] = [folder.path().join("README.md"), format!("{CHART}/README.md").into()]
        .map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(written, kept, "run helm-docs");
}

/// So that no flag is forgotten, and the two tables of defaults agree.
#[test]
fn every_flag_of_run_is_a_value_with_the_same_default() {
    let text = fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let rendered = run(
        Tool::Helm4,
        &["template", "op", CHART, "--namespace=ops", "--values", "tests/chart/values/everything.yaml"],
    );
    let rendered = rendered.unwrap();
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    for flag in
        run.get_arguments().filter(|flag| flag.get_long().is_some_and(|long| long != "help" && long != "version"))
    {
        let name = flag.get_long().unwrap();
        assert!(rendered.contains(&format!("--{name}=")), "no values render --{name}");
        let key = match name {
            "watch-namespace" | "allowed-endpoint" | "refused-cidr" => format!("{name}s"),
            other => other.to_owned(),
        };
        let value = values.get(camel_case(&key)).unwrap_or_else(|| panic!("--{name} is no value"));
        let default = flag.get_default_values().first().map(|value| value.to_str().unwrap());
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match name {
            // The release's own.
            "lease-name" | "lease-namespace" => assert_eq!(value, ""),
            _ => assert_eq!(value, default.unwrap_or(if key.ends_with('s') { "[]" } else { "null" }), "--{name}"),
        }
    }
}

#[test]
fn the_package_has_what_it_needs_and_nothing_else() {
    let folder = Folder::new();
    let at = folder.path().to_str().unwrap();
    run(Tool::Helm4, &["package", CHART, "--destination", at]).unwrap();
    let archive = format!("{at}/salesforce-backup-operator-{}.tgz", env!("CARGO_PKG_VERSION"));
    let listed = crate::helm::output(std::process::Command::new("tar").args(["-tzf", &archive])).unwrap();
    let tops: BTreeSet<&str> = listed.lines().filter_map(|line| line.split('/').nth(1)).collect();
    let expected =
        [".helmignore", "Chart.yaml", "README.md", "files", "templates", "values.schema.json", "values.yaml"];
    assert_eq!(tops, BTreeSet::from(expected));
}

#[test]
fn the_chart_is_of_the_programs_version() {
    let chart: Value = serde_yaml::from_str(&fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((chart["version"].as_str(), chart["appVersion"].as_str()), (Some(version), Some(version)));
    let rendered = run(Tool::Helm4, &[&TEMPLATE[..], &MINIMAL].concat()).unwrap();
    let deployment = documents(&rendered).into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    let listed = chart["annotations"]["artifacthub.io/images"].as_str().unwrap();
    assert!(listed.contains(&format!("image: {image}\n")), "{listed}");
}

fn camel_case(kebab: &str) -> String {
    let mut words = kebab.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let (head, tail) = word.split_at(1);
        format!("{all}{}{tail}", head.to_uppercase())
    })
}

/// The objects of a rendered chart, whatever their order.
fn objects(rendered: &str) -> Vec<Value> {
    let mut objects = documents(rendered);
    let id = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{}/{}/{}", object["kind"], metadata["namespace"], metadata["name"])
    };
    objects.sort_by_key(id);
    objects
}
