//! Behaviour of a simulated Command Center: the options, and their JSON in `/_simulator/options`. Pure.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::simulator::{
    fields::{Fields, FromField, Wrong},
    limits::Limits,
};

/// Everything that a simulator is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host name or IP address by which others reach it; None is the address listened on.
    pub host: Option<String>,
    /// TLS, or plain HTTP.
    pub tls: Tls,
    /// The access token; None makes one up.
    pub token: Option<String>,
    /// The refresh token that belongs to it; None makes one up.
    pub refresh_token: Option<String>,
    /// Where the dice for faults with a share start: the same seed gives the same throws.
    pub seed: u64,
    /// The options that can be changed while it runs.
    pub behaviour: Behaviour,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            host: None,
            tls: Tls::Off,
            token: None,
            refresh_token: None,
            seed: 1,
            behaviour: Behaviour::default(),
        }
    }
}

/// Plain HTTP, or TLS with a certificate authority made up at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    Off,
    /// The certificate is for `localhost`, `127.0.0.1`, `::1`, the address listened on, the host, and these names.
    SelfSigned {
        /// Host names or IP addresses.
        names: Vec<String>,
    },
}

/// Options that can be changed while a simulator runs, with `PUT /_simulator/options`.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Every answer of the API waits this long, after the work is done.
    pub latency: Duration,
    /// From start to end of a job; applies to jobs that start from now on.
    pub job_duration: Duration,
    /// A new job is not found and not listed for this long.
    pub visible_after: Duration,
    /// Number of jobs that a task starts for each association.
    pub jobs_per_association: u32,
    /// True if `CreateTask` answers with the ids of the jobs, or with the task's alone.
    pub job_ids_in_answer: bool,
    /// Answer to a `CreateTask` while a job of the same target is active.
    pub when_running: WhenRunning,
    /// True if jobs show the description that `CreateTask` gave them, as `jobDescription`. No client of the vendor reads it
    /// from a list, so that most Command Centers are taken not to show it.
    pub descriptions: bool,
    /// Answer to a search without a hit, and to a look for a job that is not known.
    pub empty_list: EmptyList,
    /// True if bodies may have fields beyond those of the vendor's page and its other clients.
    pub lenient: bool,
    /// Time by which this server's clock is ahead of the true time (behind, when negative).
    pub clock_offset: SignedDuration,
    /// Renewal of tokens.
    pub renewal: Renewal,
    /// Number of calls that are let in.
    pub limits: Limits,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            job_duration: Duration::from_secs(20),
            visible_after: Duration::ZERO,
            jobs_per_association: 1,
            job_ids_in_answer: true,
            when_running: WhenRunning::Start,
            descriptions: false,
            empty_list: EmptyList::Empty,
            lenient: false,
            clock_offset: SignedDuration::ZERO,
            renewal: Renewal { lifetime: None, needs_authtoken: false, refusal: RenewRefusal::Unauthorized },
            limits: Limits::NONE,
        }
    }
}

/// Answer to a `CreateTask` while a job of the same target is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenRunning {
    /// Its jobs run beside the active one.
    Start,
    /// It is refused with status 409.
    Refuse409,
    /// It is refused with status 200 and errorCode 268.
    Refuse268,
    /// It is refused with status 400 and errorCode 268.
    Refuse268With400,
    /// It is accepted, and its jobs are Queued until the active one has ended.
    Queue,
}

impl WhenRunning {
    /// Each with its word on the command line and in `/_simulator/options`.
    pub const ALL: [(&'static str, Self); 5] = [
        ("start", Self::Start),
        ("refuse-409", Self::Refuse409),
        ("refuse-268", Self::Refuse268),
        ("refuse-268-with-400", Self::Refuse268With400),
        ("queue", Self::Queue),
    ];

    /// The one of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice)
    }
}

/// Answer to a search for jobs that finds none; `totalRecordsWithoutPaging` is 0 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyList {
    /// With status 404.
    NotFound,
    /// With status 200 and an empty list.
    Empty,
}

