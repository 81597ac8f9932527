//! The renewals of the tokens in a Secret, as the Secret `<name>-renewed` keeps them. Both Secrets and the
//! circumstances go in; a [`RenewalStep`] and the Secret to store come out. Pure, no client.
//!
//! The intent of a renewal is stored before the call, and the outcome after it. So no pair of tokens is used twice,
//! even if the operator crashes in between.

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

/// Label: the operator manages this Secret.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Annotation: the fingerprint of the pair in the user's Secret from which the renewals started.
const SOURCE: &str = "commandcenter.dev/renewed-from";
/// Annotation: the number of renewals since then.
const RENEWALS: &str = "commandcenter.dev/renewals";
/// Annotation: the id of a renewal that is in progress, or `refused`.
const RENEWAL: &str = "commandcenter.dev/renewal";
/// Annotations: the times at which the token expires and is to be renewed, by the operator's clock.
const EXPIRES_AT: &str = "commandcenter.dev/token-expires-at";
const RENEW_AT: &str = "commandcenter.dev/renew-at";
/// Keys of a connection.
const TOKEN: &str = "token";
const REFRESH_TOKEN: &str = "refreshToken";

/// The longest time for which a refresh token is left unused.
const A_WEEK: Duration = Duration::from_hours(24 * 7);

/// The pair in the user's own Secret.
#[derive(Clone, Debug)]
pub struct Source {
    /// The pair.
    pub pair: Pair,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// Tells a pair of tokens from others and shows nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

/// The id of one renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalId(String);

/// The content of `<name>-renewed`.
#[derive(Clone, Debug)]
pub enum Stored {
    /// It does not exist, or belongs to another pair than the one in the user's Secret now.
    Nothing,
    /// It is not the operator's, or its type is for something else.
    Foreign,
    /// It keeps the renewals of this pair.
    Recorded(RenewalRecord),
}

/// The renewals of one source.
#[derive(Clone, Debug)]
pub struct RenewalRecord {
    /// The latest pair, if there was a renewal.
    pub latest: Option<Latest>,
    /// The state of the last renewal.
    pub state: RenewalState,
}

/// The pair of the last renewal.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The pair.
    pub pair: Pair,
    /// The number of renewals from the user's pair to this one.
    pub renewals: u64,
    /// The time at which the token expires.
    pub expires_at: Timestamp,
    /// The time at which it is to be renewed.
    pub renew_at: Timestamp,
}

/// The state of the last renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalState {
    /// There is none, or its pair is stored.
    Settled,
    /// Its intent is stored and its outcome is not: the call may come at any moment, or was made and its answer is not
    /// here.
    UnderWay(RenewalId),
    /// It belongs to another Secret of that name, which is gone. This Secret is a copy of that one, whose tokens may
    /// have been renewed since.
    OfAnother,
    /// The Command Center refused it.
    Refused,
}

/// The obstacle to the renewal of a token that is no longer accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalObstacle {
    /// The renewal will be tried again soon.
    Delayed,
    /// The last renewal may have been made, and its answer is lost.
    Lost,
    /// The Command Center does not renew this pair.
    Refused,
    /// `<name>-renewed` belongs to somebody else.
    NameTaken,
    /// The operator may not write `<name>-renewed`.
    NotPermitted,
}

/// The circumstances of a decision, besides the two Secrets.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The Command Center rejected the latest token.
    pub rejected: bool,
    /// Renewals whose intent this process may have stored and whose call it did not make.
    pub unsent: &'a [RenewalId],
    /// The obstacle to the last renewal, a moment ago.
    pub hindered: Option<RenewalObstacle>,
    /// This process has used the latest pair before.
    pub spent: bool,
    /// The time.
    pub now: Timestamp,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalStep {
    /// Use the latest token.
    Use,
    /// Renew the latest pair.
    Renew,
    /// The latest token is no longer accepted or has expired, and it cannot be renewed.
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
    /// The fingerprint of `pair`. A reader of a Secret's annotations who cannot read its data learns nothing from it:
    /// tokens are too long to be guessed.
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
    /// The pair in the data of the user's Secret. None without a key `refreshToken`, or if one of the two is not a
    /// token.
    #[must_use]
    pub fn of(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let pair = pair(data)?;
        Some(Self { fingerprint: Fingerprint::of(&pair), pair })
    }
}

/// The mistake in the refresh token of the user's Secret, if it has one. It is reported, because otherwise no renewal
/// would be made and nobody would know.
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
    /// The meaning of `secret` for the renewals of `source`, which is the pair of the Secret with uid `owner`.
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
            // A pair without its times counts as old, and is renewed.
            expires_at: time(EXPIRES_AT).unwrap_or(Timestamp::MAX),
            renew_at: time(RENEW_AT).unwrap_or(Timestamp::MIN),
        });
        Self::Recorded(RenewalRecord { latest, state })
    }

    /// The stored renewals.
    #[must_use]
    pub const fn kept(&self) -> Option<&RenewalRecord> {
        match self {
            Self::Recorded(kept) => Some(kept),
            Self::Nothing | Self::Foreign => None,
        }
    }

    /// The pair of the last renewal.
    #[must_use]
    pub fn latest(&self) -> Option<&Latest> {
        self.kept()?.latest.as_ref()
    }

    /// The number of renewals from the user's pair to the latest.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.latest().map_or(0, |latest| latest.renewals)
    }

    /// The latest pair: that of the last renewal, or the user's own.
    #[must_use]
    pub fn pair<'a>(&'a self, source: &'a Source) -> &'a Pair {
        self.latest().map_or(&source.pair, |latest| &latest.pair)
    }
}

impl Latest {
    /// The time before which a rejection does not lead to a renewal, about a third of the token's life. A token that is
    /// rejected so early was withdrawn, and the next one would be, too.
    fn believed_until(&self) -> Timestamp {
        let last_third = Duration::try_from(self.expires_at.duration_since(self.renew_at)).unwrap_or_default();
        self.renew_at.checked_sub(last_third.min(A_WEEK / 2)).unwrap_or(Timestamp::MIN)
    }
}

impl RenewalRecord {
    /// True if `other` has the same state and the same latest pair.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let latest = |kept: &Self| kept.latest.as_ref().map(|latest| Fingerprint::of(&latest.pair));
        self.state == other.state && latest(self) == latest(other)
    }
}

/// Decides what to do about the token.
#[must_use]
pub fn decide(stored: &Stored, around: &Circumstances<'_>) -> RenewalStep {
    let due = match stored.latest() {
        Some(latest) => around.now >= latest.renew_at || (around.rejected && around.now >= latest.believed_until()),
        // The age of the user's own token is not known.
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

/// The times at which a token that lives for `lifetime` from `now` is renewed, and expires. It is renewed after two
/// thirds of its life, and after a week at the latest, because its refresh token is void after 14 days.
#[must_use]
pub fn times(lifetime: Duration, now: Timestamp) -> (Timestamp, Timestamp) {
    let after = |wait: Duration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
    (after((lifetime / 3 * 2).min(A_WEEK)), after(lifetime))
}

/// The Secret `<name>-renewed` that keeps `kept` of `source`. It replaces `old`, and the user's Secret `owner` owns it.
#[must_use]
pub fn secret(owner: &ObjectMeta, source: &Source, kept: &RenewalRecord, old: Option<&Secret>) -> Secret {
    let note = |name: &str, value: String| (name.to_owned(), value);
    let mut annotations = BTreeMap::from([note(SOURCE, source.fingerprint.0.clone())]);
    match &kept.state {
        // `Settled` needs no annotation. `OfAnother` is never stored, because `decide` permits no renewal then.
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
