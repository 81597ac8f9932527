//! The whole Command Center as a state machine: a call and the time go in, the answer comes out. Pure: no clock, no socket.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::simulator::{
    association::{Association, BackupLevel},
    call::{Answer, ApiCall, Call, Operation, Route},
    create_task::{self, Busy, Order, Refusal},
    faults::{Faults, Plan},
    fields::{Fields, Wrong},
    job_orders::{JobChange, JobOrder, NotSet},
    jobs::Job,
    limits::Counted,
    options::{Behaviour, RenewRefusal, WhenRunning},
    salesforce,
    tokens::{NotRenewed, Pair, Tokens, bare},
};

/// One `CreateTask` that was executed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// 1 for the first.
    pub sequence: u64,
    /// When it was executed, by the true clock.
    pub time: Timestamp,
    /// `commonOpts.jobDescription`.
    pub description: Option<String>,
    /// As sent.
    pub associations: Vec<Association>,
    /// 1 Full, 2 Incremental, 3 Differential, 4 Synthetic full.
    pub backup_level: u64,
    /// `dataOpt.createNewIndex`.
    pub create_new_index: Option<bool>,
    /// `commonOpts.notifyUserOnJobCompletion`.
    pub notify_user_on_job_completion: Option<bool>,
    /// The id of the task.
    pub task_id: u64,
    /// The jobs that it started.
    pub job_ids: Vec<u64>,
}

/// The ids that the vendor's page shows: the first task and job get them.
const FIRST_TASK: u64 = 30_453;
const FIRST_JOB: u64 = 149_806;
/// The name of the simulated installation among all of the world.
const GUID: &str = "00000000-0000-4000-8000-000000000000";

/// The state of a simulated Command Center.
#[derive(Debug)]
pub(crate) struct CommandCenter {
    pub(crate) behaviour: Behaviour,
    pub(crate) faults: Faults,
    pub(crate) ledger: Vec<LedgerEntry>,
    pub(crate) calls: BTreeMap<Operation, u64>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    counted: Counted,
    control_token: String,
    tokens: Tokens,
    next_task: u64,
    next_job: u64,
}

impl CommandCenter {
    pub(crate) fn new(behaviour: Behaviour, token: String, refresh: String, seed: u64, now: Timestamp) -> Self {
        let tokens = Tokens::new(Pair { access: token.clone(), refresh }, behaviour.renewal.lifetime, now);
        Self {
            behaviour,
            faults: Faults::new(seed),
            ledger: Vec::new(),
            calls: BTreeMap::new(),
            jobs: BTreeMap::new(),
            counted: Counted::default(),
            control_token: token,
            tokens,
            next_task: FIRST_TASK,
            next_job: FIRST_JOB,
        }
    }

    /// A call came in: it is counted, and meets its fault. Calls of `/_simulator/` are neither counted nor struck.
    pub(crate) fn arrive(&mut self, route: Route) -> Plan {
        let Route::Api(call) = route else {
            return Plan::plain();
        };
        let operation = call.operation();
        let count = self.calls.entry(operation).or_default();
        *count = count.saturating_add(1);
        let mut plan = self.faults.strike(operation);
        plan.after = plan.after.saturating_add(self.behaviour.latency);
        plan
    }

    /// Does what a call asks for.
    pub(crate) fn execute(&mut self, call: &Call, now: Timestamp) -> Answer {
        self.move_queue(now);
        match call.route {
            Route::Api(ApiCall::Renew) => self.renew(call, now),
            Route::Api(ApiCall::Root) => Answer::new(StatusCode::OK, "text/html", "<html>Command Center</html>"),
            Route::Api(wanted) if self.admits(call, now) => {
                let too_many = self.counted.count(wanted, self.behaviour.limits, now);
                too_many.unwrap_or_else(|| self.answer(wanted, call, now))
            }
            Route::Control(wanted) if self.admits_control(call, now) => self.control(wanted, &call.body, now),
            Route::Api(_) | Route::Control(_) => Answer::access_denied(),
        }
    }

    /// Number of calls that were refused because there were too many.
    pub(crate) fn limited(&self) -> u64 {
        self.counted.refused
    }

    /// True if no pair of tokens was renewed twice.
    pub(crate) fn chain_is_alive(&self) -> bool {
        matches!(self.tokens, Tokens::Alive { .. })
    }

