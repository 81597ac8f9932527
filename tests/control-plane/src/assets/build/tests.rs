//! The build, with a shell script in the place of Go.

use std::{
    env::{join_paths, temp_dir},
    ffi::OsString,
    process::{self, Command},
    thread,
};

use super::{super::RECIPE, *};

/// A folder that is removed at the end, with a `go` in `bin`.
struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// `go` answers `version` to `go env`, and runs `build` for `go build`.
    fn with_go(name: &str, version: &str, build: &str) -> Self {
        let machine = Self::without_go(name);
        let script = format!("#!/bin/sh\ncase $1 in env) echo {version};; build) {build};; esac\n");
        // Not written by this process: another test's fork would keep it open, and so "busy" for whoever runs it.
        let write = ["-c", "echo \"$1\" >bin/go && chmod +x bin/go", "sh", &script];
        assert!(Command::new("sh").args(write).current_dir(&machine.folder).status().unwrap().success());
        machine
    }

    fn without_go(name: &str) -> Self {
        let folder = temp_dir().join(format!("control-plane-build-{name}-{}", process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        Self { folder }
    }

    fn path(&self) -> OsString {
        join_paths([self.folder.join("bin"), "/bin".into(), "/usr/bin".into()]).unwrap()
    }

    fn build(&self) -> Result<PathBuf> {
        build_once(&RECIPE, &self.folder, &self.path())
    }

    fn error(&self) -> String {
        format!("{:#}", self.build().unwrap_err())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn without_go_the_remedy_is_told() {
    let machine = Machine::without_go("none");
    let error =
        format!("{:#}", build_once(&RECIPE, &machine.folder, machine.folder.join("bin").as_os_str()).unwrap_err());
    assert!(error.starts_with("there is no `go` in PATH"), "{error}");
    assert!(error.contains("Install Go 1.") && error.contains("KUBEBUILDER_ASSETS"), "{error}");
}

#[test]
fn an_old_go_is_refused() {
    let error = Machine::with_go("old", "go1.9.7", "exit 9").error();
    assert!(error.starts_with("this is Go 1.9, which is too old"), "{error}");
    assert!(error.contains("KUBEBUILDER_ASSETS"), "{error}");
}

#[test]
fn a_failed_build_tells_why_and_leaves_nothing_that_looks_built() {
    let machine = Machine::with_go("fails", "go1.99.0", "echo k8s.io/api; echo 'x.go:1: no such thing' >&2; exit 3");
    let error = machine.error();
    assert!(error.contains("exit status: 3:\nx.go:1: no such thing"), "{error}");
    assert!(!error.contains("k8s.io/api"), "{error}");
    assert_eq!(machine.error(), error, "the second try builds again");
}

#[test]
fn two_that_come_at_once_build_once() {
    let machine = Machine::with_go("once", "go1.99.0", "echo x >> ../builds; sleep 0.5; touch server kubectl");
    let built = thread::scope(|scope| {
        let other = scope.spawn(|| machine.build().unwrap());
        let built = machine.build().unwrap();
        assert_eq!(other.join().unwrap(), built);
        built
    });
    assert!(built.join("etcd").is_file());
    assert_eq!(machine.build().unwrap(), built);
    assert_eq!(fs::read_to_string(built.with_file_name("builds")).unwrap().lines().count(), 1);
}
