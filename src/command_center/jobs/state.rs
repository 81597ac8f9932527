//! The state of a job. The Command Center's word for it goes in; a [`JobState`] and the words that status shows come
//! out. Pure, no client.
//!
//! Section 3.5 of `api.md`.

use crate::command_center::{Redaction, text};

/// The state of a job. A worse end comes later in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobState {
    /// It is active, or has a word that we do not know and no time of its end.
    Active,
    /// Everything was backed up.
    EndedWell,
    /// Something is missing from the backup.
    EndedInPart,
    /// It has ended, and we do not know its word.
    EndedUnknown,
    /// Nothing usable was backed up.
    Failed,
}

/// The known words, as they are shown.
pub(super) const STATUSES: &[(&str, JobState)] = &[
    ("Running", JobState::Active),
    ("Waiting", JobState::Active),
    ("Pending", JobState::Active),
    ("Queued", JobState::Active),
    ("Suspended", JobState::Active),
    ("Suspend", JobState::Active),
    ("Suspend Pending", JobState::Active),
    (KILL_PENDING, JobState::Active),
    ("Interrupt Pending", JobState::Active),
    ("Interrupted", JobState::Active),
    ("Not Started", JobState::Active),
    ("Running (cannot be verified)", JobState::Active),
    (COMPLETED, JobState::EndedWell),
    (WITH_WARNINGS, JobState::EndedWell),
    (WITH_ERRORS, JobState::EndedInPart),
    ("Committed", JobState::EndedInPart),
    (FAILED, JobState::Failed),
    ("Failed to Start", JobState::Failed),
    (KILLED, JobState::Failed),
    (ABORTED, JobState::Failed),
    (ABNORMAL, JobState::Failed),
    ("No Run", JobState::Failed),
];

/// The status of a job that was killed and has not ended yet.
pub(super) const KILL_PENDING: &str = "Kill Pending";
const COMPLETED: &str = "Completed";
const WITH_WARNINGS: &str = "Completed w/ one or more warnings";
const WITH_ERRORS: &str = "Completed w/ one or more errors";
const FAILED: &str = "Failed";
const KILLED: &str = "Killed";
const ABORTED: &str = "Aborted";
const ABNORMAL: &str = "Abnormal Terminated Cleanup";

/// Shown for a word that is not known; the word follows in brackets.
const UNKNOWN: &str = "Unknown";
/// Most characters of such a word that are shown.
const SHOWN: usize = 40;

/// The state for the word `said`, and the words that are shown for it. `has_ended` is true if the job has a time of its
/// end.
pub(super) fn read(said: &str, has_ended: bool, redaction: &Redaction) -> (String, JobState) {
    if let Some((name, state)) = recognize(said, has_ended) {
        return (name.to_owned(), state);
    }
    let word: Option<String> = text::shown(said, redaction).map(|word| word.chars().take(SHOWN).collect());
    (word.map_or_else(|| UNKNOWN.to_owned(), |word| format!("{UNKNOWN} ({word})")), unknown(has_ended))
}

/// The state for which [`read`] has shown the words `shown`.
pub(super) fn read_shown(shown: &str, has_ended: bool) -> JobState {
    let known = if shown.starts_with(UNKNOWN) { None } else { recognize(shown, has_ended) };
    known.map_or_else(|| unknown(has_ended), |(_, state)| state)
}

const fn unknown(has_ended: bool) -> JobState {
    if has_ended { JobState::EndedUnknown } else { JobState::Active }
}

fn recognize(said: &str, has_ended: bool) -> Option<(&'static str, JobState)> {
    let said = said.trim();
    STATUSES.iter().find(|(name, _)| name.eq_ignore_ascii_case(said)).copied().or_else(|| family(said, has_ended))
}