    fn admits(&self, call: &Call, now: Timestamp) -> bool {
        call.token().is_some_and(|token| self.tokens.admits(token, now))
    }

    /// The first token opens `/_simulator/` for good, so that a test can look whatever became of the chain.
    fn admits_control(&self, call: &Call, now: Timestamp) -> bool {
        call.token() == Some(bare(self.control_token.as_bytes())) || self.admits(call, now)
    }

    fn answer(&mut self, wanted: ApiCall, call: &Call, now: Timestamp) -> Answer {
        match wanted {
            ApiCall::CreateTask => self.create_task(call, now),
            ApiCall::GetJob(id) => self.get_job(id, now),
            ApiCall::ListJobs => self.list_jobs(&call.body, now),
            ApiCall::ActiveJobs => self.active_jobs(now),
            ApiCall::Kill(id) => self.kill(id, now),
            ApiCall::Pause(id) => self.pause(id, now),
            ApiCall::Resume(id) => self.resume(id, now),
            ApiCall::TaskDetails(id) => self.task_details(id, now),
            ApiCall::JobDetails => self.job_details(&call.body, now),
            ApiCall::Organizations => Answer::ok(&salesforce::organizations()),
            ApiCall::CommServ => Answer::ok(&json!({
                "hostName": "simulator", "csGUID": GUID, "releaseName": "11.42", "currentSPVersion": 42,
                "csVersionInfo": "11.0 SP42", "timeZone": "0:0:(UTC) Coordinated Universal Time",
                "csTimeZone": {"TimeZoneID": 93, "TimeZoneName": "UTC"},
                "commcell": {"commCellName": "simulator", "commCellId": 2, "csGUID": GUID},
            })),
            ApiCall::WhoAmI => Answer::ok(&json!({"user": {"userName": "simulator", "userId": 1}})),
            ApiCall::Renew | ApiCall::Root | ApiCall::Other => {
                Answer::error(StatusCode::NOT_FOUND, 404, "No such resource")
            }
        }
    }

    fn create_task(&mut self, call: &Call, now: Timestamp) -> Answer {
        let order = if call.sends_json() {
            create_task::read(&call.body, self.behaviour.lenient).and_then(|order| self.free_to_start(order, now))
        } else {
            Err(Refusal::Unreadable(Wrong::at("Content-Type", "must be application/json")))
        };
        let entry = match order {
            Ok(order) => self.start(order, now),
            Err(refusal) => return refusal.answer(),
        };
        let ids: Vec<String> = entry.job_ids.iter().map(ToString::to_string).collect();
        let shown = if self.behaviour.job_ids_in_answer { ids } else { Vec::new() };
        let answer = if call.wants_json() {
            let mut body = json!({"taskId": entry.task_id});
            if let (Value::Object(fields), false) = (&mut body, shown.is_empty()) {
                fields.insert("jobIds".to_owned(), json!(shown));
            }
            Answer::ok(&body)
        } else {
            let mut body = format!("<TMMsg_CreateTaskResp taskId=\"{}\">", entry.task_id);
            for id in &shown {
                let _ = write!(body, "<jobIds val=\"{id}\" />");
            }
            body.push_str("</TMMsg_CreateTaskResp>");
            Answer::new(StatusCode::OK, "application/xml", body)
        };
        self.ledger.push(entry);
        answer
    }

    fn free_to_start(&self, order: Order, now: Timestamp) -> Result<Order, Refusal> {
        let same_target = |job: &&Job| order.associations.iter().any(|target| target.overlaps(&job.association));
        let running = || self.jobs.values().find(|job| job.is_active(now) && same_target(job));
        match Busy::of(self.behaviour.when_running).and_then(|busy| running().map(|job| (job.id, busy))) {
            Some((job, busy)) => Err(Refusal::Busy(job, busy)),
            None => Ok(order),
        }
    }

