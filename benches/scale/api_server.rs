//! The API server as it is measured: its calls by its own metrics, its CPU, and how fast it takes our statuses.

use std::{fs, time::Instant};

use control_plane::ControlPlane;
use futures::{StreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, PostParams},
};
use salesforce_backup_operator::api::SalesforceBackup;
use serde_json::{Value, json};

use crate::{
    harness::{self, Tenant},
    subject::cpu_seconds,
};

/// Status writes of an object: intent, accepted, end.
pub const WRITES: usize = 3;
/// Writes at once, as many as the operator has reconciles at work (`--concurrency`).
const AT_ONCE: usize = 64;

pub struct ApiServer {
    client: Client,
    pid: u32,
}

/// Calls that were counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// Backups that were read one by one, or listed.
    pub reads: f64,
    pub secrets: f64,
    pub namespaces: f64,
    /// Statuses and other parts of backups that were written.
    pub writes: f64,
    pub events: f64,
}

impl Calls {
    pub fn since(self, before: &Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            secrets: self.secrets - before.secrets,
            namespaces: self.namespaces - before.namespaces,
            writes: self.writes - before.writes,
            events: self.events - before.events,
        }
    }
}

impl ApiServer {
    pub async fn of(plane: &ControlPlane) -> Self {
        let client = harness::client(plane).await;
        let port = plane.url().rsplit_once(':').unwrap().1.to_owned();
        Self { client, pid: pid_with_argument(&format!("--secure-port={port}")) }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn cpu(&self) -> f64 {
        cpu_seconds(self.pid)
    }

    pub async fn calls(&self) -> Calls {
        let text = self.client.request_text(http::Request::get("/metrics").body(Vec::new()).unwrap()).await.unwrap();
        let mut calls = Calls::default();
        for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let count: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            let is = |label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
            let of = |resources: &[&str]| resources.iter().any(|resource| is("resource", resource));
            let reads = is("verb", "GET") || is("verb", "LIST");
            if reads && of(&["salesforcebackups"]) {
                calls.reads += count;
            } else if reads && of(&["secrets"]) {
                calls.secrets += count;
            } else if reads && of(&["namespaces"]) {
                calls.namespaces += count;
            } else if (is("verb", "PUT") || is("verb", "PATCH")) && of(&["salesforcebackups"]) {
                calls.writes += count;
            } else if (is("verb", "POST") || is("verb", "PATCH")) && of(&["events"]) {
                calls.events += count;
            }
        }
        calls
    }

    /// Seconds, and seconds of the API server's CPU, in which it takes these statuses for each of so many objects.
    pub async fn write_floor(&self, statuses: &[Value; WRITES], objects: usize) -> (f64, f64) {
        let (api, all) = self.with_objects(objects).await;
        let (begin, cpu) = (Instant::now(), self.cpu());
        let writing = stream::iter(all).for_each_concurrent(AT_ONCE, async |mut object| {
            for (write, status) in statuses.iter().enumerate() {
                object = write_status(&api, object, status, write).await;
            }
        });
        writing.await;
        (begin.elapsed().as_secs_f64(), self.cpu() - cpu)
    }

    /// Milliseconds of each of so many writes, one after another.
    pub async fn one_write_after_another(&self, status: &Value, writes: usize) -> Vec<f64> {
        let (api, all) = self.with_objects(1).await;
        let (mut object, mut waits) = (all.into_iter().next().unwrap(), Vec::new());
        for write in 0..writes {
            let begin = Instant::now();
            object = write_status(&api, object, status, write).await;
            waits.push(begin.elapsed().as_secs_f64() * 1000.0);
        }
        waits
    }

    async fn with_objects(&self, objects: usize) -> (Api<SalesforceBackup>, Vec<SalesforceBackup>) {
        let tenant = Tenant::new(&self.client).await;
        let create = async |number: usize| tenant.create(&format!("crm-{number}"), "cc", number, false).await;
        stream::iter(1..=objects).for_each_concurrent(AT_ONCE, create).await;
        let api = tenant.backups();
        let all = api.list(&ListParams::default()).await.unwrap().items;
        (api, all)
    }
}

async fn write_status(
    api: &Api<SalesforceBackup>,
    object: SalesforceBackup,
    status: &Value,
    write: usize,
) -> SalesforceBackup {
    let mut status = status.clone();
    if status.get("taskId").is_some() {
        status["taskId"] = json!(30_000 + write);
    }
    let object = SalesforceBackup { status: Some(serde_json::from_value(status).unwrap()), ..object };
    api.replace_status(&object.name_any(), &PostParams::default(), &object).await.unwrap()
}

/// The process that was started with this argument.
fn pid_with_argument(argument: &str) -> u32 {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
    let found = processes.into_iter().find(|pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|found| found == argument.as_bytes())
    });
    found.unwrap()
}