/// The state of a word that is not in the table, by the parts that it shares with known ones: versions of the Command
/// Center add different details.
fn family(said: &str, has_ended: bool) -> Option<(&'static str, JobState)> {
    let said = said.to_ascii_lowercase();
    let words: Vec<&str> =
        said.split(|character: char| !character.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect();
    let is = |word: &str| words.contains(&word);
    let begins = |beginnings: &[&str]| words.iter().any(|word| beginnings.iter().any(|begin| word.starts_with(begin)));
    let says_that_it_goes_on = ["running", "waiting", "pending", "queued", "suspended", "interrupted", "starting"];
    if is("not") || words.first().is_some_and(|first| says_that_it_goes_on.contains(first)) {
        return None;
    }
    if begins(&["kill"]) {
        // An unknown word may still say that a kill is in progress. To ask for another kill would discard data.
        let ended = is("killed") || has_ended;
        return Some(if ended { (KILLED, JobState::Failed) } else { (KILL_PENDING, JobState::Active) });
    }
    if is("completed") || is("complete") {
        return completed(&words, begins(&["error", "fail", "partial", "skip"]), begins(&["warning"]));
    }
    if is("abnormal") || is("abnormally") {
        return Some((ABNORMAL, JobState::Failed));
    }
    if is("aborted") || (has_ended && begins(&["abort"])) {
        return Some((ABORTED, JobState::Failed));
    }
    (is("failed") || is("failure")).then_some((FAILED, JobState::Failed))
}

/// The state of a job that completed. None if its words add something that we do not know.
fn completed(words: &[&str], in_part: bool, with_warnings: bool) -> Option<(&'static str, JobState)> {
    const HARMLESS: [&str; 9] =
        ["completed", "complete", "backup", "job", "successfully", "with", "w", "ok", "success"];
    if in_part {
        Some((WITH_ERRORS, JobState::EndedInPart))
    } else if with_warnings {
        Some((WITH_WARNINGS, JobState::EndedWell))
    } else {
        words.iter().all(|word| HARMLESS.contains(word)).then_some((COMPLETED, JobState::EndedWell))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_center::Token;

    fn read(said: &str, has_ended: bool) -> (String, JobState) {
        let redaction = Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()]);
        let (shown, state) = super::read(said, has_ended, &redaction);
        assert_eq!(read_shown(&shown, has_ended), state, "{said} is shown as {shown}");
        (shown, state)
    }

    #[test]
    fn every_word_of_the_notes_is_known_without_case() {
        for (name, state) in STATUSES {
            for has_ended in [true, false] {
                assert_eq!(read(&format!(" {}\n", name.to_uppercase()), has_ended), ((*name).to_owned(), *state));
            }
        }
    }

    #[test]
    fn words_of_ended_jobs_are_known_by_their_family() {
        let cases = [
            ("Completed with errors", WITH_ERRORS, JobState::EndedInPart),
            ("Completed with one or more errors", WITH_ERRORS, JobState::EndedInPart),
            ("Completed (3 failed items)", WITH_ERRORS, JobState::EndedInPart),
            ("Partially completed", WITH_ERRORS, JobState::EndedInPart),
            ("Completed with warnings", WITH_WARNINGS, JobState::EndedWell),
            ("Completed successfully", COMPLETED, JobState::EndedWell),
            ("Failed (Network)", FAILED, JobState::Failed),
            ("Backup failure", FAILED, JobState::Failed),
            ("Killed by system", KILLED, JobState::Failed),
            ("Completed (killed by a user)", KILLED, JobState::Failed),
            ("System Killed", KILLED, JobState::Failed),
            ("aborted", ABORTED, JobState::Failed),
            ("Aborted by user", ABORTED, JobState::Failed),
            ("Abnormal Terminated", ABNORMAL, JobState::Failed),
            ("Abnormally terminated", ABNORMAL, JobState::Failed),
        ];
        for (said, shown, state) in cases {
            for has_ended in [true, false] {
                assert_eq!(read(said, has_ended), (shown.to_owned(), state), "{said}");
            }
        }
    }

    #[test]
    fn what_is_not_known_goes_on_until_it_says_when_it_ended_and_is_never_taken_for_well() {
        let cases = [
            ("", "Unknown"),
            ("7", "Unknown (7)"),
            ("<b>Dancing</b>", "Unknown (Dancing)"),
            ("Not completed", "Unknown (Not completed)"),
            ("Completed a third", "Unknown (Completed a third)"),
            ("Pending: 3 failed tries", "Unknown (Pending: 3 failed tries)"),
            ("Failing over", "Unknown (Failing over)"),
            ("Unknown (Completed)", "Unknown (Unknown (Completed))"),
            ("token 0123456789abcdef", "Unknown ((withheld: it quotes a token))"),
        ];
        for (said, shown) in cases {
            assert_eq!(read(said, false), (shown.to_owned(), JobState::Active));
            assert_eq!(read(said, true), (shown.to_owned(), JobState::EndedUnknown));
        }
        assert_eq!(read(&"x".repeat(1000), false).0.len(), "Unknown ()".len() + SHOWN);
    }

    #[test]
    fn a_kill_or_an_abort_that_is_under_way_goes_on() {
        for said in ["kill pending", "Killing", "Kill Requested"] {
            assert_eq!(read(said, false), (KILL_PENDING.to_owned(), JobState::Active), "{said}");
        }
        assert_eq!(read("Killing", true), (KILLED.to_owned(), JobState::Failed));
        assert_eq!(read("Aborting", false).1, JobState::Active);
        assert_eq!(read("Aborting", true), (ABORTED.to_owned(), JobState::Failed));
    }
}
