//! The program: parse, call the library, map the exit status.

use clap::Parser;
use lifeboat::cli::{self, Cli, Command, Context};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Cli { globals, command } = Cli::parse();
    let context = Context { globals };
    let outcome = match &command {
        Some(Command::Rehearse(args)) => cli::rehearse::run(&context, args),
        Some(Command::Internal(args)) => cli::internal::run(&context, args),
        _ => Err(anyhow::anyhow!("this subcommand is not built yet; `lifeboat rehearse` is")),
    };
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            eprintln!("lifeboat: {error:#}");
            ExitCode::from(2)
        }
    }
}
