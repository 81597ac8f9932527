//! The rights that the chart gives are those that the operator uses, no more and no less: it lives through everything that it
//! does with the rights of the release's ServiceAccount alone, and the API server's audit log is compared with the roles.

use std::{collections::BTreeSet, time::Duration};

use salesforce_backup_operator::simulator::{Behaviour, Fault, Operation, Options, Renewal, Simulator};
use serde_json::{Value, json};

use crate::{cluster::Cluster, helm::CHART, operator::Operator};

/// Something that may be done: verb, group and resource, and the namespace where that is the only one.
type Right = (String, String, Option<String>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_wide_with_renewals_the_operator_uses_every_right_and_is_refused_none() {
    let policy = json!({"enabled": true});
    let values = json!({"renewTokens": true, "renewTokensInAllNamespaces": true, "renewedSecretsPolicy": policy});
    let release = live(&values, &["crm"]).await;
    tokio::task::block_in_place(|| only_renewed_secrets_are_written(&release));
}

/// With the admission policy of the chart, the right to write Secrets is that to write the operator's own.
fn only_renewed_secrets_are_written(release: &Cluster) {
    let secret = |name: &str, label: &str, kind: &str| {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": name, "namespace": "crm", "labels": {"app.kubernetes.io/managed-by": label}},
        });
        release.file(&format!("{name}-{label}.json"), &object.to_string())
    };
    let ours = "salesforce-backup-operator";
    let theirs = secret("theirs-renewed", "somebody", "Opaque");
    release.kubectl(&["create", "-f", &theirs]).unwrap();
    let account = "--as=system:serviceaccount:ops:op-salesforce-backup-operator";
    let write = |verb: &str, file: &str| release.kubectl(&[verb, "-f", file, account]);
    for (verb, file) in [
        ("create", secret("stolen", ours, "Opaque")),
        ("create", secret("new-renewed", "somebody", "Opaque")),
        ("create", secret("token-renewed", ours, "example.com/other")),
        ("replace", secret("theirs-renewed", ours, "Opaque")),
    ] {
        let refused = write(verb, &file).unwrap_err();
        assert!(refused.contains("the operator may write only Secrets of type Opaque"), "{file}: {refused}");
    }
    let own = secret("new-renewed", ours, "Opaque");
    write("create", &own).unwrap();
    write("replace", &own).unwrap();
    release.kubectl(&["create", "-f", &secret("of-the-administrator", "somebody", "Opaque")]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_its_namespaces_alone_the_operator_uses_every_right_of_every_role_and_has_none_elsewhere() {
    let release = live(&json!({"watchNamespaces": ["team-a", "team-b"]}), &["team-a", "team-b"]).await;
    let bound = release.get(&["clusterrolebindings", "-l", "app.kubernetes.io/instance=op"]);
    assert_eq!(bound["items"], json!([]), "nothing in the whole cluster");
}

/// Installs the chart, runs its operator through a life that needs every right in each of these namespaces, and compares.
async fn live(values: &Value, namespaces: &[&str]) -> Cluster {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let renews = values["renewTokens"] == true;
    let behaviour = Behaviour {
        job_duration: Duration::from_secs(2),
        renewal: Renewal { lifetime: renews.then_some(Duration::ZERO), ..Behaviour::default().renewal },
        ..Behaviour::default()
    };
    let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
    tokio::task::block_in_place(|| {
        let cluster = Cluster::start();
        for namespace in ["ops"].iter().chain(namespaces) {
            cluster.kubectl(&["create", "namespace", namespace]).unwrap();
        }
        let mut all = json!({
            "allowInsecureHttp": true, "pollInterval": "1s", "settle": "1s", "requestTimeout": "30s", "sendWindow": "15s",
        });
        all.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        let file = cluster.file("values.yaml", &all.to_string());
        cluster.helm(&["install", "op", CHART, "-n", "ops", "-f", &file]).unwrap();
        let operator = Operator::start(&cluster, "ops", "op-salesforce-backup-operator");
        for namespace in namespaces {
            write_secret(&cluster, &simulator, namespace, renews);
        }
        simulator.change(|behaviour| behaviour.renewal.lifetime = None);
        for namespace in namespaces {
            // Long enough for somebody to touch the object while the first call is under way.
            let held = Fault::delayed(Operation::CreateTask, Duration::ZERO, Duration::from_secs(8)).times(1);
            simulator.set_faults(vec![held]);
            back_up(&cluster, namespace);
        }
        operator.stop();
        compare(&cluster, "system:serviceaccount:ops:op-salesforce-backup-operator");
        cluster
    })
}

/// With a pair of tokens, where it is to be renewed.
fn write_secret(cluster: &Cluster, simulator: &Simulator, namespace: &str, renews: bool) {
    let mut data = json!({"url": simulator.url(), "token": simulator.token()});
    if renews {
        data["refreshToken"] = json!(simulator.refresh_token());
    }
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "commandcenter", "namespace": namespace},
        "stringData": data,
    });
    cluster.apply(&format!("{namespace}-secret.json"), &secret.to_string());
}

