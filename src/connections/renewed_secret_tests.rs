use super::*;

const NOW: Timestamp = Timestamp::constant(1_000_000, 0);
const LIFETIME: Duration = Duration::from_mins(30);

fn pair(name: &str) -> Pair {
    let token = |kind: &str| Token::new(format!("{kind}-{name}").as_bytes()).unwrap();
    Pair { token: token("access"), refresh_token: token("refresh") }
}

fn source(name: &str) -> Source {
    Source { fingerprint: Fingerprint::of(&pair(name)), pair: pair(name) }
}

fn owner() -> ObjectMeta {
    ObjectMeta {
        name: Some("commandcenter".to_owned()),
        namespace: Some("crm".to_owned()),
        uid: Some("u".to_owned()),
        ..ObjectMeta::default()
    }
}

fn latest() -> Latest {
    let (renew_at, expires_at) = times(LIFETIME, NOW);
    Latest { pair: pair("2"), renewals: 2, expires_at, renew_at }
}

fn kept(latest: Option<Latest>, state: RenewalState) -> Stored {
    let written = secret(&owner(), &source("1"), &RenewalRecord { latest, state }, None);
    Stored::of(Some(&written), &source("1"), Some("u"))
}

fn id(name: &str) -> RenewalId {
    RenewalId(name.to_owned())
}

fn minutes_later(minutes: u64) -> Timestamp {
    NOW.checked_add(Duration::from_mins(minutes)).unwrap()
}

const CALM: Circumstances<'_> = Circumstances { rejected: false, unsent: &[], hindered: None, spent: false, now: NOW };

#[test]
fn what_is_kept_is_read_again_as_it_was_written() {
    let Stored::Recorded(read) = kept(Some(latest()), RenewalState::UnderWay(id("a"))) else { panic!("it is kept") };
    let back = read.latest.unwrap();
    assert_eq!(read.state, RenewalState::UnderWay(id("a")));
    assert_eq!((back.pair.token.reveal(), back.pair.refresh_token.reveal()), ("access-2", "refresh-2"));
    assert_eq!((back.renewals, back.expires_at), (2, minutes_later(30)));
    assert_eq!(back.renew_at, minutes_later(20), "two thirds of its life");
    assert!(matches!(
        kept(None, RenewalState::Refused),
        Stored::Recorded(RenewalRecord { latest: None, state: RenewalState::Refused })
    ));
}

#[test]
fn another_pair_in_the_users_secret_starts_afresh_and_a_secret_of_somebody_else_is_left_alone() {
    let written =
        secret(&owner(), &source("1"), &RenewalRecord { latest: Some(latest()), state: RenewalState::Settled }, None);
    assert!(matches!(Stored::of(Some(&written), &source("other"), Some("u")), Stored::Nothing));
    let mixed = Source { pair: pair("1"), fingerprint: Fingerprint::of(&Pair { token: pair("9").token, ..pair("1") }) };
    assert!(matches!(Stored::of(Some(&written), &mixed, Some("u")), Stored::Nothing), "the token alone was changed");
    let foreign = Secret { metadata: ObjectMeta { labels: None, ..written.metadata.clone() }, ..written };
    let stored = Stored::of(Some(&foreign), &source("1"), Some("u"));
    assert!(matches!(stored, Stored::Foreign));
    let rejected = Circumstances { rejected: true, ..CALM };
    assert_eq!(decide(&stored, &rejected), RenewalStep::Stop(RenewalObstacle::NameTaken));
    assert_eq!(decide(&stored, &CALM), RenewalStep::Use);
}

#[test]
fn what_was_kept_for_a_secret_that_is_gone_is_used_and_not_renewed() {
    let written =
        secret(&owner(), &source("1"), &RenewalRecord { latest: Some(latest()), state: RenewalState::Settled }, None);
    let copy = Stored::of(Some(&written), &source("1"), Some("of a restored one"));
    assert_eq!(copy.pair(&source("1")).token.reveal(), "access-2");
    assert_eq!(decide(&copy, &Circumstances { now: minutes_later(29), ..CALM }), RenewalStep::Use);
    assert_eq!(
        decide(&copy, &Circumstances { now: minutes_later(30), ..CALM }),
        RenewalStep::Stop(RenewalObstacle::Lost)
    );
}

#[test]
fn a_long_life_is_renewed_before_its_refresh_token_is_void() {
    let (renew_at, expires_at) = times(Duration::from_hours(24 * 90), NOW);
    assert_eq!((renew_at, expires_at), (minutes_later(7 * 24 * 60), minutes_later(90 * 24 * 60)));
    let old = kept(Some(Latest { expires_at, renew_at, ..latest() }), RenewalState::Settled);
    let rejected = |days: u64| Circumstances { rejected: true, now: minutes_later(days * 24 * 60), ..CALM };
    assert_eq!((decide(&old, &rejected(3)), decide(&old, &rejected(4))), (RenewalStep::Use, RenewalStep::Renew));
}

