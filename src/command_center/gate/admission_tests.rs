//! Admission to one Command Center, as a table of events and of what the gate answers.

use super::*;
use crate::command_center::{
    reply::{NoAnswer, RateLimit},
    tls::TlsFailure,
};

const ANSWER: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> BootTime {
    BootTime::after_boot(Duration::from_secs(1_000_000 + seconds))
}

/// The connection of a namespace.
fn id(namespace: &str) -> ConnectionId {
    ConnectionId::new(namespace, "s", &"https://cc.example.com/api".parse().unwrap())
}

/// A gate with sixteen passes.
fn gate(limits: &Limits) -> Gate<u32> {
    Gate::new(&Limits { calls_in_flight: 4, ..*limits }, at(0))
}

fn open() -> Gate<u32> {
    gate(&Limits::NONE)
}

fn hundred() -> Limits {
    Limits { writes: Some(100), reads: Some(1000), delay: Duration::ZERO, ..Limits::NONE }
}

fn answer(status: u16) -> Reply {
    Reply::Answer(Answer::new(status, "{}"))
}

fn too_many(retry_after: Option<u64>, calls: Option<u32>) -> Reply {
    let limit = calls.map(|calls| RateLimit { calls, period: Duration::from_hours(1) });
    let retry_after = retry_after.map(Duration::from_secs);
    Reply::Answer(Answer { retry_after, limit, ..Answer::new(429, "") })
}

fn answer_of_a_proxy() -> Reply {
    Reply::Answer(Answer::new(200, "<html>Log in</html>"))
}

const LOST: Reply = Reply::NoAnswer(NoAnswer::Timeout);

impl Gate<u32> {
    /// The callers that are called, while all of them still exist.
    fn calls(&mut self, seconds: u64) -> Vec<u32> {
        self.serve(|_| true, |_| false, at(seconds)).called
    }

    /// A caller looks, and gets this reply.
    fn look(&mut self, key: u32, reply: &Reply, seconds: u64) -> Result<(), WaitCause> {
        self.look_of("n", key, reply, seconds)
    }

    /// A caller of this namespace looks, and gets this reply.
    fn look_of(&mut self, namespace: &str, key: u32, reply: &Reply, seconds: u64) -> Result<(), WaitCause> {
        let grant = self.ask(&key, &id(namespace), Need::Look, at(seconds)).map_err(|wait| wait.cause)?;
        self.make(&grant, CallKind::Read, true, at(seconds)).unwrap();
        self.answered(CallKind::Read, reply, &grant, at(seconds));
        self.done(&grant, 0, 0, at(seconds));
        Ok(())
    }

    /// The obstacle to a look from this namespace; the caller then leaves.
    fn keeps_out(&mut self, namespace: &str, seconds: u64) -> Option<(WaitCause, u64)> {
        match self.ask(&u32::MAX, &id(namespace), Need::Look, at(seconds)) {
            Ok(grant) => {
                self.done(&grant, 1, 0, at(seconds));
                None
            }
            Err(wait) => {
                self.leave(&u32::MAX);
                Some((wait.cause, wait.left.as_secs()))
            }
        }
    }

    fn cause(&mut self, key: u32, need: Need, seconds: u64) -> Option<(WaitCause, u64)> {
        let asked = self.ask(&key, &id("n"), need, at(seconds));
        asked.err().map(|wait| (wait.cause, wait.left.as_secs()))
    }
}

