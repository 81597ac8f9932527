//! The judge: the ledger of what was executed and the history of what was seen go in, what is wrong comes out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use salesforce_backup_operator::{
    api::{ConditionType, OPERATOR, Phase, SalesforceBackup, SalesforceBackupStatus, conditions::find},
    simulator::LedgerEntry,
};
use serde_json::json;

use crate::{
    history::{History, Run, Seen, is_over, run},
    world::NAMESPACE,
};

/// Verdict over everything.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Violations. There may be none.
    pub violations: Vec<Violation>,
    /// CreateTask calls that started a run once more.
    pub duplicates: usize,
    /// Objects by their phase.
    pub phases: BTreeMap<&'static str, usize>,
    /// Objects that are held, by their reason.
    pub held: BTreeMap<String, usize>,
    /// Objects that are neither held nor came to an end.
    pub without_end: usize,
    /// Runs whose jobs no status was seen to hold, and whose last status was not seen either. No violation: a run that
    /// is asked for at once may replace the one before, while nobody can look.
    pub unseen: Vec<String>,
}

/// Something that must not be.
#[derive(Debug)]
pub struct Violation {
    /// Which object.
    pub name: String,
    /// Its fault.
    pub what: String,
    /// Everything that was executed for it.
    pub entries: Vec<LedgerEntry>,
}

/// Judges.
pub fn judge(ledger: &[LedgerEntry], history: &History) -> Verdict {
    let mut case = Case { ledger, verdict: Verdict::default() };
    let mut runs: BTreeMap<Run, Vec<&LedgerEntry>> = BTreeMap::new();
    for entry in ledger {
        match run_of(entry) {
            Some(run) if history.latest.contains_key(&run.0) => runs.entry(run).or_default().push(entry),
            _ => case.verdict.wrong(format!("nobody asked for {:?}", entry.description)),
        }
    }
    for (run, entries) in &runs {
        if entries.len() > 1 {
            case.verdict.duplicates += entries.len() - 1;
            case.wrong(&run.0, format!("run {} was started {} times", run.1, entries.len()));
        }
    }
    for (name, object) in &history.latest {
        let status = object.status.clone().unwrap_or_default();
        case.count(object, &status);
        if !is_over(object) {
            case.verdict.without_end += 1;
            case.wrong(name, "it has no end, and is not held".to_owned());
        }
        let current = run(status.run_id.as_ref());
        for ((_, of), entries) in runs.range((name.clone(), String::new())..).take_while(|(run, _)| run.0 == *name) {
            let started = jobs(entries);
            if *of == current {
                case.judge_current(name, &status, &started);
            } else {
                case.judge_former(name, of, history.runs.get(&(name.clone(), of.clone())), &started);
            }
        }
        if status.submitted_at.is_some() && !runs.contains_key(&(name.clone(), current.clone())) && !is_held(&status) {
            case.wrong(name, format!("run {current} is said to be submitted, and nothing was executed"));
        }
    }
    case.verdict
}

struct Case<'a> {
    ledger: &'a [LedgerEntry],
    verdict: Verdict,
}

impl Verdict {
    /// Adds something that is wrong with no object in particular.
    pub fn wrong(&mut self, what: String) {
        self.violations.push(Violation { name: String::new(), what, entries: Vec::new() });
    }
}

impl Case<'_> {
    fn wrong(&mut self, name: &str, what: String) {
        let about = |entry: &&LedgerEntry| run_of(entry).is_some_and(|run| run.0 == name);
        let entries = self.ledger.iter().filter(about).cloned().collect();
        self.verdict.violations.push(Violation { name: name.to_owned(), what, entries });
    }

    fn count(&mut self, object: &SalesforceBackup, status: &SalesforceBackupStatus) {
        *self.verdict.phases.entry(status.phase.map_or("none", Phase::as_str)).or_default() += 1;
        if is_over(object) && is_held(status) {
            let reason = find(&status.conditions, ConditionType::Stalled).map(|stalled| stalled.reason.clone());
            *self.verdict.held.entry(reason.unwrap_or_else(|| "without a reason".to_owned())).or_default() += 1;
        }
    }

    /// The run that the status speaks of has the jobs that were started for it, and no others.
    fn judge_current(&mut self, name: &str, status: &SalesforceBackupStatus, started: &BTreeSet<String>) {
        let known: BTreeSet<String> = status.job_ids.iter().map(ToString::to_string).collect();
        if !is_held(status) && known != *started {
            self.wrong(name, format!("its jobs are {started:?}, and its status knows {known:?}"));
        }
    }

    /// The status of a run that was replaced by the next had its jobs, or was held.
    fn judge_former(&mut self, name: &str, of: &str, seen: Option<&Seen>, started: &BTreeSet<String>) {
        if seen.is_some_and(|seen| seen.held || seen.jobs.is_superset(started)) {
            return;
        }
        if seen.is_some_and(|seen| seen.to_the_end) {
            self.wrong(
                name,
                format!("the jobs of run {of} are {started:?}, and its status did not know them: {seen:?}"),
            );
        } else {
            let phase = seen.and_then(|seen| seen.phase).map_or("nothing", Phase::as_str);
            self.verdict.unseen.push(format!("{name}/{of}, seen last as {phase}"));
        }
    }
}

