//! The command line: one file a command, and what they share.

pub mod crds;
pub mod duration;
pub mod markdown;
pub mod render;
pub mod run;
pub mod schema;
pub mod self_test;
pub mod simulate;
pub mod value;

use clap::{Parser, Subcommand};

/// Runs Salesforce backups through a Commvault Command Center, from Kubernetes objects: never twice, never lost.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, max_term_width = 120)]
pub struct Cli {
    /// Command
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller.
    Run(Box<run::Args>),
    /// Print the CustomResourceDefinitions, to be piped into kubectl apply -f -, or the reference of the kind.
    Crds(crds::Args),
    /// Print the exact request for each SalesforceBackup of a file, without sending it.
    Render(render::Args),
    /// Run a simulated Command Center to try the operator against; nothing is backed up.
    Simulate(simulate::Args),
    /// Test an operator that runs in a cluster, with a simulated Command Center; what helm test runs.
    SelfTest(self_test::Args),
}