#[test]
fn so_many_call_at_once_and_the_next_one_when_one_is_done() {
    let mut gate = open();
    let grants: Vec<Grant> = (0..16).map(|key| gate.ask(&key, &id("n"), Need::Submission, at(0)).unwrap()).collect();
    assert_eq!(gate.cause(16, Need::Submission, 0), Some((WaitCause::Busy, 0)));
    assert_eq!(gate.cause(17, Need::Look, 0), Some((WaitCause::Busy, 0)));
    assert_eq!(gate.cause(16, Need::Submission, 3), Some((WaitCause::Busy, 0)), "it keeps its place");
    assert_eq!(gate.ask(&16, &id("n"), Need::Submission, at(3)).unwrap_err().passed, Duration::from_secs(3));
    assert_eq!(gate.calls(3), Vec::<u32>::new());
    gate.done(&grants[0], 1, 1, at(4));
    assert_eq!(gate.calls(4), [16], "one has its turn");
    assert_eq!(gate.calls(5), Vec::<u32>::new(), "and its place is kept");
    assert!(gate.ask(&16, &id("n"), Need::Submission, at(6)).is_ok());
    gate.done(&grants[1], 1, 1, at(7));
    assert_eq!(gate.calls(7), [17]);
}

#[test]
fn a_place_is_kept_for_a_moment_and_then_it_is_the_next_ones() {
    let mut gate = open();
    let grants: Vec<Grant> = (0..16).map(|key| gate.ask(&key, &id("n"), Need::Look, at(0)).unwrap()).collect();
    for key in 16..20 {
        assert!(gate.ask(&key, &id("n"), Need::Look, at(0)).is_err());
    }
    gate.done(&grants[0], 1, 0, at(0));
    assert_eq!(gate.calls(0), [16]);
    let served = gate.serve(|_| true, |_| false, at(1));
    assert_eq!(served.next, KEPT.checked_sub(Duration::from_secs(1)));
    assert_eq!(gate.calls(60), [17], "the one before did not come");
    gate.leave(&17);
    assert_eq!(gate.serve(|key| *key != 18, |_| false, at(61)).called, [19], "18 does not exist any more");
    assert_eq!(gate.cause(16, Need::Look, 62), Some((WaitCause::Busy, 0)), "it asks anew");
}

#[test]
fn while_most_passes_are_taken_submissions_come_in_batches_and_whoever_asks_alone_at_once() {
    let mut gate = open();
    let now = |millis| at(0).plus(Duration::from_millis(millis));
    let ask = |gate: &mut Gate<u32>, key, millis| gate.ask(&key, &id("n"), Need::Submission, now(millis));
    let grants: Vec<Grant> = (0..16).map(|key| ask(&mut gate, key, 0).expect("nobody waits")).collect();
    for key in 16..60 {
        assert!(ask(&mut gate, key, 0).is_err());
    }
    let calls = |gate: &mut Gate<u32>, millis| {
        let served = gate.serve(|_| true, |_| false, now(millis));
        (served.called.len(), served.next)
    };
    gate.done(&grants[0], 1, 1, now(600));
    assert_eq!(calls(&mut gate, 600).0, 1, "no batch for long");
    for grant in &grants[1..8] {
        gate.done(grant, 1, 1, now(750));
    }
    assert_eq!(
        calls(&mut gate, 750),
        (0, Some(Duration::from_millis(350))),
        "most passes are taken: the next batch is due soon"
    );
    assert_eq!(calls(&mut gate, 1100).0, 7);
    for grant in &grants[8..16] {
        gate.done(grant, 1, 1, now(1110));
    }
    assert_eq!(calls(&mut gate, 1110).0, 8, "half of the passes are free");
}

#[test]
fn a_namespace_with_thousands_delays_the_one_of_another_by_one_turn() {
    let mut gate = open();
    let grants: Vec<Grant> =
        (0..16).map(|key| gate.ask(&key, &id("large"), Need::Submission, at(0)).unwrap()).collect();
    for key in 16..9916 {
        assert!(gate.ask(&key, &id("large"), Need::Submission, at(0)).is_err());
    }
    assert!(gate.ask(&100_000, &id("small"), Need::Submission, at(0)).is_err());
    gate.done(&grants[0], 1, 1, at(1));
    gate.done(&grants[1], 1, 1, at(1));
    assert_eq!(gate.calls(1), [16, 100_000]);
}

