//! One HTTP exchange without sockets: method and path go in, the operation comes out; answers in the shapes that a Command Center uses. Pure.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::simulator::tokens::bare;

/// Operation of the Command Center that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `POST CreateTask`
    CreateTask,
    /// `GET Job/{id}`
    GetJob,
    /// `POST Jobs`
    ListJobs,
    /// `POST Job/{id}/action/kill`
    Kill,
    /// `POST Job/{id}/action/pause`
    Pause,
    /// `POST Job/{id}/action/resume`
    Resume,
    /// `GET Jobs/active`
    ActiveJobs,
    /// `GET Job/{id}/TaskDetails`
    TaskDetails,
    /// `POST JobDetails`
    JobDetails,
    /// `GET Salesforce/Organization`
    Organizations,
    /// `POST V4/AccessToken/Renew`
    Renew,
    /// `GET CommServ`
    CommServ,
    /// `POST WhoAmI`, or `GET`
    WhoAmI,
    /// `GET` of the base address, by which clients see whether anybody is there; without a token
    Root,
    /// Anything that no Command Center knows.
    Other,
}

impl Operation {
    /// Every operation with its name in `/_simulator/`.
    pub const ALL: [(&'static str, Self); 15] = [
        ("createTask", Self::CreateTask),
        ("getJob", Self::GetJob),
        ("listJobs", Self::ListJobs),
        ("kill", Self::Kill),
        ("pause", Self::Pause),
        ("resume", Self::Resume),
        ("activeJobs", Self::ActiveJobs),
        ("taskDetails", Self::TaskDetails),
        ("jobDetails", Self::JobDetails),
        ("organizations", Self::Organizations),
        ("renew", Self::Renew),
        ("commServ", Self::CommServ),
        ("whoAmI", Self::WhoAmI),
        ("root", Self::Root),
        ("other", Self::Other),
    ];

    /// The name in `/_simulator/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, operation)| *operation == self).map_or("other", |(name, _)| name)
    }
}

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Api(ApiCall),
    Control(ControlCall),
}

/// A call of the Command Center's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiCall {
    CreateTask,
    GetJob(u64),
    ListJobs,
    ActiveJobs,
    Kill(u64),
    Pause(u64),
    Resume(u64),
    TaskDetails(u64),
    JobDetails,
    Organizations,
    Renew,
    CommServ,
    WhoAmI,
    Root,
    Other,
}

/// A call of `/_simulator/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlCall {
    Ledger,
    Calls,
    Faults,
    SetFaults,
    RemoveFaults,
    Jobs,
    StartJob,
    SetJob(u64),
    Options,
    SetOptions,
    Other,
}

impl Route {
    /// Paths are compared without case, as the vendor's server does; slashes at the end do not count.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let lower = path.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            ["commandcenter" | "webconsole", "api", rest @ ..] => Self::Api(ApiCall::of(method, rest)),
            ["_simulator", rest @ ..] => Self::Control(ControlCall::of(method, rest)),
            [] if method == Method::GET => Self::Api(ApiCall::Root),
            _ => Self::Api(ApiCall::Other),
        }
    }
}

