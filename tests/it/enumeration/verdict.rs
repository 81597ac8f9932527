//! The oracle. What the Command Center executed, by its own ledger, and the object as it is stored go in; what is wrong
//! comes out. Pure.

use std::collections::BTreeMap;

use salesforce_backup_operator::{
    api::{ConditionType, Phase, SalesforceBackup, SalesforceBackupStatus},
    simulator::LedgerEntry,
};

use super::{
    fault::{self, Fault, Then},
    gate::Passed,
};
use crate::{
    proxy::{Execution, Reply},
    world::Line,
};

/// State in which a run came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Succeeded,
    Held,
}

/// True if `backup` rests in run `run`.
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

/// True if `backup` says that the answer to the renewal of its token is lost.
pub fn is_without_a_token(backup: &SalesforceBackup) -> bool {
    Line::of(backup, ConditionType::Stalled).reason == "TokenRenewalLost"
}

/// Judges a run that waits for a new token: only where an answer was lost that nobody can ask for again, and with a word of
/// what to do in condition and Event.
pub fn judge_lost_token(
    backup: &SalesforceBackup,
    told: &[String],
    ledger: &[LedgerEntry],
    passed: &[Passed],
) -> Result<End, String> {
    started_twice(ledger)?;
    let stalled = Line::of(backup, ConditionType::Stalled);
    if !stalled.message.contains("put it and its refreshToken into Secret") {
        return Err(format!("its token is lost, and it does not say what to do: {stalled:?}"));
    }
    if !told.contains(&stalled.reason) && !passed.iter().any(struck_while_telling) {
        return Err(format!("its token is lost, and there is no Event of it: {told:?}"));
    }
    if !passed.iter().any(loses_an_answer) && !crashed_during_a_renewal(passed) {
        return Err("it says that its token is lost, and nothing that happened explains it".to_owned());
    }
    Ok(End::Held)
}

fn struck_while_telling(passed: &Passed) -> bool {
    passed.fault.is_some() && passed.effect.only_tells()
}

/// True if this is a renewal of which no answer came that says what became of it.
fn loses_an_answer(passed: &Passed) -> bool {
    let answered = |fault: Fault| fault == fault::RATE_LIMITED || matches!(fault.then, Then::Replied(Reply::Late(_)));
    passed.effect.renews_a_token() && passed.fault.is_some_and(|fault| !answered(fault))
}

/// True if the operator crashed after it wrote down that it would renew a token, and before what came of it was kept.
fn crashed_during_a_renewal(passed: &[Passed]) -> bool {
    let mut under_way = false;
    passed.iter().any(|passed| {
        let execution = passed.fault.map_or(Execution::Now, |fault| fault.execution);
        // What is kept later is not kept for the next process, which may look before.
        if passed.effect.keeps_a_token() && (execution == Execution::Now || passed.marks_a_renewal) {
            under_way = passed.marks_a_renewal && execution != Execution::Never;
        }
        under_way && passed.fault.is_some_and(|fault| fault.then == Then::Killed)
    })
}

/// Judges a run of an API server that drops a field of its status: `well` says whether it came to its end, `told` whether a
/// person was told.
pub fn judge_unkept(
    ledger: &[LedgerEntry],
    kills: &BTreeMap<u64, u32>,
    writes: usize,
    well: bool,
    told: bool,
) -> Result<End, String> {
    started_twice(ledger)?;
    killed_twice(kills)?;
    // So many are written by one that is well: an intent, an outcome, how its job goes, its end.
    if writes > MOST_WRITES {
        return Err(format!("it wrote its status {writes} times"));
    }
    match (well, told) {
        (true, _) => Ok(End::Succeeded),
        (false, true) => Ok(End::Held),
        (false, false) => Err("it did not come to its end, and nobody was told".to_owned()),
    }
}

const MOST_WRITES: usize = 30;

/// No job is asked to be killed twice.
fn killed_twice(kills: &BTreeMap<u64, u32>) -> Result<(), String> {
    match kills.iter().find(|(_, times)| **times > 1) {
        Some((job, times)) => Err(format!("job {job} was killed {times} times: what it backed up is discarded")),
        None => Ok(()),
    }
}

/// Remains of an object whose jobs were to be killed, and that is gone.
pub struct Gone {
    pub ledger: Vec<LedgerEntry>,
    /// Number of kills that each job was asked for.
    pub kills: BTreeMap<u64, u32>,
    /// The jobs that still run.
    pub go_on: Vec<u64>,
    /// The reasons of the events about it.
    pub events: Vec<String>,
    /// True if the Command Center gives the descriptions of jobs back.
    pub described: bool,
}

impl Gone {
    /// Judges what is left after these effects.
    pub fn judge(&self, passed: &[Passed]) -> Result<End, String> {
        started_twice(&self.ledger)?;
        killed_twice(&self.kills)?;
        let struck = || passed.iter().filter(|passed| passed.fault.is_some()).map(|passed| &passed.effect);
        let told = self.events.iter().any(|reason| reason == "CancelUnconfirmed");
        match (self.go_on.is_empty(), told) {
            (true, false) => Ok(End::Succeeded),
            (false, false) => Err(format!("it is gone, jobs {:?} go on, and nobody was told", self.go_on)),
            (_, _) if struck().any(|effect| effect.kills() || effect.permits_kills()) => Ok(End::Held),
            (_, _) if crashed_before_the_kill(passed) => Ok(End::Held),
            (_, true) if !self.described && (found_by_target_alone(passed) || self.answer_came_too_late()) => {
                Ok(End::Held)
            }
            (_, _) if struck().enumerate().any(|(earlier, effect)| Fault::may_leave_doubt(effect, earlier)) => {
                Ok(End::Held)
            }
            (_, _) => Err(format!("nothing that happened explains that its job was not killed: {:?}", self.events)),
        }
    }
}

impl Gone {
    /// True if the operator said that it had no answer. On a busy machine one may come that is not waited for any more.
    fn answer_came_too_late(&self) -> bool {
        self.events.iter().any(|reason| reason == "OutcomeUnknown")
    }
}

/// True if the answer that named the job was gone when the status first held it. Then its target alone speaks for it, where
/// no job has its description, and a job that may be somebody else's is not killed.
fn found_by_target_alone(passed: &[Passed]) -> bool {
    let mut answered = false;
    for Passed { effect, fault, .. } in passed {
        if effect.starts_a_backup() {
            let given = |fault: Fault| matches!(fault.then, Then::Replied(Reply::Given | Reply::Late(_)));
            answered = fault.is_none_or(given);
        }
        // What is stored later may find that the next process was first.
        if effect.tells_of_a_running_job() && fault.is_none_or(|fault| fault.execution == Execution::Now) {
            return !answered;
        }
        // What a process knew and had not written goes with it.
        answered = answered && fault.is_none_or(|fault| fault.then != Then::Killed);
    }
    false
}

/// True if the operator crashed with a permission to kill that it had not used.
fn crashed_before_the_kill(passed: &[Passed]) -> bool {
    let crash = |passed: &Passed| passed.fault.is_some_and(|fault| fault.then == Then::Killed);
    let (mut permitted, mut crashed) = (false, false);
    passed.iter().any(|passed| {
        permitted = (permitted || passed.effect.permits_kills()) && !passed.effect.kills();
        // What was on its way when it crashed still arrives; the next process begins with a list.
        crashed = (crashed || crash(passed)) && !passed.effect.to_string().contains("LIST");
        permitted && crashed
    })
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