#[test]
fn those_who_look_and_those_who_start_take_turns_and_kills_come_first() {
    let mut gate = open();
    let grants: Vec<Grant> = (0..16).map(|key| gate.ask(&key, &id("n"), Need::Look, at(0)).unwrap()).collect();
    for (key, need) in
        [(20, Need::Submission), (21, Need::Submission), (30, Need::Look), (31, Need::Look), (40, Need::Kills(3))]
    {
        assert!(gate.ask(&key, &id("n"), need, at(0)).is_err());
    }
    for grant in &grants {
        gate.done(grant, 1, 0, at(1));
    }
    assert_eq!(gate.calls(1), [40, 20, 30, 21, 31]);
}

#[test]
fn with_a_budget_calls_come_as_it_allows_and_everyone_is_told_when() {
    let mut gate = gate(&hundred());
    assert_eq!(gate.cause(1, Need::Submission, 0), Some((WaitCause::Limited, 48)), "it begins empty");
    assert_eq!(gate.cause(2, Need::Submission, 0), Some((WaitCause::Limited, 96)));
    assert_eq!(gate.cause(1, Need::Submission, 40), Some((WaitCause::Limited, 8)));
    assert_eq!(gate.serve(|_| true, |_| false, at(40)).next, Some(Duration::from_secs(8)));
    assert_eq!(gate.calls(48), [1]);
    let grant = gate.ask(&1, &id("n"), Need::Submission, at(49)).unwrap();
    assert_eq!(grant.reserved(), (1, 1));
    assert_eq!(gate.make(&grant, CallKind::Write, true, at(49)), Ok(()));
    assert_eq!(gate.make(&grant, CallKind::Write, false, at(49)), Err(Duration::from_secs(47)), "a second one waits");
    gate.done(&grant, 1, 0, at(50));
    assert!(gate.cause(3, Need::Look, 50).is_none(), "what only reads has a budget of its own");
}

#[test]
fn what_was_reserved_and_not_used_is_there_for_the_next_one() {
    let mut gate = gate(&hundred());
    let look = gate.ask(&5, &id("n"), Need::Look, at(6)).unwrap();
    assert!(gate.cause(6, Need::Look, 6).is_some());
    gate.done(&look, 1, 0, at(7));
    assert_eq!(gate.calls(7), [6]);
    let first = gate.ask(&1, &id("n"), Need::Submission, at(48)).unwrap();
    assert_eq!(gate.cause(2, Need::Submission, 48), Some((WaitCause::Limited, 48)));
    gate.done(&first, 0, 1, at(49));
    assert_eq!(gate.calls(49), [2]);
}

#[test]
fn kills_are_let_in_with_as_many_calls_as_there_may_be_now() {
    let mut gate = gate(&hundred());
    let grant = gate.ask(&1, &id("n"), Need::Kills(1000), at(4000)).unwrap();
    assert_eq!(grant.reserved(), (0, 25));
    assert_eq!(open().ask(&1, &id("n"), Need::Kills(1000), at(0)).unwrap().reserved(), (0, 1000));
    gate.done(&grant, 0, 25, at(4000));
    for _ in 0..24 {
        gate.make(&grant, CallKind::Write, false, at(4000)).unwrap();
    }
    let one = gate.ask(&2, &id("n"), Need::Kills(2), at(4000)).unwrap();
    assert_eq!(one.reserved(), (0, 1), "there is one call, and the other kill is asked for later");
    assert_eq!(gate.cause(3, Need::Kills(2), 4000), Some((WaitCause::Limited, 48)));
    assert_eq!(gate.calls(4001), Vec::<u32>::new());
    assert_eq!(gate.calls(4048), [3]);
}

#[test]
fn a_server_that_gets_too_many_calls_is_heeded_for_everyone_and_for_the_kind_of_call_that_it_refused() {
    let mut gate = open();
    assert_eq!(gate.look(1, &too_many(Some(70), None), 0), Ok(()));
    assert_eq!(gate.cause(2, Need::Look, 1), Some((WaitCause::Limited, 69)));
    assert_eq!(gate.cause(3, Need::Kills(1), 1), None, "writes were not refused");
    assert_eq!(gate.calls(70), [2]);
}

