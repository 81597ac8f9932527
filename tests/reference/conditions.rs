//! The page of conditions and reasons. Pure.

use salesforce_backup_operator::api::Reason;

const HEAD: &str = "\
# Conditions and reasons

For those who read `kubectl describe`, write alerts, or wait in a pipeline. Generated from the code by
`SFB_UPDATE=1 cargo test --test reference`.

Conditions follow [kstatus](https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus), so Flux, Argo CD, Helm and
`kubectl wait --for=condition=Ready` read them as they are.

- `Submitted` and `Finished` are False until they happen, and then True for good in this run.
- `Ready` is what `spec.readyWhen` asks for.
- `Reconciling` is there while the operator works, or will try again by itself.
- `Stalled` is there while a person is needed. `Reconciling` and `Stalled` are never both there.
- `Simulated` marks answers of the simulator.

An Event tells of each submission, refusal, hold and end, and the counter `salesforce_backup_transition_total` counts them by reason.
Three Events speak of an object that is gone or goes, so that no condition can: `BackupWithoutObject` (a backup whose object was
deleted during the call), `Cancelled` (its jobs ended) and `CancelUnconfirmed` (what may still run, and where to look).

The reasons of the Secret, the token and the connection also stand in phase Running, when the jobs cannot be followed because of them.

| reason | phase | stands | what it means and what to do |
|---|---|---|---|
";

/// The page, in the order of the code.
pub fn page() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        let explanation = reason.explanation();
        let text = explanation.text.replace('|', "\\|");
        format!("| `{}` | {} | {} | {text} |\n", reason.as_str(), explanation.phases, explanation.stands)
    });
    HEAD.to_owned() + &rows.collect::<String>()
}

#[test]
fn every_reason_says_what_to_do_or_what_it_means() {
    for reason in Reason::ALL {
        let text = reason.explanation().text;
        assert!(text.split_whitespace().count() > 3 && text.ends_with('.'), "{}: {text}", reason.as_str());
    }
}
