//! Raises the limit of open files of this process. It needs no client. Each connection is an open file, and a shell or
//! a container runtime often permits only 1,024 unless a process asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that this process may ask for. If that is refused, the limit stays.
pub fn permit_most() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
