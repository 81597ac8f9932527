//! Everything in `examples/` is taken by a real API server, and the quickstart runs.

use std::{path::PathBuf, process::Command};

use salesforce_backup_operator::{api::Phase, cli::render::render, simulator::Behaviour};

use crate::world::{World, fast_flags, kubectl};

fn files() -> Vec<PathBuf> {
    let all = std::fs::read_dir("examples").unwrap().map(|entry| entry.unwrap().path());
    let mut yaml: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    yaml.sort();
    yaml
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_example_can_be_applied() {
    let world = World::without_operator(Behaviour::default()).await;
    let files = files();
    assert!(files.len() >= 5, "{files:?}");
    for file in files.iter().filter(|file| !file.ends_with("kustomization.yaml")) {
        let applied = tokio::task::block_in_place(|| {
            kubectl(&["apply", "--validate=strict", "-n", &world.namespace, "-f", file.to_str().unwrap()])
        });
        assert!(applied.is_ok(), "{}: {applied:?}", file.display());
        let text = std::fs::read_to_string(file).unwrap();
        if text.contains("kind: SalesforceBackup") {
            render(&text).expect("what the server takes, render takes");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kustomization_gives_backups_that_run_once_their_secrets_are_real() {
    let world = World::with(
        Behaviour { job_duration: std::time::Duration::from_millis(300), ..Behaviour::default() },
        &fast_flags(),
    )
    .await;
    tokio::task::block_in_place(|| kubectl(&["apply", "-k", "examples", "-n", &world.namespace])).unwrap();
    for secret in ["commandcenter", "commandcenter-saas"] {
        world.write_secret(secret, &world.simulator.url(), world.simulator.token()).await;
    }
    for name in ["crm-minimal", "crm-full"] {
        world.until_phase(name, Phase::Succeeded).await;
    }
    assert_eq!(world.executed(), 2);
    let table = tokio::task::block_in_place(|| kubectl(&["get", "sfb", "-n", &world.namespace])).unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "PHASE", "TASK", "JOBS", "PROGRESS", "AGE"]);
    let job = world.backups().get("crm-minimal").await.unwrap().status.unwrap().job_ids[0].to_string();
    let row = table.lines().find(|line| line.starts_with("crm-minimal ")).unwrap();
    assert_eq!(row.split_whitespace().nth(3), Some(job.as_str()), "a job is shown as people write it: {row}");
    let wide = tokio::task::block_in_place(|| kubectl(&["get", "sfb", "-o", "wide", "-n", &world.namespace])).unwrap();
    let header: Vec<&str> = wide.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "PHASE", "TASK", "JOBS", "PROGRESS", "LEVEL", "RUN", "REASON", "SUBMITTED", "AGE"]);
    let again = tokio::task::block_in_place(|| {
        kubectl(&["diff", "-f", "examples/salesforcebackup-full.yaml", "-n", &world.namespace])
    });
    assert_eq!(again.as_deref(), Ok(""), "what was applied stays as it was written");
}

/// Runs the quickstart with `environment`, and gives whether it went well and what it printed.
fn quickstart(environment: &[(&str, &str)]) -> (bool, String) {
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/quickstart");
    let output = Command::new(program).arg("--once").envs(environment.iter().copied()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

#[test]
fn the_quickstart_follows_two_backups_to_their_end() {
    let (well, text) = quickstart(&[]);
    assert!(well, "{text}");
    for expected in
        ["NAME", "PHASE", "crm-minimal", "crm-full", "Running", "Succeeded", "100%", "executed 2 CreateTask calls"]
    {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
}

#[test]
fn the_quickstart_fails_when_its_backups_do() {
    let (well, text) = quickstart(&[("SFB_ALLOWED_ENDPOINT", "https://commandcenter.example.com/commandcenter/api")]);
    assert!(!well && text.contains("EndpointNotAllowed") && text.contains("executed 0 CreateTask calls"), "{text}");
}