#[test]
fn a_server_that_says_how_many_calls_it_takes_gets_no_more_of_that_kind() {
    let mut gate = open();
    assert_eq!(gate.look(1, &too_many(None, Some(100)), 0), Ok(()));
    // 75 of 100 an hour come evenly, and a call takes up to 30 s to arrive.
    assert_eq!(gate.cause(2, Need::Look, 0), Some((WaitCause::Limited, 48)));
    assert_eq!(gate.calls(49), [2]);
    assert_eq!(gate.cause(3, Need::Look, 49), Some((WaitCause::Limited, 47)));
    let mut strict = crate::command_center::gate::admission::tests::gate(&Limits { reads: Some(10), ..hundred() });
    assert_eq!(strict.look(1, &too_many(None, Some(100)), 3600), Ok(()));
    assert_eq!(strict.cause(2, Need::Look, 3600), Some((WaitCause::Limited, 48)));
    assert!(strict.calls(3700).contains(&2));
    assert_eq!(strict.cause(3, Need::Look, 3700), Some((WaitCause::Limited, 350)), "a flag that allows less stays");
}

#[test]
fn a_server_that_does_not_say_how_long_is_asked_more_and_more_rarely() {
    let mut gate = open();
    let (mut now, mut waits) = (0, Vec::new());
    for key in 0..6 {
        assert_eq!(gate.look(key, &too_many(None, None), now), Ok(()));
        let (_, wait) = gate.cause(100, Need::Look, now).unwrap();
        gate.leave(&100);
        waits.push(wait);
        now += wait;
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    assert_eq!(gate.look(7, &answer(200), now), Ok(()));
    assert_eq!(gate.look(8, &too_many(None, None), now), Ok(()));
    assert_eq!(gate.cause(100, Need::Look, now), Some((WaitCause::Limited, 5)), "an answer in between counts");
}

#[test]
fn a_host_that_does_not_answer_is_asked_by_one_call_at_a_time_more_and_more_rarely() {
    let mut gate = open();
    for key in 0..5 {
        assert_eq!(gate.look(key, &LOST, 0), Ok(()));
    }
    for need in [Need::Look, Need::Submission, Need::Kills(1)] {
        assert_eq!(gate.cause(10, need, 0), Some((WaitCause::CircuitOpen, 5)));
        gate.leave(&10);
    }
    let mut now = 0;
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(gate.look(20, &LOST, now), Err(WaitCause::CircuitOpen));
        assert_eq!(gate.look(21, &LOST, now), Err(WaitCause::CircuitOpen));
        now += wait;
        assert_eq!(gate.calls(now), [20], "one of those who wait");
        assert_eq!(gate.cause(21, Need::Look, now), Some((WaitCause::CircuitOpen, 0)), "and nobody else meanwhile");
        assert_eq!(gate.look(20, &LOST, now), Ok(()));
        gate.leave(&21);
    }
}

#[test]
fn when_a_host_answers_again_calls_come_back_one_after_another() {
    let mut gate = open();
    for key in 0..5 {
        assert_eq!(gate.look(key, &LOST, 0), Ok(()));
    }
    for key in 100..200 {
        assert_eq!(gate.cause(key, Need::Submission, 1).map(|(cause, _)| cause), Some(WaitCause::CircuitOpen));
    }
    let mut at_once = Vec::new();
    for _ in 0..6 {
        let called = gate.calls(5);
        at_once.push(called.len());
        for key in called {
            let grant = gate.ask(&key, &id("n"), Need::Submission, at(5)).unwrap();
            gate.make(&grant, CallKind::Read, true, at(5)).unwrap();
            gate.answered(CallKind::Read, &answer(200), &grant, at(5));
            gate.done(&grant, 0, 1, at(5));
        }
    }
    assert_eq!(at_once, [1, 1, 2, 4, 8, 16]);
}

