//! Programs: absolute, no shell, no secret, and the arguments without which a restore is a guess.

use crate::planning::check::Lint;
use crate::planning::parameters::ParameterType;
use crate::planning::runbook::{Action, CommandTemplate, RunbookStep};
use crate::planning::template::{Element, Template, TemplatePiece};

/// Programs that read their arguments as a program.
const SHELLS: [&str; 10] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "csh", "fish", "busybox", "env"];

/// Parts of the names of secret options (pgBackRest 2.45 to 2.60) and of libpq's.
const SECRETS: [&str; 9] = [
    "CIPHER_PASS",
    "S3_KEY",
    "S3_KEY_SECRET",
    "S3_TOKEN",
    "S3_SSE_CUSTOMER_KEY",
    "AZURE_KEY",
    "GCS_KEY",
    "PASSPHRASE",
    "PGPASSWORD",
];

/// The name is that of a secret: an environment variable's, or an option's with `-`.
#[must_use]
pub(crate) fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let upper = upper.trim_start_matches('_');
    SECRETS.iter().any(|secret| upper.ends_with(secret))
}

impl Lint<'_> {
    /// Rules about the program of a step.
    pub(super) fn commands(&mut self, step: &RunbookStep) {
        if let Some(command) = step.action.command() {
            self.program(step, command);
            self.environment(step, command);
            self.restore_is_explicit(step, command);
        }
        if let Action::Sql(sql) = &step.action
            && sql
                .sql
                .pieces
                .first()
                .is_some_and(|piece| matches!(piece, TemplatePiece::Text(text) if text.trim_start().starts_with('\\')))
        {
            let what = format!("the SQL of step '{}' begins with a backslash", step.id);
            self.problem(sql.sql.at, what, "psql would take it as a command of its own, which can start programs");
        }
        let directory = step.action.command().and_then(|command| command.directory.as_ref());
        if let Some(directory) = directory
            && !self.begins_absolute(directory)
        {
            self.problem(directory.at, format!("the directory of step '{}' is relative", step.id), "begin it with '/'");
        }
    }

    fn program(&mut self, step: &RunbookStep, command: &CommandTemplate) {
        let Some(first) = command.argv.first() else { return };
        let Element::One(program) = first else {
            if let Element::Splice { at, .. } = first {
                self.problem(*at, "a list stands where the program should", "name the program first");
            }
            return;
        };
        if !self.begins_absolute(program) {
            let what = format!("the program '{program}' of step '{}' has no absolute path", step.id);
            self.problem(program.at, what, "begin it with '/' or with a fact such as ${postgres-bin}");
        }
        let name = file_name(program);
        if SHELLS.contains(&name) {
            let what = format!("step '{}' runs '{name}', which reads its arguments as a program", step.id);
            self.problem(program.at, what, "name the program itself; there is no shell in a runbook");
        }
        if name == "pg_ctl" {
            self.pg_ctl(step, command, program.at);
        }
    }

    fn pg_ctl(&mut self, step: &RunbookStep, command: &CommandTemplate, at: usize) {
        for argument in literals(command) {
            if argument.starts_with("-o") || argument.starts_with("--options") {
                let what = format!("step '{}' gives -o to pg_ctl, which has a shell expand it", step.id);
                self.problem(at, what, "use kind = \"server\" with postgres and its own arguments");
            }
            // What is released is handed back to whoever manages it: it is not the run's to see end.
            if matches!(argument, "start" | "restart") && !command.release {
                let what = format!("step '{}' starts a server by pg_ctl, and nobody would see it end", step.id);
                self.problem(at, what, "use kind = \"server\" with postgres in the foreground");
            }
        }
    }

    fn environment(&mut self, step: &RunbookStep, command: &CommandTemplate) {
        for (name, value) in &command.env {
            let shaped = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !shaped {
                self.problem(value.at, format!("'{name}' can't name an environment variable"), "use A-Z, 0-9 and '_'");
            }
            if is_secret_name(name) {
                let what = format!("'{name}' in the environment of step '{}' is a secret", step.id);
                self.problem(
                    value.at,
                    what,
                    "leave it in pgBackRest's configuration, or set it where Lifeboat is started",
                );
            }
        }
        for element in &command.argv {
            let Element::One(template) = element else { continue };
            let Some(TemplatePiece::Text(text)) = template.pieces.first() else { continue };
            let name = text.split('=').next().unwrap_or_default();
            if text.starts_with("--") && is_secret_name(name) {
                let what = format!("'{name}' in the arguments of step '{}' is a secret", step.id);
                self.problem(
                    template.at,
                    what,
                    "every user of the host can read arguments: leave it in the configuration",
                );
            }
        }
    }

    /// pgBackRest chooses silently what is not given, and not always the set that was meant.
    fn restore_is_explicit(&mut self, step: &RunbookStep, command: &CommandTemplate) {
        let Some(Element::One(program)) = command.argv.first() else { return };
        let is_pgbackrest = program.to_string() == "${pgbackrest}" || file_name(program) == "pgbackrest";
        if !is_pgbackrest || !literals(command).any(|argument| argument == "restore") {
            return;
        }
        for option in ["--stanza=", "--repo=", "--set="] {
            let given = command.argv.iter().any(|element| match element {
                Element::One(template) => template.to_string().starts_with(option),
                Element::Splice { .. } => false,
            });
            if !given {
                let what = format!("the restore of step '{}' has no {option}…", step.id);
                self.problem(program.at, what, "without it pgBackRest chooses by itself, and silently");
            }
        }
    }

    /// It begins with `/`, a fact, or a parameter that is a path.
    fn begins_absolute(&self, template: &Template) -> bool {
        match template.pieces.first() {
            Some(TemplatePiece::Text(text)) => text.starts_with('/'),
            Some(TemplatePiece::Name { name, .. }) => {
                self.parameter(name).is_none_or(|parameter| parameter.kind == ParameterType::Path)
            }
            Some(TemplatePiece::Capture { .. }) | None => false,
        }
    }
}

/// The last part of the program's path, where it is written out.
fn file_name(program: &Template) -> &str {
    match program.pieces.last() {
        Some(TemplatePiece::Text(text)) => text.rsplit('/').next().unwrap_or_default(),
        _ => "",
    }
}

/// The arguments after the program that have no placeholder.
fn literals(command: &CommandTemplate) -> impl Iterator<Item = &str> {
    command.argv.iter().skip(1).filter_map(|element| match element {
        Element::One(template) => template.literal(),
        Element::Splice { .. } => None,
    })
}
