//! Layout: a plan for reading, at 80 columns. Commands are one line each, however long, to be copied.

use crate::domain::plan::{CommandLine, OnlyChoice, Plan, Step, StepKind, When};
use crate::domain::text::clean;
use crate::report::choice::choice_text;
use crate::report::command_text::word;
use crate::report::json::milestone;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

const WIDTH: usize = 80;

/// The plan as text: parameters, facts, each step with its reason and its exact command, the seal.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let mut out = Page(String::new());
    out.wrapped(&format!("{}: {}", plan.runbook, plan.title), 0);
    out.line(&format!("plan {}", plan.seal));
    out.pairs("Parameters", plan.parameters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect());
    out.pairs("Facts", plan.facts.identity.iter().map(|(name, value)| (name.as_str(), value.clone())).collect());
    let thresholds = plan.facts.thresholds.iter().map(|(name, threshold)| (name.as_str(), threshold.words()));
    out.pairs("Thresholds (may move)", thresholds.collect());
    let environment = plan.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
    out.pairs("Environment of every command", environment.collect());
    if !plan.secret_environment.is_empty() {
        out.wrapped(&format!("secrets that have to be set: {}", plan.secret_environment.join(", ")), 2);
    }
    let due = plan.steps.iter().filter(|step| step.ruled_out.is_none()).count();
    out.line("");
    out.line(&format!("Steps ({due} of {} due)", plan.steps.len()));
    for (index, step) in plan.steps.iter().enumerate() {
        out.step(index + 1, step);
    }
    out.line("");
    out.line(&format!("plan {} (the first digits of its seal: what a gate shows)", plan.seal.short()));
    out.0
}

struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    /// Words of `text` over as many lines as they need, each begun with `indent` blanks.
    fn wrapped(&mut self, text: &str, indent: usize) {
        self.labelled("", text, indent);
    }

    /// As [`Page::wrapped`], a label in front of the first line.
    fn labelled(&mut self, label: &str, text: &str, indent: usize) {
        let mut line = format!("{:indent$}{label}", "");
        let start = line.width();
        let mut empty = true;
        for word in clean(&text.split_whitespace().collect::<Vec<_>>().join(" ")).split(' ') {
            if !empty && line.width() + 1 + word.width() > WIDTH {
                self.line(&line);
                line = " ".repeat(start);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(&line);
    }

    fn pairs(&mut self, title: &str, pairs: Vec<(&str, String)>) {
        if pairs.is_empty() {
            return;
        }
        self.line("");
        self.line(title);
        let longest = pairs.iter().map(|(name, _)| name.width()).max().unwrap_or_default().min(28);
        for (name, value) in pairs {
            self.labelled(&format!("{:longest$}  ", clean(name)), &value, 2);
        }
    }

    fn step(&mut self, number: usize, step: &Step) {
        self.line("");
        let mut marks = vec![step.kind.word()];
        marks.extend(step.destructive.then_some("CAN'T BE UNDONE"));
        marks.extend(match step.when {
            When::Success => None,
            When::Always => Some("in any case"),
            When::Failure => Some("only after a failure"),
        });
        let after = step.only_after.as_ref().map(|after| format!("only once {after} was begun"));
        marks.extend(after.as_deref());
        self.labelled(&format!("{number:>2}. "), &format!("{}: {} [{}]", step.id, step.title, marks.join(", ")), 0);
        if let Some(reason) = &step.ruled_out {
            self.wrapped(&format!("not done here: {reason}"), 4);
            return;
        }
        if !step.why.is_empty() {
            self.wrapped(&step.why, 4);
        }
        self.kind(step);
        for (name, value) in &step.expect {
            self.labelled("expects  ", &format!("{name} = '{value}'"), 4);
        }
        if !step.proves.is_empty() {
            self.labelled("proves   ", &step.proves.join(", "), 4);
        }
        if let Some(only) = &step.only_choice {
            self.labelled("only if  ", &only_text(only), 4);
        }
        if step.hold {
            self.labelled("held     ", "if it fails, the run waits for a person", 4);
        }
        if let Some(seconds) = step.limit_seconds {
            self.labelled("overdue  ", &format!("after {} (told, never enforced)", duration(seconds)), 4);
        }
    }

    fn kind(&mut self, step: &Step) {
        match &step.kind {
            StepKind::Check { check, with } => {
                let with: Vec<String> = with.iter().map(|(name, value)| format!("{name} {value}")).collect();
                self.labelled("checks   ", &format!("{check} ({})", with.join(", ")), 4);
            }
            StepKind::Gate { answer, shows } => {
                for shown in shows {
                    self.labelled(&format!("{:<14} ", clean(&shown.label)), &shown.value.to_string(), 4);
                }
                self.labelled("answer   ", answer, 4);
            }
            StepKind::Decision { shows, choices } => {
                for shown in shows {
                    self.labelled(&format!("{:<14} ", clean(&shown.label)), &shown.value.to_string(), 4);
                }
                for choice in choices {
                    self.labelled("choice   ", &choice_text(choice), 4);
                }
            }
            StepKind::Wait { server, until } => {
                self.labelled("waits    ", &format!("until '{server}' is {}", milestone(*until)), 4);
            }
            StepKind::Note { text } => self.wrapped(&text.to_string(), 4),
            StepKind::Command { command }
            | StepKind::Server { command }
            | StepKind::Stop { command, .. }
            | StepKind::Sql { command } => self.command(command),
        }
    }

    fn command(&mut self, command: &CommandLine) {
        for (name, value) in &command.env {
            self.line(&format!("    with     {name}={}", word(value)));
        }
        if let Some(directory) = &command.directory {
            self.line(&format!("    in       {}", clean(&directory.to_string_lossy())));
        }
        let argv: Vec<String> = command.argv.iter().map(word).collect();
        self.line(&format!("    runs     {}", argv.join(" ")));
    }
}

/// Seconds in the two largest units.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn only_text(only: &OnlyChoice) -> String {
    let mut words: Vec<String> = only.is.iter().map(|choice| format!("'{choice}'")).collect();
    if only.first {
        words.push("nothing yet".to_owned());
    }
    format!("{} was chosen at '{}'", words.join(" or "), only.step)
}
