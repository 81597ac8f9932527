//! What the Secret `<name>-renewed` keeps of the renewals of a Secret's tokens, and what has to be done about them. Pure.
//!
//! A renewal is written down before it is asked for, and its answer after: so no pair of tokens is used twice, whoever
//! crashes in between.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use crate::{
    api::OPERATOR,
    command_center::{NotAToken, Token, connection::check_type, renew::answer::Pair},
    kubernetes::key::SecretKey,
};

/// Says whose Secret it is.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Tells by which pair of the user's Secret the renewals began.
const SOURCE: &str = "commandcenter.dev/renewed-from";
/// How many renewals there were since.
const RENEWALS: &str = "commandcenter.dev/renewals";
/// That a renewal is under way, by its id, or was refused.
const RENEWAL: &str = "commandcenter.dev/renewal";
/// When the token expires, and when it is renewed, by the operator's clock.
const EXPIRES_AT: &str = "commandcenter.dev/token-expires-at";
const RENEW_AT: &str = "commandcenter.dev/renew-at";
/// Keys of a connection.
const TOKEN: &str = "token";
const REFRESH_TOKEN: &str = "refreshToken";

/// How long no refresh token is left unused.
const A_WEEK: Duration = Duration::from_hours(24 * 7);

/// The pair in the user's own Secret.
#[derive(Clone, Debug)]
pub struct Source {
    /// The pair.
    pub pair: Pair,
    /// What tells this pair from others without showing anything of it.
    pub fingerprint: Fingerprint,
}

/// What tells a pair of tokens from others without showing anything of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

/// One renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalId(String);

/// What `<name>-renewed` is.
#[derive(Clone, Debug)]
pub enum Stored {
    /// It does not exist, or speaks of another pair than the user's Secret has now.
    Nothing,
    /// It is not the operator's, or is of a type that is for something else.
    Foreign,
    /// It keeps the renewals of this pair.
    Recorded(RenewalRecord),
}

/// The renewals of one source.
#[derive(Clone, Debug)]
pub struct RenewalRecord {
    /// The latest pair, once there was a renewal.
    pub latest: Option<Latest>,
    /// How the last renewal stands.
    pub state: RenewalState,
}

/// The pair that the last renewal gave.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The pair.
    pub pair: Pair,
    /// How many renewals there were.
    pub renewals: u64,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// When it is to be renewed.
    pub renew_at: Timestamp,
}

/// How the last renewal stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalState {
    /// There is none, or its pair is kept.
    Settled,
    /// It may be asked for at any moment, or was, and its answer is not here.
    UnderWay(RenewalId),
    /// It is kept for another Secret of that name, which is gone: this one is a copy, and that one's tokens may have been
    /// renewed since.
    OfAnother,
    /// It was refused.
    Refused,
}

/// Why a token that is not taken any more is not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalObstacle {
    /// It is tried again soon.
    Delayed,
    /// The last renewal may have been made, and its answer is lost.
    Lost,
    /// The Command Center does not renew this pair.
    Refused,
    /// `<name>-renewed` is somebody else's.
    NameTaken,
    /// The operator may not write `<name>-renewed`.
    NotPermitted,
}

/// What is known beside the two Secrets.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The Command Center rejected the latest token.
    pub rejected: bool,
    /// Renewals that this process wrote down, perhaps, and did not ask for.
    pub unsent: &'a [RenewalId],
    /// What kept the last renewal from being made, a moment ago.
    pub hindered: Option<RenewalObstacle>,
    /// This process used the latest pair before.
    pub spent: bool,
    /// The time.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalStep {
    /// Use the latest token.
    Use,
    /// Renew the latest pair.
    Renew,
    /// The latest token is of no use, and cannot be renewed.
    Stop(RenewalObstacle),
}

/// The Secret that keeps the renewals of the tokens in Secret `key`.
#[must_use]
pub fn key_of(key: &SecretKey) -> SecretKey {
    SecretKey::new(&*key.namespace, name_of(&key.name))
}

/// The name of the Secret that keeps the renewals of the tokens in Secret `name`.
#[must_use]
pub fn name_of(name: &str) -> String {
    format!("{name}-renewed")
}