    /// Lets each queued job go on from the moment at which the last job before it ended, in the order of their ids.
    fn move_queue(&mut self, now: Timestamp) {
        let queued: Vec<u64> = self.jobs.values().filter(|job| job.is_queued()).map(|job| job.id).collect();
        for id in queued {
            let Some(job) = self.jobs.get(&id) else { continue };
            let before = self.jobs.values().filter(|earlier| earlier.goes_before(job));
            let ends: Option<Vec<Timestamp>> = before.map(|earlier| earlier.progress(now).ended).collect();
            let free_since = ends.map(|ends| ends.into_iter().max().unwrap_or(Timestamp::MIN));
            if let Some(job) = self.jobs.get_mut(&id) {
                job.move_in_queue(free_since, now);
            }
        }
    }

    fn start(&mut self, order: Order, now: Timestamp) -> LedgerEntry {
        let task_id = self.next_task;
        self.next_task += 1;
        let per_association = self.behaviour.jobs_per_association;
        let mut job_ids = Vec::new();
        for association in &order.associations {
            for _ in 0..per_association {
                job_ids.push(self.start_job(task_id, association.clone(), order.level, order.description.clone(), now));
            }
        }
        LedgerEntry {
            sequence: u64::try_from(self.ledger.len()).unwrap_or(u64::MAX).saturating_add(1),
            time: now,
            description: order.description,
            associations: order.associations,
            backup_level: order.level.number(),
            create_new_index: order.create_new_index,
            notify_user_on_job_completion: order.notify,
            task_id,
            job_ids,
        }
    }

    fn start_job(
        &mut self,
        task_id: u64,
        association: Association,
        level: BackupLevel,
        description: Option<String>,
        now: Timestamp,
    ) -> u64 {
        let id = self.next_job;
        self.next_job += 1;
        let mut job = Job::start((id, task_id), (association, level), description, &self.behaviour, now);
        let mut earlier = self.jobs.values().filter(|earlier| earlier.goes_before(&job));
        if self.behaviour.when_running == WhenRunning::Queue && earlier.any(|earlier| earlier.is_active(now)) {
            job.queue(now);
        }
        self.jobs.insert(id, job);
        id
    }

    /// A job that nobody asked for through `CreateTask`, such as one of a schedule of the Command Center: not in the ledger.
    pub(crate) fn start_foreign_job(
        &mut self,
        association: Association,
        level: BackupLevel,
        description: Option<String>,
        now: Timestamp,
    ) -> u64 {
        self.move_queue(now);
        let task = self.next_task;
        self.next_task += 1;
        self.start_job(task, association, level, description, now)
    }

    /// An order to one job.
    pub(crate) fn set_job(&mut self, id: u64, change: JobChange, now: Timestamp) -> Result<(), NotSet> {
        // Who waits for a job that vanishes has waited for it until now.
        self.move_queue(now);
        let job = self.jobs.get_mut(&id).ok_or(NotSet::NoSuchJob(id))?;
        if change.order == JobOrder::Vanish {
            self.jobs.remove(&id);
            return Ok(());
        }
        job.set(change, now)
    }

    fn renew(&mut self, call: &Call, now: Timestamp) -> Answer {
        let renewal = self.behaviour.renewal;
        let header_fits = call.token().is_some_and(|token| self.tokens.knows(token));
        if renewal.needs_authtoken && !header_fits {
            return Answer::access_denied();
        }
        let read = || {
            let mut fields = Fields::parse(&call.body)?.leniently(self.behaviour.lenient);
            let pair = Pair { access: fields.need("accessToken")?, refresh: fields.need("refreshToken")? };
            fields.done()?;
            Ok::<Pair, Wrong>(pair)
        };
        let pair = match read() {
            Ok(pair) => pair,
            Err(wrong) => return Answer::text(StatusCode::BAD_REQUEST, wrong),
        };
        let offset = self.behaviour.clock_offset;
        match self.tokens.renew(&pair, renewal.lifetime, now) {
            Ok(renewed) => {
                let server_now = now.checked_add(offset).unwrap_or(now);
                Answer::ok(&renewed.to_json(server_now, offset.as_secs()))
            }
            Err(refused) => refuse_renewal(renewal.refusal, refused),
        }
    }
}

fn refuse_renewal(refusal: RenewRefusal, why: NotRenewed) -> Answer {
    match refusal {
        RenewRefusal::Unauthorized => Answer::error(StatusCode::UNAUTHORIZED, 7, &why.to_string()),
        RenewRefusal::ErrorCode7 => Answer::error(StatusCode::OK, 7, &why.to_string()),
    }
}