#[test]
fn only_what_says_something_of_the_host_counts_against_it() {
    let tls = Reply::NeverSent(NeverSent::Tls(TlsFailure::Expired));
    let html = Reply::Answer(Answer::new(200, " <html>Scheduled Maintenance</html>"));
    for (reply, away) in [
        (LOST, true),
        (Reply::NoAnswer(NoAnswer::ConnectionLost), true),
        (Reply::NeverSent(NeverSent::Dns), true),
        (Reply::NeverSent(NeverSent::Connect), true),
        (answer(502), true),
        (answer(503), true),
        (html, true),
        (tls, false),
        (Reply::NeverSent(NeverSent::AddressRefused), false),
        (Reply::NoAnswer(NoAnswer::TooLarge), false),
        (answer(500), false),
        (answer(401), false),
        (answer(404), false),
    ] {
        let mut gate = open();
        for key in 0..5 {
            assert_eq!(gate.look(key, &reply, 0), Ok(()));
        }
        assert_eq!(gate.cause(9, Need::Look, 0).is_some(), away, "{reply:?}");
    }
    let mut gate = open();
    for key in 0..20 {
        let reply = if key % 5 == 4 { answer(404) } else { LOST };
        assert_eq!(gate.look(key, &reply, 0), Ok(()), "answers in between count");
    }
}

#[test]
fn a_probe_that_was_not_made_is_the_next_ones() {
    let mut gate = open();
    for key in 0..5 {
        assert_eq!(gate.look(key, &LOST, 0), Ok(()));
    }
    let probe = gate.ask(&10, &id("n"), Need::Submission, at(5)).unwrap();
    assert_eq!(gate.cause(11, Need::Look, 5), Some((WaitCause::CircuitOpen, 0)));
    gate.done(&probe, 1, 1, at(6));
    assert_eq!(gate.calls(6), [11]);
}

#[test]
fn a_renewal_tries_a_host_that_is_away_when_it_is_time_and_follows_when_it_answers() {
    let mut gate = open();
    for key in 0..crate::command_center::gate::breaker::FAILURES {
        gate.look(key, &LOST, 0).unwrap();
    }
    assert_eq!(gate.renew(&id("n"), at(0)).unwrap_err().cause, WaitCause::CircuitOpen);
    let probe = gate.renew(&id("n"), at(60)).unwrap();
    assert!(probe.is_probe() && probe.reserved() == (1, 0), "with a call that costs nothing");
    assert_eq!(gate.renew(&id("n"), at(60)).unwrap_err().cause, WaitCause::CircuitOpen, "one at a time");
    gate.make(&probe, CallKind::Read, true, at(60)).unwrap();
    gate.answered(CallKind::Read, &LOST, &probe, at(60));
    gate.done(&probe, 0, 0, at(60));
    assert_eq!(gate.renew(&id("n"), at(60)).unwrap_err().cause, WaitCause::CircuitOpen, "not again at once");
    let probe = gate.renew(&id("n"), at(200)).unwrap();
    gate.make(&probe, CallKind::Read, true, at(200)).unwrap();
    gate.answered(CallKind::Read, &answer(401), &probe, at(200));
    gate.done(&probe, 0, 0, at(200));
    let renewal = gate.renew(&id("n"), at(200)).unwrap();
    assert!(!renewal.is_probe() && renewal.reserved() == (0, FORMS));
}

#[test]
fn those_who_do_not_wait_for_a_host_that_is_away_are_sent_away() {
    let mut gate = open();
    let grants: Vec<Grant> = (0..16).map(|key| gate.ask(&key, &id("n"), Need::Look, at(0)).unwrap()).collect();
    assert!(gate.ask(&20, &id("n"), Need::Look, at(0)).is_err());
    assert!(gate.ask(&21, &id("n"), Need::Submission, at(0)).is_err());
    for grant in &grants {
        gate.answered(CallKind::Read, &LOST, grant, at(1));
        gate.done(grant, 0, 0, at(1));
    }
    assert_eq!(gate.serve(|_| true, |key| *key == 20, at(2)).called, [20]);
    assert_eq!(gate.calls(6), [21], "the other one is there");
}