/// Renewal of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Lifetime of an access token, counted from its issue; None: forever. The first one is issued at the start.
    pub lifetime: Option<Duration>,
    /// True if a renewal must carry the access token as `Authtoken` too.
    pub needs_authtoken: bool,
    /// Failure of a renewal.
    pub refusal: RenewRefusal,
}

/// Failure of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewRefusal {
    /// With status 401.
    Unauthorized,
    /// With status 200 and errorCode 7.
    ErrorCode7,
}

const EMPTY_LISTS: [(&str, EmptyList); 2] = [("404", EmptyList::NotFound), ("200", EmptyList::Empty)];
const RENEW_REFUSALS: [(&str, RenewRefusal); 2] =
    [("401", RenewRefusal::Unauthorized), ("200", RenewRefusal::ErrorCode7)];

impl Behaviour {
    /// The JSON of `GET /_simulator/options`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "latency": duration_text(self.latency),
            "jobDuration": duration_text(self.job_duration),
            "visibleAfter": duration_text(self.visible_after),
            "jobsPerAssociation": self.jobs_per_association,
            "jobIdsInAnswer": self.job_ids_in_answer,
            "whenRunning": word(self.when_running, &WhenRunning::ALL),
            "descriptions": self.descriptions,
            "emptyList": word(self.empty_list, &EMPTY_LISTS),
            "lenient": self.lenient,
            "clockOffset": format!("{:#}", self.clock_offset),
            "tokenLifetime": self.renewal.lifetime.map_or_else(|| "never".to_owned(), duration_text),
            "renewNeedsAuthtoken": self.renewal.needs_authtoken,
            "renewRefusal": word(self.renewal.refusal, &RENEW_REFUSALS),
            "writesPerPeriod": self.limits.writes.map_or_else(|| json!("unlimited"), Value::from),
            "readsPerPeriod": self.limits.reads.map_or_else(|| json!("unlimited"), Value::from),
            "limitPeriod": duration_text(self.limits.period),
            "limitRetryAfter": self.limits.retry_after,
        })
    }

    /// This behaviour with the fields changed that the document of a `PUT /_simulator/options` names.
    pub(crate) fn changed_by(&self, body: &[u8]) -> Result<Self, Wrong> {
        let mut fields = Fields::parse(body)?;
        let was = self.clone();
        let renewal = Renewal {
            lifetime: read_lifetime(&mut fields, was.renewal.lifetime)?,
            needs_authtoken: fields.take("renewNeedsAuthtoken")?.unwrap_or(was.renewal.needs_authtoken),
            refusal: fields.choice("renewRefusal", &RENEW_REFUSALS)?.unwrap_or(was.renewal.refusal),
        };
        let limits = Limits {
            writes: read_limit(&mut fields, "writesPerPeriod", was.limits.writes)?,
            reads: read_limit(&mut fields, "readsPerPeriod", was.limits.reads)?,
            period: fields.take("limitPeriod")?.unwrap_or(was.limits.period),
            retry_after: fields.take("limitRetryAfter")?.unwrap_or(was.limits.retry_after),
        };
        let changed = Self {
            latency: fields.take("latency")?.unwrap_or(was.latency),
            job_duration: fields.take("jobDuration")?.unwrap_or(was.job_duration),
            visible_after: fields.take("visibleAfter")?.unwrap_or(was.visible_after),
            jobs_per_association: fields.take("jobsPerAssociation")?.unwrap_or(was.jobs_per_association),
            job_ids_in_answer: fields.take("jobIdsInAnswer")?.unwrap_or(was.job_ids_in_answer),
            when_running: fields.choice("whenRunning", &WhenRunning::ALL)?.unwrap_or(was.when_running),
            descriptions: fields.take("descriptions")?.unwrap_or(was.descriptions),
            empty_list: fields.choice("emptyList", &EMPTY_LISTS)?.unwrap_or(was.empty_list),
            lenient: fields.take("lenient")?.unwrap_or(was.lenient),
            clock_offset: fields.take("clockOffset")?.unwrap_or(was.clock_offset),
            renewal,
            limits,
        };
        fields.done()?;
        Ok(changed)
    }
}

