//! The page of commands and flags, from what clap knows. Pure.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};
use salesforce_backup_operator::cli::Cli;

const HEAD: &str = "\
# Commands and flags

For those who run the program. Generated from the code by `SFB_UPDATE=1 cargo test --test reference`.

Durations are written as `30s`, `5m`, `250ms` or `1h30m`. A boolean that defaults to true takes `=false`. A list takes commas, or the flag
several times. Every flag of `run` is a value of the chart under its camelCase name: see [values](values.md).
";

/// The page.
pub fn page() -> String {
    let mut program = Cli::command();
    program.build();
    HEAD.to_owned()
        + &program.get_subcommands().filter(|command| command.get_name() != "help").map(section).collect::<String>()
}

fn section(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut section = format!("\n## {}\n\n{about}\n", command.get_name());
    let flags: Vec<_> =
        command.get_arguments().filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version")).collect();
    if flags.is_empty() {
        return section;
    }
    section.push_str("\n| flag | variable | default | what it does |\n|---|---|---|---|\n");
    for flag in flags {
        let name = flag.get_long().map_or_else(|| flag.get_id().to_string().to_uppercase(), |long| format!("--{long}"));
        let variable = flag.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if defaults.is_empty() { String::new() } else { format!("`{}`", defaults.join(",")) };
        let help = flag.get_long_help().or_else(|| flag.get_help()).map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> = flag.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let is_choice = !values.is_empty() && flag.get_action().takes_values() && values != ["`true`", "`false`"];
        let values = if is_choice { format!(" One of {}.", values.join(", ")) } else { String::new() };
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(section, "| `{name}` | {variable} | {default} | {help}{values} |");
    }
    section
}

#[test]
fn every_flag_of_run_has_a_variable_and_a_help() {
    let page = page();
    let run = page.split("\n## ").find(|section| section.starts_with("run\n")).unwrap();
    let rows: Vec<&str> = run.lines().filter(|line| line.starts_with("| `--")).collect();
    assert!(rows.len() > 20, "{run}");
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert!(cells[1].contains("SFB_") || cells[1].contains("POD_"), "{row}");
        assert!(cells[3].len() > 10, "{row}");
    }
}
