//! Effects of the operator on others. A request goes in; its name comes out, by which it is found again in another run.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

/// The server that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum System {
    ApiServer,
    CommandCenter,
}

/// One kind of effect, such as `API PUT salesforcebackups/status Running`. No list of them is kept: whatever the operator
/// learns to do gets a name here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Effect {
    pub system: System,
    verb: String,
    /// The resource, and of a status its phase, of an event its reason.
    what: String,
}

impl Effect {
    pub fn new(system: System, verb: &str, what: &str) -> Self {
        Self { system, verb: verb.to_owned(), what: what.to_owned() }
    }

    pub fn of(system: System, request: &Request<Bytes>) -> Self {
        let segments: Vec<&str> = request.uri().path().split('/').filter(|segment| !segment.is_empty()).collect();
        let (verb, mut what) = match system {
            System::ApiServer => on_api_server(request.method(), request.uri().query().unwrap_or_default(), &segments),
            System::CommandCenter => (request.method().to_string(), without_ids(segments.get(2..).unwrap_or_default())),
        };
        let body = body(request);
        if body.pointer("/status/cancel").is_some() {
            what = format!("{what} Cancelling");
        } else if let Some(word) = ["/status/phase", "/reason"].iter().find_map(|at| body.pointer(at)?.as_str()) {
            what = format!("{what} {word}");
        }
        Self { system, verb, what }
    }

    /// True if it changes nothing, so that it is the same whether it was done or not.
    pub fn only_reads(&self) -> bool {
        ["GET", "LIST", "WATCH"].contains(&self.verb.as_str()) || self.asks_for_the_job_list()
    }

    /// True if it only tells people what the status says already.
    pub fn only_tells(&self) -> bool {
        self.what.starts_with("events")
    }

    /// True if it is the call that starts a backup.
    pub fn starts_a_backup(&self) -> bool {
        self.system == System::CommandCenter && self.what == "CreateTask"
    }

    /// True if it asks for the job list.
    pub fn asks_for_the_job_list(&self) -> bool {
        self.system == System::CommandCenter && self.what == "Jobs"
    }

    /// True if it is the intent that permits a call.
    pub fn permits_a_call(&self) -> bool {
        self.writes_status() && self.what.ends_with(" Starting")
    }

    /// True if it is the intent that permits kills, or says what came of them.
    pub fn permits_kills(&self) -> bool {
        self.writes_status() && self.what.ends_with(" Cancelling")
    }

    /// True if it asks for a job to be killed.
    pub fn kills(&self) -> bool {
        self.system == System::CommandCenter && self.what.ends_with("/action/kill")
    }

    /// True if it says that the Command Center accepted the backup.
    pub fn tells_of_a_running_job(&self) -> bool {
        self.writes_status() && self.what.ends_with(" Running")
    }

    /// True if it asks for a token to be renewed.
    pub fn renews_a_token(&self) -> bool {
        self.system == System::CommandCenter && self.what == "V4/AccessToken/Renew"
    }

    /// True if it writes down that a token will be renewed, or what came of it.
    pub fn keeps_a_token(&self) -> bool {
        self.what == "secrets" && !self.only_reads()
    }

    /// True if it writes a status.
    pub fn writes_status(&self) -> bool {
        self.verb == "PUT" && self.what.starts_with("salesforcebackups/status")
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = if self.system == System::ApiServer { "API" } else { "CC" };
        write!(f, "{system} {} {}", self.verb, self.what)
    }
}

/// The id of the attempt that a request speaks of: in the status, or in the description of the job.
pub fn attempt(request: &Request<Bytes>) -> Option<String> {
    let body = body(request);
    if let Some(id) = body.pointer("/status/attempt/id").and_then(Value::as_str) {
        return Some(id.to_owned());
    }
    let description = body.pointer("/taskInfo/subTasks/0/options/commonOpts/jobDescription")?.as_str()?;
    description.rsplit('/').next().map(str::to_owned)
}

/// True if a request writes down that a token is about to be renewed.
pub fn marks_a_renewal(request: &Request<Bytes>) -> bool {
    let mark = body(request);
    let mark = mark.pointer("/metadata/annotations/commandcenter.dev~1renewal").and_then(Value::as_str);
    mark.is_some_and(|mark| mark != "refused")
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap_or_default()
}

fn on_api_server(method: &Method, query: &str, segments: &[&str]) -> (String, String) {
    let after_version = if segments.first() == Some(&"api") { 2 } else { 3 };
    let path = segments.get(after_version..).unwrap_or_default();
    // A namespaced resource, or the Namespaces themselves.
    let path = if path.first() == Some(&"namespaces") {
        path.get(2..).filter(|rest| !rest.is_empty()).unwrap_or(path)
    } else {
        path
    };
    let verb = match (method, path.len()) {
        (&Method::GET, 1) if query.contains("watch=") => "WATCH",
        (&Method::GET, 1) => "LIST",
        (method, _) => method.as_str(),
    };
    let what: Vec<&str> = path.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, segment)| *segment).collect();
    (verb.to_owned(), what.join("/"))
}

fn without_ids(path: &[&str]) -> String {
    let is_id = |segment: &str| segment.parse::<u64>().is_ok();
    let what: Vec<&str> = path.iter().map(|segment| if is_id(segment) { "{id}" } else { segment }).collect();
    what.join("/")
}
