//! A runbook with every parameter bound and every argument list resolved.

use crate::domain::digest::Digest;
use crate::domain::plan::{Choice, CommandLine, OnlyChoice, Plan, Shown, Step, StepId, StepKind};
use crate::domain::text::clean;
use crate::planning::plan::resolve::{Resolver, Values};
use crate::planning::plan::{BindError, KnownFacts, seal};
use crate::planning::runbook::{
    Action, ChoiceTemplate, CommandTemplate, Condition, DefaultValue, Runbook, RunbookStep, ShownTemplate, SqlTemplate,
    Test,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Binds `given` (as typed with `-p`) and the facts into the runbook.
///
/// A value that is put in is text and is never looked through for placeholders. Steps whose condition
/// does not hold stay in the plan, ruled out and with the reason, so that a reader sees what is not done.
///
/// # Errors
/// Everything that is missing or does not fit, not only the first.
pub fn bind(runbook: &Runbook, given: &BTreeMap<String, String>, facts: &KnownFacts) -> Result<Plan, Vec<BindError>> {
    let mut errors = Vec::new();
    let parameters = parameters(runbook, given, facts, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let values = Values { runbook, parameters: &parameters, facts };
    let steps: Vec<Step> = runbook.steps.iter().map(|written| step(written, &values, &mut errors)).collect();
    if !errors.is_empty() {
        errors.dedup();
        return Err(errors);
    }
    let mut plan = Plan {
        runbook: runbook.name.text.clone(),
        title: runbook.title.clone(),
        runbook_digest: runbook.digest(),
        parameters,
        facts: facts.sealed.clone(),
        environment: facts.environment.clone(),
        secret_environment: facts.secret_environment.clone(),
        steps,
        seal: Digest::ZERO,
    };
    plan.seal = seal(&plan);
    Ok(plan)
}

fn parameters(
    runbook: &Runbook,
    given: &BTreeMap<String, String>,
    facts: &KnownFacts,
    errors: &mut Vec<BindError>,
) -> BTreeMap<String, String> {
    for name in given.keys().filter(|name| !runbook.parameters.contains_key(*name)) {
        let known: Vec<&str> = runbook.parameters.keys().map(String::as_str).collect();
        errors.push(BindError::UnknownParameter { name: shown(name), known: known.join(", ") });
    }
    let mut bound = BTreeMap::new();
    for (name, parameter) in &runbook.parameters {
        let mut fact_note = String::new();
        let value = given.get(name).cloned().or_else(|| match &parameter.default {
            Some(DefaultValue::Literal(literal)) => Some(literal.text.clone()),
            Some(DefaultValue::Fact(fact)) => {
                fact_note = format!(" ('{}' could not be read on this machine)", fact.text);
                facts.texts.get(&fact.text).cloned()
            }
            None => None,
        });
        match value.map(|value| (parameter.kind.parse(&value), value)) {
            Some((Ok(value), _)) => {
                bound.insert(name.clone(), value);
            }
            Some((Err(error), value)) => {
                errors.push(BindError::BadValue { name: name.clone(), value: shown(&value), why: error.to_string() });
            }
            None if parameter.optional => {}
            None => {
                let about = parameter.about.clone();
                errors.push(BindError::Missing { name: name.clone(), about, fact: fact_note });
            }
        }
    }
    bound
}

/// A value for a message: short, and nothing in it moves a cursor.
fn shown(value: &str) -> String {
    clean(&value.chars().take(60).collect::<String>())
}

/// The reason why a condition does not hold.
fn ruled_out(conditions: &[Condition], parameters: &BTreeMap<String, String>) -> Option<String> {
    conditions.iter().find_map(|condition| {
        let name = &condition.parameter.text;
        let value = parameters.get(name);
        let listed = |words: &[crate::planning::runbook::Located]| {
            value.is_some_and(|value| words.iter().any(|word| &word.text == value))
        };
        let holds = match &condition.test {
            Test::Is(words) => listed(words),
            Test::Not(words) => !listed(words),
            Test::Given(wanted) => value.is_some() == *wanted,
        };
        (!holds).then(|| match value {
            Some(value) => format!("{name} is {}", shown(value)),
            None => format!("{name} is not given"),
        })
    })
}

fn step(written: &RunbookStep, values: &Values<'_>, errors: &mut Vec<BindError>) -> Step {
    let ruled_out = ruled_out(&written.only_if, values.parameters);
    let mut found = Vec::new();
    let mut resolver = Resolver::new(values, written, ruled_out.is_none(), &mut found);
    let kind = kind(written, &mut resolver);
    let expect = resolver.map(&written.expect);
    let only_after = written.only_after.as_ref().map(|after| resolver.step_id(&after.text));
    let only_choice = written.only_choice.as_ref().map(|only| OnlyChoice {
        step: resolver.step_id(&only.step.text),
        is: only.is.iter().filter_map(|id| StepId::new(&id.text).ok()).collect(),
        first: only.first,
    });
    errors.extend(found);
    Step {
        id: written.id.clone(),
        title: written.title.clone(),
        why: written.why.trim().to_owned(),
        kind,
        destructive: written.destructive,
        when: written.when,
        ruled_out,
        only_after,
        only_choice,
        hold: written.hold,
        limit_seconds: written.limit_seconds,
        failure: written.failure.trim().to_owned(),
        repeat: written.repeat.trim().to_owned(),
        captures: written.captures.clone(),
        expect,
        proves: written.proves.iter().map(|name| name.text.clone()).collect(),
    }
}

fn kind(written: &RunbookStep, resolver: &mut Resolver<'_>) -> StepKind {
    match &written.action {
        Action::Check { check, with } => StepKind::Check { check: check.text.clone(), with: resolver.map(with) },
        Action::Command(template) => StepKind::Command { command: command(template, resolver) },
        Action::Server(template) => StepKind::Server { command: command(template, resolver) },
        Action::Stop { server, command: template } => {
            StepKind::Stop { server: resolver.step_id(&server.text), command: command(template, resolver) }
        }
        Action::Sql(template) => StepKind::Sql { command: psql(template, resolver) },
        Action::Wait { server, until } => StepKind::Wait { server: resolver.step_id(&server.text), until: *until },
        Action::Gate { answer, shows } => StepKind::Gate {
            answer: resolver.answer(answer),
            shows: shows.iter().map(|shown| shown_value(shown, resolver)).collect(),
        },
        Action::Decision { shows, choices } => StepKind::Decision {
            shows: shows.iter().map(|shown| shown_value(shown, resolver)).collect(),
            choices: choices.iter().filter_map(|choice| self::choice(choice, resolver)).collect(),
        },
        Action::Note { text } => StepKind::Note { text: resolver.argument(text) },
    }
}

fn shown_value(template: &ShownTemplate, resolver: &mut Resolver<'_>) -> Shown {
    Shown {
        label: template.label.clone(),
        value: resolver.argument(&template.value),
        group: template.group.clone(),
        from: template.from.as_ref().map(|from| from.text.clone()),
    }
}

fn choice(template: &ChoiceTemplate, resolver: &mut Resolver<'_>) -> Option<Choice> {
    let Ok(id) = StepId::new(&template.id.text) else {
        resolver.unusable(format!("'{}' can't name a choice: see `lifeboat runbook check`", shown(&template.id.text)));
        return None;
    };
    Some(Choice {
        id,
        title: template.title.clone(),
        back_to: template.back_to.as_ref().map(|step| resolver.step_id(&step.text)),
        asks: template.asks.clone(),
        gives_up: template.gives_up,
    })
}

fn command(template: &CommandTemplate, resolver: &mut Resolver<'_>) -> CommandLine {
    let argv = resolver.arguments(&template.argv);
    resolver.program_is_absolute(&argv);
    let directory = template.directory.as_ref().and_then(|directory| resolver.absolute_text(directory, "directory"));
    CommandLine {
        argv,
        env: resolver.map(&template.env),
        directory: directory.map(PathBuf::from),
        stdout_is_data: template.stdout_is_data,
        success: template.success.clone(),
        release: template.release,
    }
}

/// `psql` for one query. Time limits go through the environment, since `SET` would print a line into the data.
fn psql(template: &SqlTemplate, resolver: &mut Resolver<'_>) -> CommandLine {
    use crate::domain::plan::Argument;
    let program = Argument::text(format!("{}/psql", resolver.fact("postgres-bin")));
    let socket = resolver.absolute_text(&template.socket, "socket").unwrap_or_default();
    let database = resolver.argument(&template.database);
    let sql = resolver.argument(&template.sql);
    if let Some(name) = database.resolved() {
        resolver.database_is_a_name(&name);
    }
    if sql.resolved().is_none_or(|sql| sql.trim_start().starts_with('\\')) {
        resolver.unusable("its SQL begins with a backslash, which psql takes as a command of its own: give SQL".into());
    }
    let mut argv = vec![program];
    argv.extend(["-X", "--no-password", "-v", "ON_ERROR_STOP=1", "--csv", "-h"].map(Argument::text));
    argv.extend([Argument::text(socket), Argument::text("-p"), resolver.argument(&template.port)]);
    argv.extend([Argument::text("-U"), resolver.argument(&template.user), Argument::text("-d"), database]);
    argv.extend([Argument::text("-c"), sql]);
    resolver.program_is_absolute(&argv);
    let options = format!(
        "-c statement_timeout={}s -c lock_timeout={}s",
        template.statement_timeout_seconds, template.lock_timeout_seconds
    );
    let env = [("PGOPTIONS", options.as_str()), ("PGCLIENTENCODING", "UTF8"), ("PGCONNECT_TIMEOUT", "10")];
    CommandLine {
        argv,
        env: env.into_iter().map(|(name, value)| (name.to_owned(), Argument::text(value))).collect(),
        directory: None,
        stdout_is_data: true,
        success: vec![0],
        release: false,
    }
}