fn is_held(status: &SalesforceBackupStatus) -> bool {
    status.phase == Some(Phase::Held)
}

fn jobs(entries: &[&LedgerEntry]) -> BTreeSet<String> {
    entries.iter().flat_map(|entry| &entry.job_ids).map(ToString::to_string).collect()
}

/// Whose run it was, by `salesforce-backup-operator/<namespace>/<name>/<uid>/<runId or ->/<attempt>`.
fn run_of(entry: &LedgerEntry) -> Option<Run> {
    let parts: Vec<&str> = entry.description.as_deref()?.split('/').collect();
    match *parts {
        [OPERATOR, NAMESPACE, name, _, run, _] => Some((name.to_owned(), run.to_owned())),
        _ => None,
    }
}

/// A judge that finds nothing would find nothing for ever: shows it one case of each kind.
///
/// # Errors
/// Names the case that was judged wrongly.
pub fn check_itself() -> Result<()> {
    let object = |phase: &str, run: &str, jobs: &[&str]| -> Result<SalesforceBackup> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup", "metadata": {"name": "b"},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 1}], "runId": run},
            "status": {"phase": phase, "runId": run, "jobIds": jobs, "attempt": {"number": 1, "id": "a"}},
        }))?)
    };
    let entry = |run: &str, job: u64| LedgerEntry {
        sequence: job,
        time: jiff::Timestamp::UNIX_EPOCH,
        description: Some(format!("{OPERATOR}/{NAMESPACE}/b/12345678/{run}/a")),
        associations: Vec::new(),
        backup_level: 2,
        create_new_index: None,
        notify_user_on_job_completion: None,
        task_id: job,
        job_ids: vec![job],
    };
    let cases = [
        ("a sound one", object("Succeeded", "1", &["7"])?, vec![entry("1", 7)], 0),
        ("a held one", object("Held", "1", &[])?, vec![entry("1", 7)], 0),
        ("a held one, started twice", object("Held", "1", &[])?, vec![entry("1", 7), entry("1", 8)], 1),
        ("one with both its jobs", object("Succeeded", "1", &["7", "8"])?, vec![entry("1", 7), entry("1", 8)], 1),
        ("a second run", object("Succeeded", "2", &["8"])?, vec![entry("2", 8)], 0),
        ("a job that is lost", object("Succeeded", "1", &[])?, vec![entry("1", 7)], 1),
        ("a job of somebody else", object("Succeeded", "1", &["9"])?, vec![entry("1", 7)], 1),
        ("one without an end", object("Running", "1", &["7"])?, vec![entry("1", 7)], 1),
        ("one of nobody", object("Succeeded", "1", &["7"])?, vec![entry("1/x", 9), entry("1", 7)], 1),
    ];
    for (case, object, ledger, expected) in cases {
        let mut history = History::default();
        history.saw(object);
        let found = judge(&ledger, &history).violations;
        ensure!(found.len() == expected, "the judge is wrong about {case}: {found:?}");
    }
    for (jobs, expected) in [(&["7"][..], 0), (&[], 1)] {
        let mut history = History::default();
        history.replaced(&object("Succeeded", "1", jobs)?);
        history.saw(object("Succeeded", "2", &["8"])?);
        let found = judge(&[entry("1", 7), entry("2", 8)], &history).violations;
        ensure!(found.len() == expected, "the judge is wrong about a run that was replaced: {found:?}");
    }
    Ok(())
}
