//! The limit of open files: each connection is one, and a shell or a container runtime often permits 1,024 unless a process
//! asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit of open files to the most that it may ask for. Where that is refused the limit stays.
pub fn permit_most() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
