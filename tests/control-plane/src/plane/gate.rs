//! The gate of a control plane, a lock beside its folder: takes a path, gives the right to start, join or remove.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

/// Whoever has passed it may start, join or remove the control plane, and nobody else.
#[derive(Debug)]
pub(super) struct Gate {
    file: File,
}

impl Gate {
    /// Waits until nobody else is there.
    pub(super) fn pass(path: &Path) -> Result<Self> {
        loop {
            let gate = Self::open(path)?;
            gate.file.lock().context("cannot lock")?;
            if gate.still_at(path) {
                return Ok(gate);
            }
        }
    }

    /// Passes only if nobody else is there.
    pub(super) fn try_pass(path: &Path) -> Result<Option<Self>> {
        let gate = Self::open(path)?;
        match gate.file.try_lock() {
            Ok(()) => Ok(gate.still_at(path).then_some(gate)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock"),
        }
    }

    fn open(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self { file: file.with_context(|| format!("cannot open {}", path.display()))? })
    }

    /// Whoever removes a control plane removes its gate: who waited for that one has to look for the next.
    fn still_at(&self, path: &Path) -> bool {
        matches!((self.file.metadata(), fs::metadata(path)), (Ok(here), Ok(there)) if here.ino() == there.ino())
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(200);

    #[test]
    fn who_waited_at_a_gate_that_was_removed_stands_at_the_next() {
        let path = std::env::temp_dir().join(format!("control-plane-gate-{}", std::process::id()));
        let first = Gate::pass(&path).unwrap();
        assert!(Gate::try_pass(&path).unwrap().is_none());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| Gate::pass(&path).unwrap());
            thread::sleep(PAUSE);
            fs::remove_file(&path).unwrap();
            let second = Gate::pass(&path).unwrap();
            drop(first);
            thread::sleep(PAUSE);
            assert!(!waiting.is_finished(), "somebody has passed the next one");
            drop(second);
            let _third = waiting.join().unwrap();
            assert!(Gate::try_pass(&path).unwrap().is_none());
        });
        fs::remove_file(path).unwrap();
    }
}
