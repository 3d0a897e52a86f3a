//! `lifeboat runbook`: the runbooks there are, one of them, and whether a file is one.

use super::terminal::Letters;
use super::{Context, Exit};
use crate::domain::text::{clean, clean_lines};
use crate::engine::runbooks::{load, located, read, source, sources};
use crate::planning::check::{VOCABULARY, lint};
use crate::planning::runbook::{DefaultValue, Runbook, is_runbook_name};
use anyhow::{Context as _, bail};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `lifeboat runbook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of `lifeboat runbook`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the runbooks, the shipped and your own.
    List,
    /// Show a runbook: its parameters and steps.
    Show {
        /// Its name.
        name: String,
        /// Its text as it is, to begin one of your own with.
        #[arg(long)]
        text: bool,
    },
    /// Check files: every mistake with line and column.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write a new runbook into the current directory.
    New {
        /// Its name: a-z, 0-9 and '-'.
        name: String,
    },
}

/// Runs the subcommand with the shipped runbooks and those in the directory of the user's own.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let directory = context.settings.runbook_directory();
    let directory = directory.as_deref();
    let mut out = Vec::new();
    let exit = match &args.command {
        Command::List => list(&mut out, directory),
        Command::Show { name, text: true } => {
            // To begin one of your own with: not a letter is changed.
            std::io::stdout().lock().write_all(source(name, directory)?.text.as_bytes())?;
            return Ok(Exit::Done);
        }
        Command::Show { name, text: false } => show(&mut out, &load(name, directory)?),
        Command::Check { files } => check(&mut out, files),
        Command::New { name } => new(&mut out, name),
    }?;
    Letters::of(context).print(&out)?;
    Ok(exit)
}

fn list(out: &mut impl Write, directory: Option<&Path>) -> anyhow::Result<Exit> {
    let all = sources(directory)?;
    let longest = all.keys().map(String::len).max().unwrap_or_default();
    for source in all.values() {
        let title = match lint(&source.text, &VOCABULARY) {
            Ok(runbook) => clean(&runbook.title),
            Err(findings) => format!("{} mistakes: see `lifeboat runbook check`", findings.len()),
        };
        writeln!(out, "{:longest$}  {title}", source.name)?;
        if let Some(file) = &source.file {
            let word = if source.overrides { "overrides the shipped one: " } else { "" };
            writeln!(out, "{:longest$}  {word}{}", "", clean(&file.to_string_lossy()))?;
        }
    }
    Ok(Exit::Done)
}

fn show(out: &mut impl Write, runbook: &Runbook) -> anyhow::Result<Exit> {
    writeln!(out, "{}: {}\n\n{}\n", runbook.name.text, clean(&runbook.title), clean_lines(runbook.about.trim()))?;
    writeln!(out, "Parameters")?;
    let longest = runbook.parameters.keys().map(String::len).max().unwrap_or_default();
    for (name, parameter) in &runbook.parameters {
        let from = match &parameter.default {
            Some(DefaultValue::Fact(fact)) => format!("as found: {}", fact.text),
            Some(DefaultValue::Literal(text)) if text.text.is_empty() => "empty".into(),
            Some(DefaultValue::Literal(text)) => clean(&text.text),
            None if parameter.optional => "may be left out".into(),
            None => "must be given".into(),
        };
        let words = parameter.kind.words().map_or_else(|| parameter.kind.to_string(), |words| words.join(" | "));
        writeln!(out, "  {name:longest$}  {}", clean(&parameter.about))?;
        writeln!(out, "  {:longest$}  {words} ({from})", "")?;
    }
    writeln!(out, "\nSteps")?;
    for (index, step) in runbook.steps.iter().enumerate() {
        let mark = if step.destructive { " - can't be undone" } else { "" };
        let (id, title) = (step.id.as_str(), clean(&step.title));
        writeln!(out, "  {:>2}. {id:16} {:7}  {title}{mark}", index + 1, step.action.word())?;
    }
    Ok(Exit::Done)
}

fn check(out: &mut impl Write, files: &[PathBuf]) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for file in files {
        let name = clean(&file.to_string_lossy());
        match lint(&read(file)?, &VOCABULARY) {
            Ok(runbook) => writeln!(out, "{name}: '{}' has no mistake", runbook.name.text)?,
            Err(findings) => {
                exit = Exit::Failed;
                for finding in &findings {
                    writeln!(out, "{}", located(&name, finding))?;
                }
            }
        }
    }
    Ok(exit)
}

/// A runbook to begin with: small, and without a mistake.
const BEGINNING: &str = include_str!("../../runbooks/new.toml");

fn new(out: &mut impl Write, name: &str) -> anyhow::Result<Exit> {
    if !is_runbook_name(name) {
        bail!("'{}' can't name a runbook: use a-z, 0-9 and '-', at most 40", clean(name));
    }
    let file = PathBuf::from(format!("{name}.toml"));
    let mut opened = std::fs::OpenOptions::new().write(true).create_new(true).open(&file).with_context(|| {
        format!("{} can't be made: choose another name if it exists, or another directory", file.display())
    })?;
    opened.write_all(BEGINNING.replace("name = \"new\"", &format!("name = \"{name}\"")).as_bytes())?;
    writeln!(out, "{} is written; check it with `lifeboat runbook check {}`", file.display(), file.display())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn said(directory: Option<&Path>) -> String {
        let mut out = Vec::new();
        list(&mut out, directory).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_file_of_the_same_name_overrides_and_the_list_says_so() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(said(Some(&directory.path().join("missing"))), said(None));
        std::fs::write(directory.path().join("restore-drill.toml"), "[runbook]\nname = 1\n").unwrap();
        std::fs::write(directory.path().join("own.toml"), BEGINNING.replace("\"new\"", "\"own\"")).unwrap();
        std::fs::write(directory.path().join("notes.txt"), "not a runbook").unwrap();
        let text = said(Some(directory.path()));
        assert!(text.contains("mistakes: see `lifeboat runbook check`"), "{text}");
        assert!(text.contains("overrides the shipped one: "), "{text}");
        assert!(!text.contains("notes"), "{text}");
        assert_eq!(load("own", Some(directory.path())).unwrap().name.text, "own");
        assert!(load("restore-drill", Some(directory.path())).is_err(), "a broken override is not passed over");
        assert!(load("restore-dril", None).unwrap_err().to_string().contains("restore-drill"));
    }

    #[test]
    fn shows_parameters_and_steps() {
        let mut out = Vec::new();
        show(&mut out, &load("restore-drill", None).unwrap()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("start | catalog | rows | amcheck | checksums (as found: depth)"), "{text}");
        assert!(text.contains("can't be undone"), "{text}");
    }

    #[test]
    fn the_beginning_of_a_new_one_has_no_mistake() {
        assert!(lint(BEGINNING, &VOCABULARY).is_ok());
    }
}
