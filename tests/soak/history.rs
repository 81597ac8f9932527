//! History of the objects: takes them as they are read, one after another, gives what each run was known to be.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use salesforce_backup_operator::api::{Phase, SalesforceBackup};

/// A run: the name of its object, and its runId, or `-`, as a job's description has it.
pub type Run = (String, String);

/// All that was seen.
#[derive(Debug, Default)]
pub struct History {
    /// The objects as they were seen last.
    pub latest: BTreeMap<String, SalesforceBackup>,
    /// Every run that a status spoke of.
    pub runs: BTreeMap<Run, Seen>,
}

/// History of one run.
#[derive(Debug, Default)]
pub struct Seen {
    /// The jobs that its status held at any time.
    pub jobs: BTreeSet<String>,
    /// Its phase when it was seen last.
    pub phase: Option<Phase>,
    /// True if it was held at any time.
    pub held: bool,
    /// True if its last status is among what was seen. A status may be replaced before anybody looks at it.
    pub to_the_end: bool,
}

impl History {
    /// Takes down an object.
    pub fn saw(&mut self, object: SalesforceBackup) {
        self.note(&object);
        if let Some(name) = object.metadata.name.clone() {
            self.latest.insert(name, object);
        }
    }

    /// The object was seen like this when its next run was asked for.
    pub fn replaced(&mut self, object: &SalesforceBackup) {
        if let Some(seen) = self.note(object) {
            seen.to_the_end = true;
        }
    }

    fn note(&mut self, object: &SalesforceBackup) -> Option<&mut Seen> {
        let status = object.status.as_ref().filter(|status| status.attempt.is_some())?;
        let seen = self.runs.entry((object.metadata.name.clone()?, run(status.run_id.as_ref()))).or_default();
        seen.jobs.extend(status.job_ids.iter().map(ToString::to_string));
        seen.phase = status.phase;
        seen.held |= status.phase == Some(Phase::Held);
        seen.to_the_end |= matches!(status.phase, Some(Phase::Succeeded | Phase::PartiallySucceeded | Phase::Failed));
        Some(seen)
    }

    /// True if the object was seen to have come to an end, or to be held.
    pub fn is_over(&self, name: &str) -> bool {
        self.latest.get(name).is_some_and(is_over)
    }

    /// Number of objects that were seen last with a call under way.
    pub fn open_calls(&self) -> usize {
        let statuses = self.latest.values().filter_map(|object| object.status.as_ref());
        statuses.filter(|status| matches!(status.phase, Some(Phase::Starting | Phase::Resolving))).count()
    }

    /// True if so many objects were seen, and all of them have.
    pub fn all_over(&self, objects: usize) -> bool {
        self.latest.len() == objects && self.latest.values().all(is_over)
    }
}

/// True if the run that is asked for has come to an end, or is held.
pub fn is_over(object: &SalesforceBackup) -> bool {
    object.status.as_ref().is_some_and(|status| {
        let over =
            matches!(status.phase, Some(Phase::Succeeded | Phase::PartiallySucceeded | Phase::Failed | Phase::Held));
        over && status.run_id == object.spec.run_id
    })
}

/// A runId as a job's description has it.
pub fn run(run_id: Option<&String>) -> String {
    run_id.map_or_else(|| "-".to_owned(), Clone::clone)
}