#[test]
fn a_503_that_says_for_how_long_is_heeded_for_all_calls() {
    let mut gate = open();
    let away = Reply::Answer(Answer { retry_after: Some(Duration::from_secs(30)), ..Answer::new(503, "") });
    assert_eq!(gate.look(1, &away, 0), Ok(()));
    assert_eq!(gate.cause(2, Need::Look, 10), Some((WaitCause::Limited, 20)));
    assert_eq!(gate.cause(3, Need::Kills(1), 10), Some((WaitCause::Limited, 20)));
}

#[test]
fn a_gate_is_forgotten_when_what_it_knows_has_passed() {
    let mut gate = gate(&Limits { period: Duration::from_mins(1), ..Limits::NONE });
    assert_eq!(gate.look(1, &too_many(Some(300), None), 0), Ok(()));
    assert!(!gate.is_idle(at(299)));
    assert!(gate.is_idle(at(301)));
    let grant = gate.ask(&2, &id("n"), Need::Kills(1), at(301)).unwrap();
    assert!(!gate.is_idle(at(20_000)), "somebody is there");
    gate.done(&grant, 0, 1, at(20_000));
    assert!(!gate.is_idle(at(20_000).plus(ANSWER)));
}

#[test]
fn a_token_that_is_told_to_wait_a_day_waits_alone_and_is_tried_again_after_five_minutes() {
    let mut gate = open();
    assert_eq!(gate.look_of("limited", 1, &too_many(Some(86_400), None), 0), Ok(()));
    assert_eq!(gate.keeps_out("limited", 0), Some((WaitCause::Limited, 300)));
    assert_eq!(gate.keeps_out("other", 0), None);
    for key in 10..13 {
        assert!(gate.ask(&key, &id("limited"), Need::Look, at(1)).is_err());
    }
    assert_eq!(gate.serve(|_| true, |_| false, at(1)).next, Some(Duration::from_secs(299)));
    assert_eq!(gate.calls(300), [10], "one tries, and the others wait for what comes of it");
    assert_eq!(gate.look_of("limited", 10, &too_many(Some(86_400), None), 301), Ok(()));
    assert_eq!(gate.calls(301), Vec::<u32>::new());
    assert_eq!(gate.calls(601), [11]);
    assert_eq!(gate.look_of("limited", 11, &answer(200), 601), Ok(()));
    assert_eq!(gate.calls(601), [12]);
    assert_eq!(gate.keeps_out("limited", 601), None);
}

#[test]
fn a_limit_of_one_call_a_day_is_tried_every_five_minutes() {
    let mut gate = open();
    let limit = Some(RateLimit { calls: 1, period: Duration::from_hours(24) });
    let told = Reply::Answer(Answer { limit, ..Answer::new(429, "") });
    assert_eq!(gate.look(1, &told, 0), Ok(()));
    assert_eq!(gate.keeps_out("n", 0), Some((WaitCause::Limited, 300)));
}

#[test]
fn two_namespaces_that_are_told_to_wait_hold_the_base_url_for_a_minute_and_one_call_tries() {
    let mut gate = open();
    assert_eq!(gate.look_of("a", 1, &too_many(Some(30), None), 0), Ok(()));
    assert_eq!(gate.look_of("b", 2, &too_many(Some(20), None), 0), Ok(()));
    assert_eq!(gate.keeps_out("c", 0), Some((WaitCause::Limited, 20)), "as long as both were told");
    let tries = gate.ask(&3, &id("c"), Need::Look, at(20)).unwrap();
    assert_eq!(gate.keeps_out("d", 20), Some((WaitCause::Busy, 0)), "one at a time");
    gate.answered(CallKind::Read, &answer(200), &tries, at(20));
    gate.done(&tries, 0, 0, at(20));
    assert_eq!(gate.keeps_out("d", 20), None);
    assert_eq!(gate.look_of("a", 1, &too_many(Some(900), None), 30), Ok(()));
    assert_eq!(gate.look_of("c", 3, &answer(200), 30), Ok(()));
    assert_eq!(gate.look_of("b", 2, &too_many(Some(900), None), 30), Ok(()));
    assert_eq!(gate.keeps_out("c", 30), None, "it was let through in between");
    assert_eq!(gate.look_of("d", 4, &too_many(Some(900), None), 31), Ok(()));
    assert_eq!(gate.keeps_out("c", 31), Some((WaitCause::Limited, 60)), "of two that were refused since");
}