/// Two runs, so that an event comes twice, in the first of which somebody else writes the object in mid-call, so that the operator
/// has to look at it again; and a third that is deleted with its jobs, and so has a finalizer.
fn back_up(cluster: &Cluster, namespace: &str) {
    let kind = "salesforcebackups.commandcenter.dev";
    let apply = |name: &str, run: &str, policy: &str| {
        let backup = json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "commandCenter": {"secretRef": {"name": "commandcenter"}}, "associations": [{"clientId": 12}],
                "runId": run, "deletionPolicy": policy,
            },
        });
        cluster.apply(&format!("{namespace}-{name}.json"), &backup.to_string());
    };
    for run in ["1", "2"] {
        apply("kept", run, "Orphan");
        if run == "1" {
            let starting = |backup: &Value| backup["status"]["phase"] == "Starting";
            cluster.until(&[kind, "kept", "-n", namespace], "starting", starting);
            cluster.kubectl(&["annotate", kind, "kept", "-n", namespace, "touched=yes"]).unwrap();
        }
        cluster.until(&[kind, "kept", "-n", namespace], "done", |backup| {
            backup["status"]["phase"] == "Succeeded" && backup["status"]["runId"] == run
        });
    }
    apply("cancelled", "1", "Cancel");
    cluster.until(&[kind, "cancelled", "-n", namespace], "running", |backup| backup["status"]["phase"] == "Running");
    cluster.kubectl(&["delete", kind, "cancelled", "-n", namespace, "--timeout=60s"]).unwrap();
}

/// Every right that a role gives was used, and nothing was refused.
fn compare(cluster: &Cluster, account: &str) {
    let log = cluster.audit_log();
    let ours: Vec<&Value> = log.iter().filter(|event| event["user"]["username"] == account).collect();
    let refused: Vec<&&Value> = ours.iter().filter(|event| event["responseStatus"]["code"] == 403).collect();
    assert!(refused.is_empty(), "the operator was refused: {refused:#?}");
    let used: BTreeSet<Right> = ours.iter().copied().filter_map(right_of).collect();
    assert!(used.len() > 8, "the audit log shows little: {used:?}");
    let given = given(cluster, account);
    let unused: Vec<&Right> = given.iter().filter(|given| !used.iter().any(|used| covers(given, used))).collect();
    assert!(unused.is_empty(), "the chart gives rights that the operator never used: {unused:?}\nused: {used:#?}");
    let missing: Vec<&Right> = used.iter().filter(|used| !given.iter().any(|given| covers(given, used))).collect();
    assert!(missing.is_empty(), "the operator used rights that no role of the chart gives: {missing:?}");
}

/// True if a right that is given is the one that was used.
fn covers(given: &Right, used: &Right) -> bool {
    (&given.0, &given.1) == (&used.0, &used.1) && (given.2.is_none() || given.2 == used.2)
}

/// Right that an event of the audit log used; nothing for a path that is no resource.
fn right_of(event: &Value) -> Option<Right> {
    let about = event["objectRef"].as_object()?;
    let text = |name: &str| about.get(name).and_then(Value::as_str).unwrap_or_default();
    let what = match text("subresource") {
        "" => format!("{}/{}", text("apiGroup"), text("resource")),
        sub => format!("{}/{}/{sub}", text("apiGroup"), text("resource")),
    };
    Some((event["verb"].as_str()?.to_owned(), what, Some(text("namespace").to_owned())))
}

/// Every right of the roles that `user` is bound to.
fn given(cluster: &Cluster, user: &str) -> BTreeSet<Right> {
    let is_bound = |binding: &&Value| {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        let named = subjects.map(|subject| {
            format!(
                "system:serviceaccount:{}:{}",
                subject["namespace"].as_str().unwrap_or_default(),
                subject["name"].as_str().unwrap_or_default()
            )
        });
        named.into_iter().any(|name| name == user)
    };
    let mut rights = BTreeSet::new();
    for kind in ["rolebindings", "clusterrolebindings"] {
        let bindings = cluster.get(&[kind, "--all-namespaces"]);
        for binding in bindings["items"].as_array().unwrap().iter().filter(is_bound) {
            let namespace = binding["metadata"]["namespace"].as_str();
            let (kind, name) =
                (binding["roleRef"]["kind"].as_str().unwrap(), binding["roleRef"]["name"].as_str().unwrap());
            let role = match namespace {
                Some(namespace) => cluster.get(&[kind, name, "-n", namespace]),
                None => cluster.get(&[kind, name]),
            };
            let list = |rule: &Value, field: &str| -> Vec<String> {
                rule[field].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
            };
            for rule in role["rules"].as_array().unwrap() {
                for (group, resource) in list(rule, "apiGroups").iter().flat_map(|group| {
                    list(rule, "resources").into_iter().map(move |resource| (group.clone(), resource))
                }) {
                    for verb in list(rule, "verbs") {
                        rights.insert((verb, format!("{group}/{resource}"), namespace.map(str::to_owned)));
                    }
                }
            }
        }
    }
    rights
}
