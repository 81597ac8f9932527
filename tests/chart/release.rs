//! A release over time: installed, upgraded while a backup runs, rolled back, uninstalled, installed again.

use std::{fs, time::Duration};

use control_plane::Tool;
use salesforce_backup_operator::simulator::{Behaviour, End, Options, Simulator};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    helm::{CHART, Folder, command, copy, documents, output, values},
    operator::Operator,
};

const KIND: &str = "salesforcebackups.commandcenter.dev";
const OPERATOR: &str = "op-salesforce-backup-operator";

/// The chart as an earlier version might have been: with a definition that has a column less.
fn earlier(folder: &Folder) -> String {
    let chart = folder.path().join("earlier");
    copy(CHART.as_ref(), &chart);
    let change = |name: &str, from: &str, to: &str| {
        let path = chart.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let version = format!("ersion: {}", env!("CARGO_PKG_VERSION"));
    change("Chart.yaml", &version, "ersion: 0.0.1");
    change("files/crds/salesforcebackups.yaml", "name: Progress", "name: Done");
    chart.to_str().unwrap().to_owned()
}

fn columns(cluster: &Cluster) -> String {
    cluster.get(&["crd", KIND])["spec"]["versions"][0]["additionalPrinterColumns"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_upgraded_in_mid_run_rolled_back_and_uninstalled_and_the_backup_runs_once() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
    tokio::task::block_in_place(|| {
        let (cluster, folder) = (Cluster::start(), Folder::new());
        let earlier = earlier(&folder);
        cluster.kubectl(&["create", "namespace", "ops"]).unwrap();
        let flags = ["-n", "ops", "--set", "allowInsecureHttp=true,pollInterval=1s"];
        let helm = |arguments: &[&str]| cluster.helm(&[arguments, &flags].concat()).unwrap();
        helm(&["install", "op", &earlier]);
        assert!(columns(&cluster).contains("Done"), "{}", columns(&cluster));

        let operator = Operator::start(&cluster, "ops", OPERATOR);
        create_backup(&cluster, &simulator);
        let phase = |phase: &'static str| {
            cluster.until(&[KIND, "crm", "-n", "ops"], phase, |backup| backup["status"]["phase"] == phase)
        };
        let running = phase("Running");
        helm(&["upgrade", "op", CHART]);
        assert!(!columns(&cluster).contains("Done"), "the definition is upgraded with the chart");
        operator.stop();
        let operator = Operator::start(&cluster, "ops", OPERATOR);
        for job in simulator.ledger().iter().flat_map(|entry| &entry.job_ids) {
            simulator.set_job(*job, End::Completed).unwrap();
        }
        let done = phase("Succeeded");
        assert_eq!(done["metadata"]["uid"], running["metadata"]["uid"]);
        assert_eq!(simulator.ledger().len(), 1);

        cluster.helm(&["rollback", "op", "1", "-n", "ops"]).unwrap();
        assert!(columns(&cluster).contains("Done"), "{}", columns(&cluster));
        operator.stop();
        let operator = Operator::start(&cluster, "ops", OPERATOR);
        let led = |lease: &Value| lease["spec"]["holderIdentity"].is_string();
        cluster.until(&["lease", "-n", "ops", OPERATOR], "held after the rollback", led);
        operator.stop();

        cluster.helm(&["uninstall", "op", "-n", "ops"]).unwrap();
        assert_eq!(left(&cluster), [format!("customresourcedefinition.apiextensions.k8s.io/{KIND}")]);
        let kept = cluster.get(&[KIND, "crm", "-n", "ops"]);
        assert_eq!((&kept["metadata"]["uid"], &kept["status"]), (&done["metadata"]["uid"], &done["status"]));

        helm(&["install", "op", CHART]);
        let operator = Operator::start(&cluster, "ops", OPERATOR);
        cluster.until(&["lease", "-n", "ops", OPERATOR], "held", led);
        operator.stop();
        assert_eq!(simulator.ledger().len(), 1, "what was done is not done again");

        helm(&["upgrade", "op", CHART, "--set", "crds.keep=false"]);
        cluster.helm(&["uninstall", "op", "-n", "ops"]).unwrap();
        assert_eq!(left(&cluster), [""; 0], "with crds.keep=false nothing is left");
    });
}

#[test]
fn helm_3_installs_and_uninstalls_it_too() {
    let cluster = Cluster::start();
    let helm = |arguments: &[&str]| {
        output(command(Tool::Helm3, arguments).env("KUBECONFIG", cluster.plane().kubeconfig_path())).unwrap()
    };
    let any = "allowAnyEndpoint=true";
    let notes = helm(&["install", "op", CHART, "-n", "ops", "--create-namespace", "--set", any]);
    assert!(notes.contains("allowedEndpoints"), "the notes urge to say what may be called: {notes}");
    cluster.get(&["deployment", OPERATOR, "-n", "ops"]);
    helm(&["upgrade", "op", CHART, "-n", "ops", "--set", any, "--set", "replicas=3"]);
    assert_eq!(cluster.get(&["deployment", OPERATOR, "-n", "ops"])["spec"]["replicas"], 3);
    helm(&["uninstall", "op", "-n", "ops"]);
    assert_eq!(left(&cluster), [format!("customresourcedefinition.apiextensions.k8s.io/{KIND}")]);
}

#[test]
fn everything_that_can_be_switched_on_is_taken_by_the_api_server() {
    let cluster = Cluster::start();
    for path in values("values") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let namespace = format!("on-{name}");
        let rendered = cluster
            .helm(&["template", "op", CHART, "--include-crds", "-n", &namespace, "-f", path.to_str().unwrap()])
            .unwrap();
        cluster.kubectl(&["create", "namespace", &namespace]).unwrap();
        for (number, mut object) in documents(&rendered).into_iter().enumerate() {
            // Kinds of the Prometheus operator are not known here.
            if object["apiVersion"].as_str().unwrap().starts_with("monitoring.coreos.com/") {
                continue;
            }
            // Those that the files name do not exist here.
            if object["metadata"]["namespace"].is_string() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            let file = cluster.file(&format!("{namespace}-{number}.json"), &object.to_string());
            let check = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", &file];
            let checked = cluster.kubectl(&check);
            assert!(checked.is_ok(), "{name}: {checked:?}\n{object:#}");
        }
    }
}

fn create_backup(cluster: &Cluster, simulator: &Simulator) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "commandcenter", "namespace": "ops"},
        "stringData": {"url": simulator.url(), "token": simulator.token()},
    });
    cluster.apply("secret.json", &secret.to_string());
    let backup = json!({
        "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
        "metadata": {"name": "crm", "namespace": "ops"},
        "spec": {"commandCenter": {"secretRef": {"name": "commandcenter"}}, "associations": [{"clientId": 12}]},
    });
    cluster.apply("backup.json", &backup.to_string());
}

/// Objects that are left of the release, by its label.
fn left(cluster: &Cluster) -> Vec<String> {
    let kinds = "customresourcedefinitions,clusterroles,clusterrolebindings,roles,rolebindings,deployments,services,\
                 serviceaccounts,configmaps,secrets,poddisruptionbudgets";
    let found = cluster.kubectl(&["get", kinds, "-A", "-l", "app.kubernetes.io/instance=op", "-o", "name"]).unwrap();
    found.lines().map(str::to_owned).collect()
}