#[test]
fn twelve_callers_whose_token_gets_a_web_page_do_not_keep_another_tenant_waiting() {
    let mut gate = open();
    let page = answer_of_a_proxy();
    for key in 0..12 {
        let _ = gate.look_of("bad", key, &page, 0);
    }
    assert_eq!(gate.keeps_out("bad", 0), Some((WaitCause::CircuitOpen, 5)));
    assert!(!gate.is_unavailable(&id("good")));
    for (key, second) in (100..200).zip(0..) {
        for key in gate.calls(second) {
            assert_eq!(gate.look_of("bad", key, &page, second), Ok(()), "it is tried all the same");
            assert!(gate.ask(&key, &id("bad"), Need::Look, at(second)).is_err());
        }
        assert_eq!(gate.look_of("good", key, &answer(200), second), Ok(()));
    }
}

#[test]
fn a_base_url_is_away_when_two_namespaces_are_not_answered_and_one_answer_brings_it_back() {
    let mut gate = open();
    for key in 0..5 {
        assert_eq!(gate.look_of("a", key, &LOST, 0), Ok(()));
    }
    assert_eq!(gate.keeps_out("c", 0), None, "one alone says nothing of the others");
    for key in 10..15 {
        assert_eq!(gate.look_of("b", key, &LOST, 0), Ok(()));
    }
    assert_eq!(gate.keeps_out("c", 0), Some((WaitCause::CircuitOpen, 5)));
    let probe = gate.ask(&20, &id("c"), Need::Look, at(5)).unwrap();
    assert!(probe.is_probe());
    assert_eq!(gate.keeps_out("a", 5), Some((WaitCause::CircuitOpen, 0)), "one call for all of them");
    gate.answered(CallKind::Read, &answer(200), &probe, at(5));
    gate.done(&probe, 0, 0, at(5));
    for namespace in ["a", "b", "c", "d"] {
        assert_eq!(gate.look_of(namespace, 30, &answer(200), 5), Ok(()), "{namespace}");
        assert!(!gate.is_unavailable(&id(namespace)));
    }
}

#[test]
fn two_namespaces_that_are_never_answered_hold_nobody_who_is() {
    let mut gate = open();
    let page = answer_of_a_proxy();
    for key in 0..5 {
        assert_eq!(gate.look_of("a", key, &page, 0), Ok(()));
    }
    assert_eq!(gate.look_of("good", 9, &answer(200), 0), Ok(()));
    for key in 10..15 {
        assert_eq!(gate.look_of("b", key, &page, 0), Ok(()));
    }
    for second in 1..600 {
        for namespace in ["a", "b"] {
            let _ = gate.look_of(namespace, 20, &page, second);
            gate.leave(&20);
        }
        assert_eq!(gate.keeps_out("good", second), None, "{second}");
    }
}

#[test]
fn those_behind_one_whose_connection_waits_are_served() {
    let mut gate = open();
    let other = ConnectionId { secret: "other".to_owned(), ..id("n") };
    assert_eq!(gate.look(1, &too_many(Some(100), None), 0), Ok(()));
    let grants: Vec<Grant> = (100..116).map(|key| gate.ask(&key, &id("m"), Need::Look, at(0)).unwrap()).collect();
    assert!(gate.ask(&2, &id("n"), Need::Look, at(0)).is_err());
    assert!(gate.ask(&3, &other, Need::Look, at(0)).is_err());
    for grant in &grants {
        gate.done(grant, 1, 0, at(1));
    }
    assert_eq!(gate.calls(1), [3]);
    assert_eq!(gate.calls(100), [2], "it kept its place");
}
