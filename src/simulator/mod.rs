//! A fake Command Center that is faithful where it matters: options go in, a running server with a ledger comes out.
//!
//! ```text
//! request ─server▶ Call ─arrive▶ Plan (fault, delays) ─execute▶ Answer ─server▶ bytes, or none
//!          socket        PURE                          PURE             socket
//! ```
//! The whole Command Center is one state machine (`state`), asked with the time as an argument. Only `server` has sockets
//! and clocks. `/_simulator/` shows the ledger of what was executed, and takes faults, orders to jobs, and options.

mod association;
mod call;
mod control;
mod create_task;
mod fault_json;
mod faults;
mod fields;
mod instants;
mod job_answers;
mod job_list;
mod job_orders;
mod jobs;
mod limits;
mod options;
mod salesforce;
mod server;
mod start_error;
mod state;
mod tls;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use crate::simulator::association::{Association, BackupLevel, EntityInfo};
pub use crate::simulator::call::{Answer, Operation};
pub use crate::simulator::faults::{Effect, Fault, On, Reply, Span, When};
pub use crate::simulator::fields::Wrong;
pub use crate::simulator::job_orders::{End, JobChange, JobOrder, NotSet};
pub use crate::simulator::limits::Limits;
pub use crate::simulator::options::{Behaviour, EmptyList, Options, RenewRefusal, Renewal, Tls, WhenRunning};
pub use crate::simulator::start_error::StartError;
pub use crate::simulator::state::LedgerEntry;

pub use crate::command_center::client::SIMULATOR_HEADER;

use crate::simulator::{server::ServerState, state::CommandCenter, tls::Identity};

/// A running Command Center. Dropping it stops it.
pub struct Simulator {
    shared: Arc<ServerState>,
    address: SocketAddr,
    host: Option<String>,
    identity: Option<Identity>,
    token: String,
    refresh_token: String,
    server: Mutex<Option<JoinHandle<()>>>,
    /// Socket that keeps the port while it does not listen.
    closed: Mutex<Option<TcpSocket>>,
}

impl Simulator {
    /// Starts one, listening when this returns.
    ///
    /// # Errors
    /// When it cannot listen, or cannot make up a certificate.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let identity = match options.tls {
            Tls::Off => None,
            Tls::SelfSigned { names } => {
                let names = names.into_iter().chain(options.host.clone());
                Some(Identity::make_up(certificate_names(options.listen, names))?)
            }
        };
        let listener = listen(options.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
        // No word of a language: what an answer shares with the token is masked where people read it.
        let made_up = |kind: &str| format!("{kind}-{}", Uuid::new_v4().simple());
        let token = options.token.map_or_else(|| made_up("at"), |token| token.trim().to_owned());
        let refresh_token = options.refresh_token.unwrap_or_else(|| made_up("rt"));
        let shared = Arc::new(ServerState::new(|now| {
            CommandCenter::new(options.behaviour, token.clone(), refresh_token.clone(), options.seed, now)
        }));
        let (host, server) = (options.host, Mutex::new(None));
        let closed = Mutex::default();
        let simulator = Self { shared, address, host, identity, token, refresh_token, server, closed };
        simulator.serve(listener);
        Ok(simulator)
    }

    /// The base URL of the API, as a connection wants it: `http://127.0.0.1:8090/commandcenter/api`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/commandcenter/api", self.origin())
    }

    /// The base URL of what a real Command Center does not have: `http://127.0.0.1:8090/_simulator`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("{}/_simulator", self.origin())
    }

    fn origin(&self) -> String {
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        let mut address = self.address;
        if let Some(host) = &self.host {
            let port = address.port();
            return match host.parse::<Ipv6Addr>() {
                Ok(host) => format!("{scheme}://[{host}]:{port}"),
                Err(_) => format!("{scheme}://{host}:{port}"),
            };
        }
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
            address.set_ip(loopback);
        }
        format!("{scheme}://{address}")
    }

    /// The address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The access token at the start. It opens `/_simulator/` for good, the API until it expires or is renewed.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The refresh token at the start.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    /// The certificate authority to trust, when TLS is on.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.ca_pem.as_str())
    }

    /// Every `CreateTask` that was executed.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.shared.lock().ledger.clone()
    }

    /// Number of calls of each operation, refused ones included; operations never called are there with 0.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<Operation, u64> {
        self.shared.lock().all_calls()
    }

    /// Number of calls that were refused because there were too many.
    #[must_use]
    pub fn limited(&self) -> u64 {
        self.shared.lock().limited()
    }

    /// True if the tokens still can be renewed: a pair that is renewed twice deletes them all.
    #[must_use]
    pub fn chain_is_alive(&self) -> bool {
        self.shared.lock().chain_is_alive()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.lock().faults.set(faults);
    }

    /// The faults in force, with the calls that are left to them.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.lock().faults.list().to_vec()
    }

    /// Ends, suspends, … a job: an [`End`], a [`JobOrder`], or a whole [`JobChange`].
    ///
    /// # Errors
    /// When there is no such job, or it has ended and was not given another end.
    pub fn set_job(&self, id: u64, change: impl Into<JobChange>) -> Result<(), NotSet> {
        let now = self.shared.now();
        self.shared.lock().set_job(id, change.into(), now)
    }

    /// Starts a job that nobody asked for through `CreateTask`, such as one of a schedule; it is not in the ledger.
    #[must_use]
    pub fn start_foreign_job(&self, target: Association, level: BackupLevel, description: Option<String>) -> u64 {
        let now = self.shared.now();
        self.shared.lock().start_foreign_job(target, level, description, now)
    }

    /// Number of kills that each job was asked for.
    #[must_use]
    pub fn kills(&self) -> BTreeMap<u64, u32> {
        self.shared.lock().jobs.iter().map(|(id, job)| (*id, job.kills)).collect()
    }

    /// Changes how it behaves from now on.
    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.lock().behaviour);
    }

    /// Stops listening and closes all connections. What was executed can still be read, and requests that had arrived
    /// are still carried out.
    pub async fn shutdown(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = keep(self.address);
    }

    /// Listens again after [`Self::shutdown`], at the same address and with the same state.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn restart(&self) -> Result<(), StartError> {
        self.shutdown().await;
        self.serve(listen(self.address).await?);
        drop(self.closed.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the server is a task of its own")]
    fn serve(&self, listener: TcpListener) {
        let acceptor = self.identity.as_ref().map(|identity| identity.acceptor.clone());
        let server = tokio::spawn(server::serve(listener, acceptor, Arc::clone(&self.shared)));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulator").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(server) = self.server.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            server.abort();
        }
    }
}

/// Keeps the port without listening, so that calls are turned away and nobody else is given it. None when that cannot be.
fn keep(address: SocketAddr) -> Option<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
    socket.set_reuseaddr(true).ok()?;
    socket.bind(address).ok().map(|()| socket)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn certificate_names(listen: SocketAddr, extra: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned).into();
    names.push(listen.ip().to_string());
    names.extend(extra);
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