impl Fingerprint {
    /// That of `pair`. Whoever may read a Secret's annotations and not its data learns nothing: tokens are
    /// too long to be guessed.
    #[must_use]
    pub fn of(pair: &Pair) -> Self {
        let (token, refresh) = (pair.token.reveal(), pair.refresh_token.reveal());
        let hash = digest(&SHA256, format!("{}:{token}{refresh}", token.len()).as_bytes());
        let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
        Self(format!("{:032x}", u128::from_be_bytes(half)))
    }
}

impl RenewalId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

impl Source {
    /// The pair in the data of the user's Secret; nothing where there is no key `refreshToken`, or not two tokens.
    #[must_use]
    pub fn of(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let pair = pair(data)?;
        Some(Self { fingerprint: Fingerprint::of(&pair), pair })
    }
}

/// What is wrong with the refresh token in the data of the user's Secret, if there is one: without it no renewal would be
/// made, and nobody would hear of it.
#[must_use]
pub fn wrong_refresh_token(data: &BTreeMap<String, ByteString>) -> Option<NotAToken> {
    let problem = Token::new(&data.get(REFRESH_TOKEN)?.0).err();
    problem.filter(|problem| *problem != NotAToken::Empty)
}

fn pair(data: &BTreeMap<String, ByteString>) -> Option<Pair> {
    let token = |key: &str| Token::new(&data.get(key)?.0).ok();
    Some(Pair { token: token(TOKEN)?, refresh_token: token(REFRESH_TOKEN)? })
}

impl Stored {
    /// What `secret` is to the renewals of `source`, which is that of the Secret with uid `owner`.
    #[must_use]
    pub fn of(secret: Option<&Secret>, source: &Source, owner: Option<&str>) -> Self {
        let Some(secret) = secret else { return Self::Nothing };
        let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
        if label.map(String::as_str) != Some(OPERATOR) || check_type(secret.type_.as_deref()).is_err() {
            return Self::Foreign;
        }
        let note = |name: &str| secret.metadata.annotations.as_ref().and_then(|notes| notes.get(name));
        if note(SOURCE) != Some(&source.fingerprint.0) {
            return Self::Nothing;
        }
        let mut owners = secret.metadata.owner_references.iter().flatten();
        let state = match note(RENEWAL).map(String::as_str) {
            _ if owners.all(|reference| Some(reference.uid.as_str()) != owner) => RenewalState::OfAnother,
            None => RenewalState::Settled,
            Some("refused") => RenewalState::Refused,
            Some(id) => RenewalState::UnderWay(RenewalId(id.to_owned())),
        };
        let time = |name: &str| note(name).and_then(|text| text.parse::<Timestamp>().ok());
        let latest = secret.data.as_ref().and_then(pair).map(|pair| Latest {
            pair,
            renewals: note(RENEWALS).and_then(|number| number.parse().ok()).unwrap_or(1),
            // Without its times it is taken for old, and renewed.
            expires_at: time(EXPIRES_AT).unwrap_or(Timestamp::MAX),
            renew_at: time(RENEW_AT).unwrap_or(Timestamp::MIN),
        });
        Self::Recorded(RenewalRecord { latest, state })
    }

    /// What was kept.
    #[must_use]
    pub const fn kept(&self) -> Option<&RenewalRecord> {
        match self {
            Self::Recorded(kept) => Some(kept),
            Self::Nothing | Self::Foreign => None,
        }
    }

    /// The pair that the last renewal gave.
    #[must_use]
    pub fn latest(&self) -> Option<&Latest> {
        self.kept()?.latest.as_ref()
    }

    /// How many renewals led from the user's pair to the latest.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.latest().map_or(0, |latest| latest.renewals)
    }

    /// The latest pair.
    #[must_use]
    pub fn pair<'a>(&'a self, source: &'a Source) -> &'a Pair {
        self.latest().map_or(&source.pair, |latest| &latest.pair)
    }
}