fn read_lifetime(fields: &mut Fields, was: Option<Duration>) -> Result<Option<Duration>, Wrong> {
    let path = fields.path_of("tokenLifetime");
    match fields.take::<Value>("tokenLifetime")? {
        None => Ok(was),
        Some(Value::String(text)) if text == "never" => Ok(None),
        Some(value) => match Duration::from_field(value) {
            Some(lifetime) => Ok(Some(lifetime)),
            None => Err(Wrong::at(&path, "must be a duration such as \"30m\", or \"never\"")),
        },
    }
}

fn read_limit(fields: &mut Fields, key: &'static str, was: Option<u32>) -> Result<Option<u32>, Wrong> {
    let path = fields.path_of(key);
    match fields.take::<Value>(key)? {
        None => Ok(was),
        Some(Value::String(text)) if text == "unlimited" => Ok(None),
        Some(value) => match value.as_u64().and_then(|limit| u32::try_from(limit).ok()) {
            Some(limit) => Ok(Some(limit)),
            None => Err(Wrong::at(&path, "must be a whole number, or \"unlimited\"")),
        },
    }
}

/// A duration as people write it: `30s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| "forever".to_owned(), |duration| format!("{duration:#}"))
}

fn word<T: PartialEq + Copy>(choice: T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, known)| *known == choice).map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_options_touches_only_what_it_names() {
        let changed = Behaviour::default()
            .changed_by(
                br#"{"jobDuration":"2s","emptyList":"404","lenient":true,"clockOffset":"-2h","tokenLifetime":"30m"}"#,
            )
            .unwrap();
        let mut expected = Behaviour {
            job_duration: Duration::from_secs(2),
            empty_list: EmptyList::NotFound,
            lenient: true,
            clock_offset: SignedDuration::from_hours(-2),
            ..Behaviour::default()
        };
        expected.renewal.lifetime = Some(Duration::from_mins(30));
        assert_eq!(changed, expected);
    }

    #[test]
    fn what_get_options_shows_can_be_put_back() {
        let mut behaviour = Behaviour { latency: Duration::from_millis(250), ..Behaviour::default() };
        behaviour.renewal.lifetime = Some(Duration::from_hours(2));
        behaviour.limits = Limits { writes: Some(100), retry_after: true, ..Limits::NONE };
        let shown = behaviour.to_json().to_string();
        assert_eq!(Behaviour::default().changed_by(shown.as_bytes()).unwrap(), behaviour);
        let forever = Behaviour::default().to_json().to_string();
        assert_eq!(behaviour.changed_by(forever.as_bytes()).unwrap(), Behaviour::default());
    }

    #[test]
    fn every_choice_of_what_becomes_of_a_busy_target_is_shown_and_read_by_its_word() {
        for (word, when_running) in WhenRunning::ALL {
            let changed = Behaviour::default().changed_by(json!({"whenRunning": word}).to_string().as_bytes()).unwrap();
            assert_eq!((changed.when_running, &changed.to_json()["whenRunning"]), (when_running, &json!(word)));
            assert_eq!(WhenRunning::named(word), Some(when_running));
        }
        let wrong = Behaviour::default().changed_by(br#"{"whenRunning":"wait"}"#).unwrap_err().to_string();
        assert!(wrong.starts_with("whenRunning: \"wait\" is not one of start, refuse-409, "), "{wrong}");
    }

    #[test]
    fn a_wrong_option_is_named_with_what_is_allowed() {
        let wrong = |body: &str| Behaviour::default().changed_by(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(wrong(r#"{"emptyList":"500"}"#), "emptyList: \"500\" is not one of 404, 200");
        assert_eq!(wrong(r#"{"tokenLifetime":5}"#), "tokenLifetime: must be a duration such as \"30m\", or \"never\"");
        let limit = wrong(r#"{"readsPerPeriod":-1}"#);
        assert_eq!(limit, "readsPerPeriod: must be a whole number, or \"unlimited\"");
        assert!(wrong(r#"{"jobduration":"5s"}"#).starts_with("jobduration: is unknown here; known: tokenLifetime, "));
    }
}
