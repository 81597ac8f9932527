//! A control plane of one's own: a real one, whose API server is stopped and started; and false ones, that fail.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests look at the clock and the environment")]

mod machine;

use std::{fs, os::unix::fs::MetadataExt as _, thread, time::Duration};

use control_plane::{Assets, ControlPlane};
use machine::{Stage, output, processes_in, signal, until};

const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_stopped_api_server_comes_back_with_its_data_and_all_goes_in_the_end() {
    // The thread that started it ends at once: the programs must not go with it.
    let start = || ControlPlane::start(&Assets::find().unwrap()).unwrap();
    let mut control_plane = thread::spawn(start).join().unwrap();
    let folder = control_plane.kubeconfig_path().parent().unwrap().to_path_buf();
    let url = control_plane.url().to_owned();
    output(control_plane.kubectl().args(["create", "configmap", "kept", "--from-literal=key=value"]));

    output(control_plane.kubectl().args(["create", "serviceaccount", "someone"]));
    let token = output(control_plane.kubectl().args(["create", "token", "someone"]));
    let whoami = ["auth", "whoami", "--output=jsonpath={.status.userInfo.username}", "--token", token.trim()];
    assert_eq!(output(control_plane.kubectl().args(whoami)), "system:serviceaccount:default:someone");

    control_plane.stop_api_server().unwrap();
    let refused = control_plane.kubectl().args(["get", "--raw=/readyz"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refused"), "{refused:?}");

    control_plane.start_api_server().unwrap();
    assert_eq!(control_plane.url(), url);
    let kept = output(control_plane.kubectl().args(["get", "configmap", "kept", "--output=jsonpath={.data.key}"]));
    assert_eq!(kept, "value");
    assert!(control_plane.logs_tail().contains("--- end of kube-apiserver.log\n"));

    let processes = processes_in(&folder);
    assert_eq!(processes.len(), 4, "the watchdog, its look at the users, and the two programs");
    for path in processes.iter().flat_map(|(id, _)| [1, 2].map(|to| format!("/proc/{id}/fd/{to}"))) {
        let to = fs::read_link(path).unwrap();
        assert!(to.starts_with(&folder), "whoever reads {} would wait for it to end", to.display());
    }
    drop(control_plane);
    until("all is gone", SOON, || processes_in(&folder).is_empty() && !folder.exists());
}

#[test]
fn a_failed_start_shows_what_the_program_said() {
    let stage = Stage::new("failed-start");
    stage.daemon("etcd", "");
    stage.program("kube-apiserver", "echo the cat sat on it >&2; exit 7");
    stage.program("kubectl", "exit 1");
    let error = format!("{:#}", ControlPlane::start(&stage.assets()).unwrap_err());
    assert!(error.contains("kube-apiserver ended with status 7"), "{error}");
    assert!(error.contains("the cat sat on it"), "{error}");
    until("etcd is gone", SOON, || !stage.runs("etcd"));
}

#[test]
fn a_program_that_ends_takes_the_other_along_and_leaves_the_logs() {
    let stage = Stage::new("ends");
    stage.daemon("etcd", "echo the cat sat on it >&2");
    stage.daemon("kube-apiserver", "");
    stage.program("kubectl", "exit 0");
    let control_plane = ControlPlane::start(&stage.assets()).unwrap();
    until("both run", SOON, || stage.runs("kube-apiserver") && control_plane.logs_tail().contains("the cat"));
    signal("-KILL", stage.id("etcd").unwrap());
    until("the other is gone", SOON, || !stage.runs("kube-apiserver"));
    assert!(control_plane.logs_tail().contains("the cat sat on it"));
}

#[test]
fn a_port_that_was_taken_meanwhile_is_exchanged() {
    let stage = Stage::new("port");
    stage.daemon("etcd", "");
    let first = "if mkdir $0.tried 2>/dev/null; then echo 'bind: address already in use' >&2; exit 1; fi";
    stage.daemon("kube-apiserver", &format!("{first}; mkdir $0.runs"));
    stage.program("kubectl", "test -d ${0%/*}/kube-apiserver.runs");
    let control_plane = ControlPlane::start(&stage.assets()).unwrap();
    assert!(fs::read_to_string(control_plane.kubeconfig_path()).unwrap().contains(control_plane.url()));
    assert_eq!(fs::metadata(control_plane.kubeconfig_path()).unwrap().mode() & 0o777, 0o600);
    assert!(control_plane.admin_token().len() == 32 && control_plane.ca_pem().starts_with("-----BEGIN CERTIFICATE"));
    drop(control_plane);
    until("all is gone", SOON, || !stage.runs("etcd") && !stage.runs("kube-apiserver"));
}
