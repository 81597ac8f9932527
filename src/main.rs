//! Parses the command line and calls a command.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use salesforce_backup_operator::{
    cli::{Cli, Command, crds, render, run, self_test, simulate},
    process::open_files,
};

#[tokio::main]
async fn main() -> ExitCode {
    open_files::permit_most();
    // One crypto provider, named before any library picks its own.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(*args).await,
        Command::Crds(args) => crds::text(&args).and_then(|text| print(&text)),
        Command::Render(args) => render::run(&args).and_then(|text| print(&text)),
        Command::Simulate(args) => simulate::run(args).await,
        Command::SelfTest(args) => self_test::run(args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
