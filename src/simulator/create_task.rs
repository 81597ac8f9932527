//! `CreateTask`, as a strict server reads it: the body goes in, an order for a backup or a refusal comes out. Pure.
//!
//! Known are the keys of the vendor's page, and the few that its other clients add. Anything else is refused, so that a
//! misspelt key can never pass a test; unless the Command Center is told to be lenient.

use http::StatusCode;
use serde_json::Value;

use crate::simulator::{
    association::{Association, BackupLevel},
    call::Answer,
    fields::{self, Fields, Wrong},
    options::WhenRunning,
};

/// A `CreateTask` that a server would carry out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) associations: Vec<Association>,
    pub(crate) level: BackupLevel,
    pub(crate) create_new_index: Option<bool>,
    pub(crate) notify: Option<bool>,
    pub(crate) description: Option<String>,
}

/// Why nothing is started.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    Unreadable(Wrong),
    NotFound(String),
    Busy(u64, Busy),
}

/// In which words it is said that a job of the target is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    Status409,
    Error268(StatusCode),
}

impl Busy {
    /// The words of a Command Center that refuses; nothing when it does not.
    pub(crate) fn of(when_running: WhenRunning) -> Option<Self> {
        match when_running {
            WhenRunning::Refuse409 => Some(Self::Status409),
            WhenRunning::Refuse268 => Some(Self::Error268(StatusCode::OK)),
            WhenRunning::Refuse268With400 => Some(Self::Error268(StatusCode::BAD_REQUEST)),
            WhenRunning::Start | WhenRunning::Queue => None,
        }
    }
}

impl Refusal {
    pub(crate) fn answer(&self) -> Answer {
        match self {
            Self::Unreadable(wrong) => Answer::text(StatusCode::BAD_REQUEST, wrong),
            Self::NotFound(what) => Answer::error(StatusCode::NOT_FOUND, 2, what),
            Self::Busy(job, Busy::Error268(status)) => {
                Answer::error(*status, 268, &format!("Another backup is running for this subclient: job [{job}]"))
            }
            Self::Busy(job, Busy::Status409) => {
                let message = format!("Another backup is already running for this subclient: job [{job}]");
                Answer::error(StatusCode::CONFLICT, 2, &message)
            }
        }
    }
}

/// Reads the body of a `CreateTask`; with `lenient`, one that has other keys beside the known ones, too.
pub(crate) fn read(body: &[u8], lenient: bool) -> Result<Order, Refusal> {
    let order = read_document(body, lenient).map_err(Refusal::Unreadable)?;
    for association in &order.associations {
        if let Some((name, _)) = association.ids().iter().find(|(_, id)| *id == Some(0)) {
            return Err(Refusal::NotFound(format!("No entity with {name} [0]")));
        }
    }
    Ok(order)
}

fn read_document(body: &[u8], lenient: bool) -> Result<Order, Wrong> {
    let mut document = Fields::parse(body)?.leniently(lenient);
    let mut info = document.need_object("taskInfo")?;
    document.done()?;

    let associations = read_associations(&mut info)?;
    let mut task = info.need_object("task")?;
    word_or_number(&mut task, "taskType", "IMMEDIATE", 1)?;
    task.done()?;

    let path = info.path_of("subTasks");
    let sub_tasks: Vec<Value> = info.need("subTasks")?;
    let [sub_task] = <[Value; 1]>::try_from(sub_tasks)
        .map_err(|sent| Wrong::at(&path, format!("must have exactly one item, not {}", sent.len())))?;
    let mut entry = info.item(format!("{path}[0]"), sub_task)?;
    info.done()?;
    let mut sub_task = entry.need_object("subTask")?;
    word_or_number(&mut sub_task, "subTaskType", "BACKUP", 2)?;
    word_or_number(&mut sub_task, "operationType", "BACKUP", 2)?;
    sub_task.done()?;

    let mut options = entry.need_object("options")?;
    entry.done()?;
    let mut backup = options.need_object("backupOpts")?;
    let common = options.object("commonOpts")?;
    options.done()?;
    let level = BackupLevel::read(&mut backup)?;
    let data = backup.object("dataOpt")?;
    backup.done()?;

    let create_new_index = data.map(read_data_options).transpose()?.flatten();
    let (notify, description) = common.map(read_common_options).transpose()?.unwrap_or_default();
    Ok(Order { associations, level, create_new_index, notify, description })
}

fn read_associations(info: &mut Fields) -> Result<Vec<Association>, Wrong> {
    let path = info.path_of("associations");
    let sent: Vec<Value> = info.need("associations")?;
    if sent.is_empty() {
        return Err(Wrong::at(&path, "must not be empty"));
    }
    sent.into_iter()
        .enumerate()
        .map(|(position, value)| Association::read(info.item(format!("{path}[{position}]"), value)?))
        .collect()
}

fn read_data_options(mut fields: Fields) -> Result<Option<bool>, Wrong> {
    let create_new_index = fields.take("createNewIndex")?;
    fields.done()?;
    Ok(create_new_index)
}

fn read_common_options(mut fields: Fields) -> Result<(Option<bool>, Option<String>), Wrong> {
    let notify = fields.take("notifyUserOnJobCompletion")?;
    let description = fields.take("jobDescription")?;
    fields.done()?;
    Ok((notify, description))
}

/// An enum of the vendor: its plain name or its number. The quotes that the page prints inside the string are a notation
/// of its generator, and a real server does not know them.
fn word_or_number(fields: &mut Fields, key: &'static str, word: &str, number: u64) -> Result<(), Wrong> {
    let path = fields.path_of(key);
    match fields.need::<Value>(key)? {
        Value::Number(sent) if sent.as_u64() == Some(number) => Ok(()),
        Value::String(sent) => fields::choose(&path, &sent, &[(word, ())]),
        other => Err(Wrong::at(&path, format!("must be \"{word}\" or {number}, not {other}"))),
    }
}
