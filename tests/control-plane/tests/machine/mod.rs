//! The machine as the tests see it: processes, by the folder in which they run, and a stage for false programs.

#![allow(dead_code, reason = "every test binary has a copy, and uses a part")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, id},
    thread::sleep,
    time::{Duration, Instant},
};

use control_plane::Assets;

/// Ids and command lines of the processes that run in `folder`, or did so until it was removed.
pub fn processes_in(folder: &Path) -> Vec<(u32, String)> {
    let runs_there = |id: &u32| {
        let place = fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
        place.to_string_lossy().trim_end_matches(" (deleted)") == folder.to_string_lossy()
    };
    let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let command = |id| fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default().replace('\0', " ");
    ids.filter(runs_there).map(|id| (id, command(id))).collect()
}

/// Waits until `done`, and fails when that takes longer than `limit`.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "not in time: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Output of a command that succeeds.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sends `signal` to a process.
pub fn signal(signal: &str, id: u32) {
    output(Command::new("kill").args([signal, &id.to_string()]));
}

/// A folder that is removed at the end, for shell scripts in the place of programs.
pub struct Stage(PathBuf);

impl Stage {
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Not written by this process: another test's fork would keep it open, and so "busy" for whoever runs it.
    pub fn program(&self, name: &str, script: &str) {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod +x \"$1\"";
        output(Command::new("sh").args(["-c", write, "sh", name, script]).current_dir(&self.0));
    }

    /// One that does `first`, and then runs until it is killed.
    pub fn daemon(&self, name: &str, first: &str) {
        self.program(name, &format!("echo $$ >$0.id\n{first}\nexec sleep 1000"));
    }

    /// The process of a daemon that was started.
    pub fn id(&self, name: &str) -> Option<u32> {
        fs::read_to_string(self.0.join(name).with_extension("id")).ok()?.trim().parse().ok()
    }

    pub fn runs(&self, name: &str) -> bool {
        self.id(name).is_some_and(|id| Path::new(&format!("/proc/{id}")).exists())
    }

    pub fn assets(&self) -> Assets {
        Assets::in_folder(&self.0).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // After a failed test, a control plane may still be leaving it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
