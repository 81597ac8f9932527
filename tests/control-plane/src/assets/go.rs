//! The Go side of the build: takes a `go.mod` and a PATH, gives the versions in one and the `go` command in the other.

use std::{
    ffi::OsStr,
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::build::Recipe;

/// The version that `go_mod` requires of `module`, as `v1.2.3`; of the language, with module `go`, as `1.26.0`.
pub(super) fn required<'a>(go_mod: &'a str, module: &str) -> Result<&'a str> {
    go_mod
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word == "require");
            (words.next() == Some(module)).then(|| words.next())?
        })
        .with_context(|| format!("go.mod does not say which version of {module} it requires"))
}

/// The flags of `go build`; where Kubernetes is built, they say which one, as its own Makefile does.
pub(super) fn build_flags(go_mod: &str) -> Result<Vec<String>> {
    // These are told again here because GOFLAGS of the user may say otherwise.
    let flags = |ldflags: &str| {
        vec!["-buildvcs=false".to_owned(), "-mod=readonly".to_owned(), "-ldflags".to_owned(), ldflags.to_owned()]
    };
    let Ok(version) = required(go_mod, "k8s.io/kubernetes") else { return Ok(flags("-s -w")) };
    let mut parts = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else { bail!("{version} is not a version") };
    let package = "k8s.io/component-base/version";
    let ldflags =
        format!("-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
    Ok(flags(&ldflags))
}

/// `go`, found in `search_path`, in `folder`, for this machine, whatever the environment prefers.
pub(super) fn command(search_path: &OsStr, folder: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder).env("PATH", search_path).stdin(Stdio::null());
    go.env("CGO_ENABLED", "0").env("GOWORK", "off").env_remove("GOOS").env_remove("GOARCH");
    go
}

/// Fails, and says what to do, unless there is a Go that can build `recipe`, which is in `folder`.
pub(super) fn check(search_path: &OsStr, folder: &Path, recipe: &Recipe) -> Result<()> {
    let wanted = required(recipe.go_mod, "go")?;
    let Recipe { what, instead, .. } = recipe;
    let remedy =
        format!("Go is needed once, to build {what}. Install Go {wanted} or newer (https://go.dev/dl){instead}");
    // A Go that may fetch a newer one does so here, and answers for that one.
    let answer = match command(search_path, folder).args(["env", "GOVERSION"]).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("there is no `go` in PATH. {remedy}"),
        answer => answer.context("cannot run `go`")?,
    };
    let complaint = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "{}. {remedy}", complaint.trim());
    let found = String::from_utf8_lossy(&answer.stdout);
    // A version that is not understood (a development build) is given a try.
    if let (Some(found), Some(wanted)) = (numbers(found.trim().trim_start_matches("go")), numbers(wanted)) {
        ensure!(found >= wanted, "this is Go {}.{}, which is too old. {remedy}", found.0, found.1);
    }
    Ok(())
}

/// Major and minor of `1.26.3`, `1.26rc1` or `1.26`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_go_mod() {
        let go_mod = "module x\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.37.2 // indirect\n\nrequire (\n\
                      \tgo.etcd.io/etcd/server/v3 v3.7.3 // indirect\n)\n";
        assert_eq!(required(go_mod, "go").unwrap(), "1.26.0");
        assert_eq!(required(go_mod, "go.etcd.io/etcd/server/v3").unwrap(), "v3.7.3");
        let flags = build_flags(go_mod).unwrap().join(" ");
        assert!(
            flags.ends_with(
                "gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X \
                                 k8s.io/component-base/version.gitMinor=37"
            ),
            "{flags}"
        );
        assert_eq!(build_flags("module x").unwrap().last().unwrap(), "-s -w");
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.9.7") < numbers("1.26rc1"));
        assert_eq!(numbers("1.26"), Some((1, 26)));
        assert_eq!(numbers("devel go1.27-abc"), None);
    }
}
