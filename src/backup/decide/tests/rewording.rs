//! No decision hangs on the text of a message: an upgrade may reword every one that a status holds.

use super::*;
use crate::{
    backup::{
        decide::step::Step,
        status::{
            messages::{self, NotFollowed},
            transition::Transition,
            why::{Submission, Why},
        },
    },
    command_center::gate::need::{Wait, WaitCause},
};

/// `object` as another version of the operator would have written it.
fn reworded(object: &SalesforceBackup) -> SalesforceBackup {
    let mut object = object.clone();
    for condition in object.status.iter_mut().flat_map(|status| &mut status.conditions) {
        condition.message = format!("Other words for {}.", condition.reason);
    }
    object
}

/// Effects of a step without its messages: a status that differs in its words alone is one that stays.
fn done(object: &SalesforceBackup, step: Step) -> String {
    let silent = |status: &SalesforceBackupStatus| {
        let mut status = status.clone();
        status.conditions.iter_mut().for_each(|condition| condition.message.clear());
        status
    };
    match step {
        Step::Record(status, again) if object.status.as_ref().map(silent) == Some(silent(&status)) => {
            format!("rest for {again:?}")
        }
        Step::Record(status, again) => format!("record {:?} and rest for {again:?}", silent(&status)),
        Step::Rest(again) => format!("rest for {again:?}"),
        Step::Attempt(attempt) => format!("attempt {:?}", silent(&attempt.intent)),
        Step::Kill(kills) => format!("kill {:?}", silent(&kills.intent)),
        other @ (Step::Look(_) | Step::Finalizer(_) | Step::Release(_)) => format!("{other:?}"),
    }
}

/// Objects in the states that a status tells, as this version writes them.
fn everyone() -> Vec<(&'static str, SalesforceBackup)> {
    let new = object(&json!({}));
    let written =
        |object: &SalesforceBackup,
         write: &dyn Fn(&Transition<'_>, SalesforceBackupStatus) -> SalesforceBackupStatus| {
            let transition = Transition { object, now: at(0).wall };
            let status = write(&transition, object.status.clone().unwrap());
            SalesforceBackup { status: Some(status), ..object.clone() }
        };
    let begun = written(&new, &|transition, _| transition.new_run());
    let waits = |cause| {
        let wait = Wait { cause, left: Duration::from_mins(1), passed: Duration::from_mins(2) };
        let seen = Seen { admission: Some(Admission::Waits(wait)), ..seen() };
        let step = decide(&Observed { seen, ..observed(&begun) }, &settings(), &at(0));
        SalesforceBackup { status: Some(recorded(step).0), ..begun.clone() }
    };
    let open = open::unknown(&json!({}));
    let held =
        |why: Why| written(&open, &|transition, status| transition.held(status, why.clone(), Submission::Unknown));
    let ambiguous = messages::ambiguous_job();
    vec![
        ("new", new.clone()),
        ("begun", begun.clone()),
        ("in line for a turn", waits(WaitCause::Busy)),
        ("in line for the limit", waits(WaitCause::Limited)),
        ("in line for a host that does not answer", waits(WaitCause::CircuitOpen)),
        ("refused with 400", after(&new, 0, &refused(RefusedKind::BadRequest))),
        ("refused with 401", after(&new, 0, &refused(RefusedKind::TokenRejected))),
        ("refused with 409", after(&new, 0, &refused(RefusedKind::Conflict))),
        ("refused with 429", after(&new, 0, &refused(RefusedKind::RateLimited))),
        ("accepted", after(&new, 0, &accepted())),
        ("open", open.clone()),
        ("held", held(ambiguous.clone())),
        ("held with a note", held(messages::not_followed(&ambiguous, NotFollowed::Unreadable))),
        ("running", submitted::running()),
    ]
}

/// A process that has known the open attempt for long, and one that is new to it.
fn processes() -> [Remembered; 2] {
    let known = Some((AttemptId::from(FIRST), at(0).boot));
    [Remembered::default(), Remembered { open_attempt: known, ..Remembered::default() }]
}

#[test]
fn a_status_with_every_message_reworded_is_decided_about_as_before() {
    for (name, object) in everyone() {
        for annotation in
            [None, Some(format!("retry={FIRST}")), Some("nonsense".to_owned()), Some(format!("abandon={FIRST}"))]
        {
            let object = annotation.as_ref().map_or_else(|| object.clone(), |said| open::annotated(&object, said));
            for seconds in [0, 31, 200] {
                for (remembered, (what, seen)) in processes().into_iter().flat_map(|process| {
                    [("nothing", Seen::default()), ("everything", super::seen())].map(|seen| (process.clone(), seen))
                }) {
                    let decided = |object: &SalesforceBackup| {
                        let observed =
                            Observed { seen: seen.clone(), remembered: remembered.clone(), ..observed(object) };
                        done(object, decide(&observed, &settings(), &at(seconds)))
                    };
                    let (before, after) = (decided(&object), decided(&reworded(&object)));
                    assert_eq!(after, before, "{name}, {annotation:?}, {what} seen, after {seconds} s");
                }
            }
        }
    }
}
