//! The shared control plane, used by processes of one parent, as the test binaries of a `cargo test` run do.
//!
//! This binary starts itself, as the user of a shared control plane, from a shell in the place of cargo.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests look at the clock and the environment")]

mod machine;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use control_plane::ControlPlane;
use machine::{Stage, output, processes_in, signal, until};

const START: Duration = Duration::from_mins(2);
/// Less than it waits for the next test binary.
const SOON: Duration = Duration::from_secs(3);

/// Not a test, but what the tests start: a user of the shared control plane. It says where that is in a file, and ends
/// when the file is removed.
#[test]
fn user() {
    let Some(file) = env::var_os("CONTROL_PLANE_USER").map(PathBuf::from) else { return };
    let control_plane = ControlPlane::shared().unwrap();
    let folder = control_plane.kubeconfig_path().parent().unwrap().display();
    let told = file.with_extension("new");
    fs::write(&told, format!("{}\n{}\n{folder}\n", std::process::id(), control_plane.url())).unwrap();
    fs::rename(told, &file).unwrap();
    while file.exists() {
        sleep(Duration::from_millis(20));
    }
}

/// A shell that starts users: what cargo is to test binaries.
struct Run {
    stage: Stage,
    cargo: Child,
}

/// Report of a user.
struct User {
    file: PathBuf,
    id: u32,
    url: String,
    folder: PathBuf,
}

impl Run {
    fn new(name: &str) -> Self {
        let stage = Stage::new(name);
        let script = "while read -r file; do CONTROL_PLANE_USER=$file \"$0\" --exact user >/dev/null & done";
        let cargo = Command::new("bash")
            .args(["-c", script])
            .arg(env::current_exe().unwrap())
            .env("TMPDIR", stage.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { stage, cargo }
    }

    /// Starts a user, which [`Self::user`] waits for.
    fn call(&mut self, name: &str) {
        writeln!(self.cargo.stdin.as_ref().unwrap(), "{}", self.stage.path().join(name).display()).unwrap();
    }

    fn user(&self, name: &str) -> User {
        let file = self.stage.path().join(name);
        until(name, START, || file.exists());
        let said = fs::read_to_string(&file).unwrap();
        let mut said = said.lines();
        let mut next = || said.next().unwrap();
        User { file, id: next().parse().unwrap(), url: next().into(), folder: next().into() }
    }
}

/// Nothing is left of the control plane in `folder`, which was the only one beside.
fn is_over(folder: &Path) -> bool {
    processes_in(folder).is_empty() && fs::read_dir(folder.parent().unwrap()).unwrap().next().is_none()
}

impl Drop for Run {
    fn drop(&mut self) {
        // Already gone, in most tests.
        let _ = self.cargo.kill();
        self.cargo.wait().unwrap();
    }
}

impl User {
    fn namespace(&self) -> String {
        let kubeconfig = self.folder.join("kubeconfig");
        let kubectl = control_plane::Assets::find().unwrap().kubectl();
        let get = ["get", "namespace", "default", "--output=name", "--kubeconfig"];
        output(Command::new(kubectl).args(get).arg(kubeconfig))
    }

    fn leave(&self) {
        fs::remove_file(&self.file).unwrap();
    }
}

#[test]
fn users_share_one_that_goes_with_the_last_of_them_and_cargo() {
    let mut run = Run::new("share");
    run.call("first");
    run.call("second");
    let (first, second) = (run.user("first"), run.user("second"));
    assert_eq!(first.url, second.url);

    signal("-KILL", first.id);
    sleep(Duration::from_millis(500));
    assert_eq!(second.namespace(), "namespace/default\n");

    second.leave();
    sleep(Duration::from_millis(1500));
    run.call("third");
    let third = run.user("third");
    assert_eq!(third.url, first.url, "it waits a little for the next test binary");

    run.cargo.kill().unwrap();
    run.cargo.wait().unwrap();
    sleep(Duration::from_millis(500));
    assert_eq!(third.namespace(), "namespace/default\n", "a user outlives cargo");
    signal("-KILL", third.id);
    until("all is gone", SOON, || is_over(&first.folder));
}

#[test]
fn a_killed_watchdog_takes_all_with_it_and_the_next_user_starts_anew() {
    let mut run = Run::new("killed");
    run.call("first");
    let first = run.user("first");
    let watchdog = processes_in(&first.folder).into_iter().find(|(_, command)| command.starts_with("bash")).unwrap();
    signal("-KILL", watchdog.0);
    until("the programs are gone", SOON, || processes_in(&first.folder).is_empty());

    run.call("second");
    let second = run.user("second");
    assert_eq!(second.namespace(), "namespace/default\n");
    assert_ne!(second.url, first.url);
    first.leave();
    second.leave();
    until("it waited for cargo, which stayed, and then went", 4 * SOON, || is_over(&first.folder));
}
