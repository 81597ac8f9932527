//! Builds programs once, with Go, from a `go.mod` that pins them: takes a recipe, a folder of caches and a PATH, gives the
//! folder that has them. That one appears whole or not at all, and is named by everything that went into it.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::go;
use crate::progress::{say, wait};

/// Sources that are built together. Their texts are part of the crate: what is built is what was compiled against, wherever
/// the checkout went since.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The folder of the cache.
    pub(crate) name: &'static str,
    /// Name of the build for people, with the time that it takes.
    pub(crate) what: &'static str,
    /// Tells what to do where there is no Go.
    pub(crate) instead: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// Go's own files, where something is built of them.
    pub(crate) sources: &'static [(&'static str, &'static str)],
    /// Packages for `go build`: `tool` is every package that go.mod names as one.
    pub(crate) packages: &'static str,
    /// Go calls a program by the last part of its package's path; what is called otherwise here.
    pub(crate) renamed: &'static [(&'static str, &'static str)],
}

/// The built programs: from the cache, or built now.
pub(crate) fn build_once(recipe: &Recipe, caches: &Path, search_path: &OsStr) -> Result<PathBuf> {
    let flags = go::build_flags(recipe.go_mod)?;
    let cache = caches.join("salesforce-backup-operator").join(recipe.name);
    let key = key(recipe, &flags);
    let built = cache.join(&key);
    if built.is_dir() {
        return Ok(built);
    }
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = lock(recipe, &cache.join(format!("{key}.lock")))?;
    if built.is_dir() {
        return Ok(built);
    }
    let building = cache.join(format!("{key}.building"));
    build(recipe, &building, search_path, &flags, &lock)?;
    fs::rename(&building, &built).with_context(|| format!("cannot rename {}", building.display()))?;
    drop(lock);
    Ok(built)
}

/// Waits for whoever builds the same. The lock lasts as long as the file is open here or in a process it was given to.
fn lock(recipe: &Recipe, path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())?;
    let locked = || match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock the cache"),
    };
    if locked()?.is_none() {
        say(&format!("another process builds {}; waiting for it", recipe.what));
        wait(|| "another process is still building".into(), locked)?;
    }
    Ok(file)
}

fn build(recipe: &Recipe, folder: &Path, search_path: &OsStr, flags: &[String], lock: &File) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot remove what an interrupted build left")?;
    }
    fs::create_dir(folder)?;
    let texts = [("go.mod", recipe.go_mod), ("go.sum", recipe.go_sum)];
    for (name, text) in texts.iter().chain(recipe.sources) {
        fs::write(folder.join(name), text)?;
    }
    go::check(search_path, folder, recipe)?;
    say(&format!(
        "building {} into {}; this happens once, and takes some minutes",
        recipe.what,
        folder.with_extension("").display(),
    ));
    let log_path = folder.join("go.log");
    let log = File::create(&log_path)?;
    // Go gets the lock, too: should this process be killed, the next one waits for Go to end before it builds in the
    // same folder.
    let mut go = go::command(search_path, folder)
        .args(["build", "-v"])
        .args(flags)
        .args(["-o", "./", recipe.packages])
        .stdin(lock.try_clone()?)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot run `go`")?;
    let status = wait(|| last_line(&log_path), || Ok(go.try_wait()?))?;
    if !status.success() {
        bail!("`go build` failed with {status}:\n{}", complaints(&fs::read_to_string(&log_path).unwrap_or_default()));
    }
    for (package, program) in recipe.renamed {
        fs::rename(folder.join(package), folder.join(program)).with_context(|| format!("Go built no {program}"))?;
    }
    say("built");
    Ok(())
}

/// Last line of Go's output: it names each package, and says nothing while it links.
fn last_line(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    match log.lines().last() {
        Some(last) => format!("building, {} packages so far, {last}", log.lines().count()),
        None => "building".into(),
    }
}

/// The end of what Go said, without the packages that it named while all was well.
fn complaints(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| line.contains(' ') && !line.starts_with("go: downloading")).collect();
    lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
}

/// Names what is built: FNV-1a of all that goes in. Not std's hasher, which may change with any Rust release.
fn key(recipe: &Recipe, flags: &[String]) -> String {
    let machine = [std::env::consts::OS, std::env::consts::ARCH];
    let hash = [recipe.go_mod, recipe.go_sum]
        .into_iter()
        .chain(recipe.sources.iter().flat_map(|(name, text)| [*name, *text]))
        .chain(machine)
        .chain(flags.iter().map(String::as_str))
        .flat_map(|text| text.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
