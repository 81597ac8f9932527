//! Helm and its companions as commands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use control_plane::Tool;
use serde::Deserialize as _;
use serde_json::Value;

/// The chart.
pub const CHART: &str = "charts/salesforce-backup-operator";
/// Both that are in use.
pub const HELMS: [Tool; 2] = [Tool::Helm4, Tool::Helm3];

/// A tool with these arguments, run in the checkout, with places of its own for what it keeps.
pub fn command(tool: Tool, arguments: &[&str]) -> Command {
    let mut command = tool.command().unwrap();
    let home = env!("CARGO_TARGET_TMPDIR");
    for (name, folder) in [("HELM_CONFIG_HOME", "config"), ("HELM_CACHE_HOME", "cache"), ("HELM_DATA_HOME", "data")] {
        command.env(name, format!("{home}/helm/{folder}"));
    }
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Output of a command; its complaint when it failed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if status.success() { Ok(stdout) } else { Err(format!("{stderr}{stdout}")) }
}

/// Output of a tool; its complaint when it failed.
pub fn run(tool: Tool, arguments: &[&str]) -> Result<String, String> {
    output(&mut command(tool, arguments))
}

/// The objects of a rendered chart.
pub fn documents(rendered: &str) -> Vec<Value> {
    let all = serde_yaml::Deserializer::from_str(rendered).map(|document| Value::deserialize(document).unwrap());
    all.filter(|object| !object.is_null()).collect()
}

/// The value files of a folder beside this file, in order.
pub fn values(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A folder of one test, which is removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("chart-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and gives its path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