impl ApiCall {
    fn of(method: &Method, segments: &[&str]) -> Self {
        let id = segments.get(1).and_then(|id| id.parse().ok());
        match (method, segments, id) {
            (&Method::POST, ["createtask"], _) => Self::CreateTask,
            (&Method::GET, ["job", _], Some(id)) => Self::GetJob(id),
            (&Method::POST, ["jobs"], _) => Self::ListJobs,
            (&Method::GET, ["jobs", "active"], _) => Self::ActiveJobs,
            (&Method::POST, ["job", _, "action", "kill"], Some(id)) => Self::Kill(id),
            (&Method::POST, ["job", _, "action", "pause"], Some(id)) => Self::Pause(id),
            (&Method::POST, ["job", _, "action", "resume"], Some(id)) => Self::Resume(id),
            (&Method::GET, ["job", _, "taskdetails"], Some(id)) => Self::TaskDetails(id),
            (&Method::POST, ["jobdetails"], _) => Self::JobDetails,
            (&Method::GET, ["salesforce", "organization"], _) => Self::Organizations,
            (&Method::POST, ["v4", "accesstoken", "renew"], _) => Self::Renew,
            (&Method::GET, ["commserv"], _) => Self::CommServ,
            (&(Method::GET | Method::POST), ["whoami"], _) => Self::WhoAmI,
            (&Method::GET, [], _) => Self::Root,
            _ => Self::Other,
        }
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::CreateTask => Operation::CreateTask,
            Self::GetJob(_) => Operation::GetJob,
            Self::ListJobs => Operation::ListJobs,
            Self::ActiveJobs => Operation::ActiveJobs,
            Self::Kill(_) => Operation::Kill,
            Self::Pause(_) => Operation::Pause,
            Self::Resume(_) => Operation::Resume,
            Self::TaskDetails(_) => Operation::TaskDetails,
            Self::JobDetails => Operation::JobDetails,
            Self::Organizations => Operation::Organizations,
            Self::Renew => Operation::Renew,
            Self::CommServ => Operation::CommServ,
            Self::WhoAmI => Operation::WhoAmI,
            Self::Root => Operation::Root,
            Self::Other => Operation::Other,
        }
    }
}

impl ControlCall {
    fn of(method: &Method, segments: &[&str]) -> Self {
        let id = segments.get(1).and_then(|id| id.parse().ok());
        match (method, segments, id) {
            (&Method::GET, ["ledger"], _) => Self::Ledger,
            (&Method::GET, ["calls"], _) => Self::Calls,
            (&Method::GET, ["faults"], _) => Self::Faults,
            (&Method::PUT, ["faults"], _) => Self::SetFaults,
            (&Method::DELETE, ["faults"], _) => Self::RemoveFaults,
            (&Method::GET, ["jobs"], _) => Self::Jobs,
            (&Method::POST, ["jobs"], _) => Self::StartJob,
            (&Method::PUT, ["jobs", _], Some(id)) => Self::SetJob(id),
            (&Method::GET, ["options"], _) => Self::Options,
            (&Method::PUT, ["options"], _) => Self::SetOptions,
            _ => Self::Other,
        }
    }
}