impl Latest {
    /// Until when a rejection is not held to be its end, a third of its life: one that is rejected so young was withdrawn, and
    /// another one would be, too.
    fn believed_until(&self) -> Timestamp {
        let last_third = Duration::try_from(self.expires_at.duration_since(self.renew_at)).unwrap_or_default();
        self.renew_at.checked_sub(last_third.min(A_WEEK / 2)).unwrap_or(Timestamp::MIN)
    }
}

impl RenewalRecord {
    /// Whether `other` says the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let latest = |kept: &Self| kept.latest.as_ref().map(|latest| Fingerprint::of(&latest.pair));
        self.state == other.state && latest(self) == latest(other)
    }
}

/// What to do about the token.
#[must_use]
pub fn decide(stored: &Stored, around: &Circumstances<'_>) -> RenewalStep {
    let due = match stored.latest() {
        Some(latest) => around.now >= latest.renew_at || (around.rejected && around.now >= latest.believed_until()),
        // Nobody knows how old the user's own is.
        None => around.rejected,
    };
    if !due {
        return RenewalStep::Use;
    }
    let obstacle = match (stored, stored.kept().map(|kept| &kept.state)) {
        (Stored::Foreign, _) => Some(RenewalObstacle::NameTaken),
        (_, Some(RenewalState::UnderWay(id))) if !around.unsent.contains(id) => Some(RenewalObstacle::Lost),
        (_, Some(RenewalState::OfAnother)) => Some(RenewalObstacle::Lost),
        (_, Some(RenewalState::Refused)) => Some(RenewalObstacle::Refused),
        (_, _) if around.spent => Some(RenewalObstacle::Lost),
        (_, _) => around.hindered,
    };
    let expired = stored.latest().is_some_and(|latest| around.now >= latest.expires_at);
    match obstacle {
        None => RenewalStep::Renew,
        Some(obstacle) if around.rejected || expired => RenewalStep::Stop(obstacle),
        Some(_) => RenewalStep::Use,
    }
}

/// Two thirds of the way: when a token is renewed that lives `lifetime` from `now` on, and when it expires. A long-lived one
/// earlier, because its refresh token is void after 14 days.
#[must_use]
pub fn times(lifetime: Duration, now: Timestamp) -> (Timestamp, Timestamp) {
    let after = |wait: Duration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
    (after((lifetime / 3 * 2).min(A_WEEK)), after(lifetime))
}

/// `<name>-renewed` as it keeps `kept` of `source`: in the place of `old`, and owned by the user's Secret `owner`.
#[must_use]
pub fn secret(owner: &ObjectMeta, source: &Source, kept: &RenewalRecord, old: Option<&Secret>) -> Secret {
    let note = |name: &str, value: String| (name.to_owned(), value);
    let mut annotations = BTreeMap::from([note(SOURCE, source.fingerprint.0.clone())]);
    match &kept.state {
        // Nothing is written over what is another's.
        RenewalState::Settled | RenewalState::OfAnother => {}
        RenewalState::UnderWay(id) => annotations.extend([note(RENEWAL, id.0.clone())]),
        RenewalState::Refused => annotations.extend([note(RENEWAL, "refused".to_owned())]),
    }
    let mut data = BTreeMap::new();
    if let Some(latest) = &kept.latest {
        annotations.extend([
            note(RENEWALS, latest.renewals.to_string()),
            note(EXPIRES_AT, latest.expires_at.to_string()),
            note(RENEW_AT, latest.renew_at.to_string()),
        ]);
        let key = |name: &str, token: &Token| (name.to_owned(), ByteString(token.reveal().as_bytes().to_vec()));
        data.extend([key(TOKEN, &latest.pair.token), key(REFRESH_TOKEN, &latest.pair.refresh_token)]);
    }
    let name = owner.name.clone().unwrap_or_default();
    Secret {
        metadata: ObjectMeta {
            name: Some(name_of(&name)),
            namespace: owner.namespace.clone(),
            labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), OPERATOR.to_owned())])),
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Secret".to_owned(),
                name,
                uid: owner.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            resource_version: old.and_then(|old| old.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..Secret::default()
    }
}

#[cfg(test)]
#[path = "renewed_secret_tests.rs"]
mod tests;
