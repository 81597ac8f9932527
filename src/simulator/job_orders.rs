//! Orders to jobs, as a person or a test gives them through `/_simulator/`: the words, without their effect. Pure.

/// End of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `Completed`
    Completed,
    /// `Completed w/ one or more warnings`
    CompletedWithWarnings,
    /// `Completed w/ one or more errors`
    CompletedWithErrors,
    /// `Committed`: a part is saved, as when the organization's daily API calls are used up.
    Committed,
    /// `Failed`
    Failed,
    /// `Failed to Start`
    FailedToStart,
    /// `Killed`
    Killed,
    /// `No Run`
    NoRun,
}

impl End {
    /// The status string of the vendor.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::CompletedWithWarnings => "Completed w/ one or more warnings",
            Self::CompletedWithErrors => "Completed w/ one or more errors",
            Self::Committed => "Committed",
            Self::Failed => "Failed",
            Self::FailedToStart => "Failed to Start",
            Self::Killed => "Killed",
            Self::NoRun => "No Run",
        }
    }

    /// True if all of it is saved.
    pub(crate) fn is_complete(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithWarnings | Self::CompletedWithErrors)
    }

    /// Usual reason of a job that ends so.
    pub(crate) fn usual_reason(self) -> Option<&'static str> {
        match self {
            Self::Committed => Some("The daily API call limit of the Salesforce organization was reached."),
            Self::Failed => Some("The simulated backup was told to fail."),
            Self::FailedToStart => Some("The simulated backup was told not to start."),
            _ => None,
        }
    }
}

/// An order to one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOrder {
    /// End now, in this way.
    End(End),
    /// Stay where it is, with status `Suspended`.
    Suspend,
    /// Go on from there.
    Resume,
    /// Stay where it is, showing this status, known or not.
    Show(String),
    /// Be gone, as if it had never been.
    Vanish,
}

/// An order to one job, and what it shows from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobChange {
    /// The order.
    pub order: JobOrder,
    /// `pendingReason`; None: the usual one of that end.
    pub pending_reason: Option<String>,
    /// `totalFailedFiles`; None: unchanged, but at least 1 when it ends with errors.
    pub failed_files: Option<u64>,
    /// `totalFailedFolders`; None: unchanged.
    pub failed_folders: Option<u64>,
}

impl From<JobOrder> for JobChange {
    fn from(order: JobOrder) -> Self {
        Self { order, pending_reason: None, failed_files: None, failed_folders: None }
    }
}

impl From<End> for JobChange {
    fn from(end: End) -> Self {
        JobOrder::End(end).into()
    }
}

/// Why an order to a job was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    /// There is no such job.
    #[error("there is no job {0}")]
    NoSuchJob(u64),
    /// A job that ended can only be given another end, or vanish.
    #[error("job {0} has ended; it can only be given another end, or vanish")]
    Ended(u64),
}