#[test]
fn a_secret_names_its_owner_and_shows_nothing_of_a_token_in_its_metadata() {
    let written =
        secret(&owner(), &source("1"), &RenewalRecord { latest: Some(latest()), state: RenewalState::Settled }, None);
    let metadata = serde_json::to_string(&written.metadata).unwrap();
    assert!(!metadata.contains("access-") && !metadata.contains("refresh-"), "{metadata}");
    let owner = &written.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()), ("Secret", "commandcenter", "u"));
    assert_eq!(written.metadata.name.as_deref(), Some("commandcenter-renewed"));
}

#[test]
fn the_users_own_token_is_renewed_when_it_is_rejected_and_a_renewed_one_at_two_thirds_of_its_life() {
    let rejected = Circumstances { rejected: true, ..CALM };
    assert_eq!(decide(&Stored::Nothing, &CALM), RenewalStep::Use);
    assert_eq!(decide(&Stored::Nothing, &rejected), RenewalStep::Renew);
    let settled = kept(Some(latest()), RenewalState::Settled);
    assert_eq!(decide(&settled, &Circumstances { now: minutes_later(19), ..CALM }), RenewalStep::Use);
    assert_eq!(decide(&settled, &Circumstances { now: minutes_later(20), ..CALM }), RenewalStep::Renew);
    assert_eq!(decide(&settled, &rejected), RenewalStep::Use, "rejected so young: another one would be as well");
    let at = |minutes| Circumstances { now: minutes_later(minutes), ..rejected };
    assert_eq!(decide(&settled, &at(9)), RenewalStep::Use);
    assert_eq!(decide(&settled, &at(10)), RenewalStep::Renew, "after a third of its life a rejection is its end");
    let old = Circumstances { now: minutes_later(31), ..rejected };
    assert_eq!(decide(&settled, &old), RenewalStep::Renew);
}

#[test]
fn a_pair_that_may_have_been_used_is_not_used_again_and_its_token_only_while_it_is_taken() {
    let rejected = Circumstances { rejected: true, ..CALM };
    for (stored, around, obstacle) in [
        (kept(None, RenewalState::UnderWay(id("a"))), CALM, RenewalObstacle::Lost),
        (
            kept(None, RenewalState::UnderWay(id("a"))),
            Circumstances { unsent: &[id("b")], ..CALM },
            RenewalObstacle::Lost,
        ),
        (kept(None, RenewalState::Refused), CALM, RenewalObstacle::Refused),
        (Stored::Nothing, Circumstances { spent: true, ..CALM }, RenewalObstacle::Lost),
        (Stored::Nothing, Circumstances { hindered: Some(RenewalObstacle::Delayed), ..CALM }, RenewalObstacle::Delayed),
    ] {
        assert_eq!(decide(&stored, &around), RenewalStep::Use, "{stored:?}");
        assert_eq!(
            decide(&stored, &Circumstances { rejected: true, ..around }),
            RenewalStep::Stop(obstacle),
            "{stored:?}"
        );
    }
    let lost = kept(Some(latest()), RenewalState::UnderWay(id("a")));
    assert_eq!(decide(&lost, &Circumstances { now: minutes_later(29), ..CALM }), RenewalStep::Use);
    assert_eq!(
        decide(&lost, &Circumstances { now: minutes_later(30), ..CALM }),
        RenewalStep::Stop(RenewalObstacle::Lost)
    );
    let unsent = Circumstances { unsent: &[id("b"), id("a")], ..rejected };
    assert_eq!(
        decide(&kept(None, RenewalState::UnderWay(id("a"))), &unsent),
        RenewalStep::Renew,
        "this process knows that it was not"
    );
}

#[test]
fn a_secret_whose_type_is_for_something_else_is_never_the_operators() {
    let mut written =
        secret(&owner(), &source("1"), &RenewalRecord { latest: Some(latest()), state: RenewalState::Settled }, None);
    for (type_, is_ours) in [
        ("Opaque", true),
        ("example.com/tokens", true),
        ("kubernetes.io/service-account-token", false),
        ("bootstrap.kubernetes.io/token", false),
        ("helm.sh/release.v1", false),
    ] {
        written.type_ = Some(type_.to_owned());
        let stored = Stored::of(Some(&written), &source("1"), Some("u"));
        assert_eq!(matches!(stored, Stored::Recorded(_)), is_ours, "{type_}");
        assert_eq!(matches!(stored, Stored::Foreign), !is_ours, "{type_}");
    }
}
