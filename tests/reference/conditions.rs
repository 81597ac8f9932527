//! The page of conditions and reasons. Pure.

use salesforce_backup_operator::{
    api::{ConditionType, Phase, Reason},
    cli::markdown::{cell, code, codes, head, row},
};

const HEAD: &str = "\
# Conditions and reasons

For those who read `kubectl describe`, write alerts, or wait in a pipeline. Generated from the code by
`SFB_UPDATE=1 cargo test --test reference`.

## Conditions

Conditions follow [kstatus](https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus), so that Flux, Argo CD, Helm and
`kubectl wait --for=condition=Ready` read them as they are.

- `Submitted` and `Finished` are False until they happen, and then True for good in this run.
- `Ready` is what `spec.readyWhen` asks for.
- `Reconciling` is there while the operator works or will try again by itself.
- `Stalled` is there while a person is needed. `Reconciling` and `Stalled` are never there together.
- `Simulated` marks answers of the simulator.

With `readyWhen: Submitted`, an accepted backup stays `Ready` with reason `Accepted`, also when its jobs fail or cannot be followed.

## Events and metrics

An Event tells of each submission, refusal, hold and end. The counter `salesforce_backup_transition_total` counts them by reason. Three
Events tell of an object that is deleted or being deleted:

- `BackupWithoutObject`: a backup whose object was deleted during the call.
- `Cancelled`: the jobs were to be killed, and they ended.
- `CancelUnconfirmed`: the jobs were to be killed, and it is not known whether they ended. The Event tells where to look.

## Reasons

The column *condition* names the conditions that are True with the reason. Without a phase, the reason leaves the phase as it was.
`Submitted` keeps its reason in the later phases of the run. The reasons of the Secret, the token and the connection stand in phase
Running too, when the jobs cannot be followed because of them.

*Decide* means: say with an annotation what became of the call. [How to decide about a Held backup](../how-to/lost-answers.md) explains it.

";

/// The page, in the order of the code.
pub fn page() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        let explanation = reason.explanation();
        row(&[
            &code(reason.as_str()),
            &explanation.phases.iter().copied().map(Phase::as_str).collect::<Vec<_>>().join(", "),
            &codes(explanation.conditions.iter().copied().map(ConditionType::as_str)),
            &cell(explanation.text),
        ])
    });
    HEAD.to_owned() + &head(&["reason", "phase", "condition", "meaning, and what to do"]) + &rows.collect::<String>()
}

#[test]
fn every_reason_says_what_to_do_or_what_it_means() {
    for reason in Reason::ALL {
        let text = reason.explanation().text;
        assert!(text.split_whitespace().count() > 3 && text.ends_with('.'), "{}: {text}", reason.as_str());
    }
}

#[test]
fn a_phase_of_a_person_has_a_condition_that_says_so() {
    for reason in Reason::ALL {
        let explanation = reason.explanation();
        if explanation.phases.contains(&Phase::Held) {
            assert!(explanation.conditions.contains(&ConditionType::Stalled), "{}", reason.as_str());
        }
    }
}
