//! The oracle. What the Command Center executed, by its own ledger, and the object as it is stored go in; what is wrong
//! comes out. Pure.

use std::collections::BTreeMap;

use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup, SalesforceBackupStatus},
    simulator::LedgerEntry,
};

use super::{effect::Effect, fault::Fault};
use crate::world::Line;

/// How a run came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Succeeded,
    Held,
}

/// Whether `backup` rests in run `run`.
pub fn rests(backup: &SalesforceBackup, run: &str) -> bool {
    use Phase::{Failed, Held, PartiallySucceeded, Succeeded};
    backup.status.as_ref().is_some_and(|status| {
        status.run_id.as_deref() == Some(run)
            && status.phase.is_some_and(|phase| [Succeeded, PartiallySucceeded, Failed, Held].contains(&phase))
    })
}

/// Judges a run that rests. `doubt` says whether anything happened that may be beyond what an operator can find out.
pub fn judge(backup: &SalesforceBackup, run: &str, ledger: &[LedgerEntry], doubt: bool) -> Result<End, String> {
    started_twice(ledger)?;
    let status = backup.status.as_ref().ok_or("there is no status")?;
    let ours: Vec<&LedgerEntry> = ledger.iter().filter(|entry| run_of(entry) == run).collect();
    let shown: Vec<String> = status.job_ids.iter().map(ToString::to_string).collect();
    let executed: Vec<String> = ours.iter().flat_map(|entry| &entry.job_ids).map(ToString::to_string).collect();
    if let Some(job) = shown.iter().find(|job| !executed.contains(job)) {
        return Err(format!("status.jobIds has {job}, which the Command Center did not start for run {run}"));
    }
    match status.phase {
        Some(Phase::Held) => held(backup, doubt),
        Some(Phase::Succeeded) => succeeded(status, &ours, &shown, &executed),
        phase => Err(format!("it ended as {phase:?}, though its job ended well")),
    }
}

fn held(backup: &SalesforceBackup, doubt: bool) -> Result<End, String> {
    let (stalled, ready) = (Line::of(backup, ConditionType::Stalled), Line::of(backup, ConditionType::Ready));
    if !doubt {
        return Err(format!("it is Held ({}), though nothing that happened leaves a doubt", stalled.reason));
    }
    if (stalled.status.as_str(), ready.status.as_str()) != ("True", "False") || stalled.message.is_empty() {
        return Err(format!("it is Held, and does not say so to people: {stalled:?}, {ready:?}"));
    }
    Ok(End::Held)
}

fn succeeded(
    status: &SalesforceBackupStatus,
    ours: &[&LedgerEntry],
    shown: &[String],
    executed: &[String],
) -> Result<End, String> {
    let [entry] = ours else { return Err("it Succeeded, and the Command Center started nothing".to_owned()) };
    let task = status.task_id.map(|id| id.to_string());
    if shown != executed || task.is_some_and(|task| task != entry.task_id.to_string()) {
        return Err(format!("status has task {:?} and jobs {shown:?}; started were {entry:?}", status.task_id));
    }
    Ok(End::Succeeded)
}

/// What is left of an object whose jobs were to be killed, and that is gone.
pub struct Gone {
    pub ledger: Vec<LedgerEntry>,
    /// How often each job was asked to be killed.
    pub kills: BTreeMap<u64, u32>,
    /// The jobs that still run.
    pub go_on: Vec<u64>,
    /// The reasons of the events about it.
    pub events: Vec<String>,
}

impl Gone {
    /// Judges what is left, after these effects were `struck`.
    pub fn judge(&self, struck: &[Effect]) -> Result<End, String> {
        started_twice(&self.ledger)?;
        if let Some((job, times)) = self.kills.iter().find(|(_, times)| **times > 1) {
            return Err(format!("job {job} was killed {times} times: what it backed up is discarded"));
        }
        let goes_on = !self.go_on.is_empty();
        let told = self.events.iter().any(|reason| reason == "CancelUnconfirmed");
        let may_be = |wanted: fn(&Effect) -> bool| struck.iter().any(wanted);
        match (goes_on, told) {
            (false, false) => Ok(End::Succeeded),
            (true, false) if !may_be(Effect::only_tells) => {
                Err("it is gone, its job goes on, and nobody was told".to_owned())
            }
            (_, _) if may_be(Effect::kills) || may_be(Effect::permits_kills) => Ok(End::Held),
            (_, _) => {
                let doubt = struck.iter().enumerate().any(|(earlier, effect)| Fault::may_leave_doubt(effect, earlier));
                doubt.then_some(End::Held).ok_or_else(|| {
                    format!("its job was not killed, and nothing that happened explains it: {:?}", self.events)
                })
            }
        }
    }
}

/// At most one executed call for each run.
fn started_twice(ledger: &[LedgerEntry]) -> Result<(), String> {
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in ledger {
        *runs.entry(run_of(entry)).or_default() += 1;
    }
    match runs.into_iter().find(|(_, times)| *times > 1) {
        Some((run, times)) => Err(format!("DUPLICATE: run {run} was started {times} times")),
        None => Ok(()),
    }
}

/// The run in `salesforce-backup-operator/<namespace>/<name>/<uid>/<runId>/<attempt.id>`.
fn run_of(entry: &LedgerEntry) -> &str {
    entry.description.as_deref().and_then(|description| description.split('/').nth(4)).unwrap_or("(not named)")
}