/// A request, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// The token of the call without its prefix, in all forms that clients send: raw, `QSDK …` or `Bearer …` in the header
    /// `Authtoken`, or one with a prefix in `Authorization`. None when absent, empty or sent twice.
    pub(crate) fn token(&self) -> Option<&[u8]> {
        let raw = self.headers.get_all("authtoken").iter().map(|value| bare(value.as_bytes()));
        let authorized = self.headers.get_all("authorization").iter().filter_map(|value| {
            let value = value.as_bytes().trim_ascii();
            let token = bare(value);
            (token.len() < value.len()).then_some(token)
        });
        let mut sent = raw.chain(authorized);
        let token = sent.next()?;
        (sent.next().is_none() && !token.is_empty()).then_some(token)
    }

    /// True if the body claims to be JSON.
    pub(crate) fn sends_json(&self) -> bool {
        let essence = self.header(CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    }

    /// True if the caller asked for JSON by name; a real server answers XML otherwise.
    pub(crate) fn wants_json(&self) -> bool {
        self.header("accept").to_ascii_lowercase().contains("application/json")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those that belong to the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// An answer with a body of the given type.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self { status, headers, body: body.into() }
    }

    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// A JSON answer with status 200.
    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A plain text answer, as the vendor's server gives for a request that it cannot read.
    pub(crate) fn text(status: StatusCode, body: impl std::fmt::Display) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_string())
    }

    /// The flat error of the vendor's API.
    pub(crate) fn error(status: StatusCode, code: i64, message: &str) -> Self {
        Self::json(status, &json!({"errorMessage": message, "errorCode": code}))
    }

    /// The answer to a call without a valid token.
    pub(crate) fn access_denied() -> Self {
        Self::error(StatusCode::UNAUTHORIZED, 5, "Access denied")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_found_without_case_under_both_bases() {
        let table = [
            (Method::POST, "/commandcenter/api/CreateTask", ApiCall::CreateTask),
            (Method::POST, "/commandcenter/api/createtask", ApiCall::CreateTask),
            (Method::POST, "/webconsole/api/CreateTask/", ApiCall::CreateTask),
            (Method::GET, "/commandcenter/api/CreateTask", ApiCall::Other),
            (Method::POST, "/CreateTask", ApiCall::Other),
            (Method::GET, "/commandcenter/api/Job/12", ApiCall::GetJob(12)),
            (Method::GET, "/commandcenter/api/Job/twelve", ApiCall::Other),
            (Method::GET, "/commandcenter/api/Job/12/TaskDetails", ApiCall::TaskDetails(12)),
            (Method::POST, "/commandcenter/api/Job/12/action/kill", ApiCall::Kill(12)),
            (Method::POST, "/commandcenter/api/Jobs", ApiCall::ListJobs),
            (Method::POST, "/commandcenter/api/JobDetails", ApiCall::JobDetails),
            (Method::POST, "/commandcenter/api/V4/AccessToken/Renew", ApiCall::Renew),
            (Method::GET, "/commandcenter/api/Salesforce/Organization", ApiCall::Organizations),
            (Method::GET, "/commandcenter/api/CommServ", ApiCall::CommServ),
            (Method::GET, "/commandcenter/api/Jobs/active", ApiCall::ActiveJobs),
            (Method::POST, "/commandcenter/api/Job/12/action/pause", ApiCall::Pause(12)),
            (Method::POST, "/commandcenter/api/Job/12/action/resume", ApiCall::Resume(12)),
            (Method::POST, "/commandcenter/api/Job/12/action/stop", ApiCall::Other),
            (Method::POST, "/webconsole/api/WhoAmI", ApiCall::WhoAmI),
            (Method::GET, "/commandcenter/api/whoami", ApiCall::WhoAmI),
            (Method::GET, "/", ApiCall::Root),
            (Method::GET, "/commandcenter/api/", ApiCall::Root),
            (Method::POST, "/", ApiCall::Other),
        ];
        for (method, path, call) in table {
            assert_eq!(Route::of(&method, path), Route::Api(call), "{method} {path}");
        }
    }

    #[test]
    fn every_operation_has_its_own_name_and_serializes_to_it() {
        for (name, operation) in Operation::ALL {
            assert_eq!(operation.name(), name);
            assert_eq!(serde_json::to_value(operation).unwrap(), json!(name));
        }
    }

    #[test]
    fn the_token_is_taken_in_every_form_that_clients_send_and_never_from_two_headers() {
        type Sent = &'static [(&'static str, &'static str)];
        let table: [(Sent, Option<&[u8]>); 15] = [
            (&[("authtoken", "a")], Some(b"a")),
            (&[("authtoken", " QSDK a ")], Some(b"a")),
            (&[("authtoken", "Bearer a")], Some(b"a")),
            (&[("authtoken", "bearer  a")], Some(b"a")),
            (&[("authorization", "Bearer a")], Some(b"a")),
            (&[("authorization", "QSDK a")], Some(b"a")),
            (&[("authtoken", "Basic a")], Some(b"Basic a")),
            (&[("authorization", "a")], None),
            (&[("authorization", "Basic a")], None),
            (&[("authtoken", "a"), ("authorization", "Basic b")], Some(b"a")),
            (&[("authtoken", " ")], None),
            (&[("authtoken", "QSDK ")], None),
            (&[("authtoken", "a"), ("authtoken", "a")], None),
            (&[("authtoken", "a"), ("authorization", "Bearer a")], None),
            (&[], None),
        ];
        for (sent, token) in table {
            let header =
                |(name, value): &(&str, &'static str)| (name.parse().unwrap(), HeaderValue::from_static(value));
            let headers = sent.iter().map(header).fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append::<http::HeaderName>(name, value);
                headers
            });
            let call = Call { route: Route::Api(ApiCall::CommServ), headers, body: Bytes::new() };
            assert_eq!(call.token(), token, "{sent:?}");
        }
    }
}
