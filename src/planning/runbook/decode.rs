//! The walk through a runbook's TOML. It goes on after a mistake, so that all of them are told at once.

use crate::domain::plan::{Asked, Capture, CaptureFrom, Milestone, StepId, When};
use crate::planning::parameters::{ParameterType, TYPE_WORDS, duration_seconds};
use crate::planning::runbook::table::{Reader, Table};
use crate::planning::runbook::{
    Action, ChoiceTemplate, CommandTemplate, Condition, DefaultValue, Located, OnlyChoiceTemplate, Parameter, Problem,
    RUNBOOK_VERSION, Runbook, RunbookStep, ShownTemplate, SqlTemplate, Test, nearest,
};
use crate::planning::template::is_name;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const KINDS: [&str; 9] = ["check", "command", "server", "stop", "sql", "wait", "gate", "decision", "note"];

/// Reads `text`; `None` for the runbook where a step could not be read at all, since steps then can't be compared.
pub(super) fn decode(text: &str) -> (Option<Runbook>, Vec<Problem>) {
    let mut reader = Reader { text, problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        let what = format!("this is not TOML: {}", error.message().lines().next().unwrap_or_default());
        reader.problem(at, what, "correct it; the format is described at https://toml.io");
    }
    if !errors.is_empty() {
        return (None, reader.problems);
    }
    let runbook = root(&mut reader, text, table.get_ref());
    (runbook, reader.problems)
}

fn root<'t>(reader: &mut Reader<'t>, text: &str, entries: &'t DeTable<'t>) -> Option<Runbook> {
    let mut root = Table::root(entries);
    let Some(value) = root.value("runbook") else {
        root.missing(reader, "runbook", "begin with [runbook], name, version, title and about");
        return None;
    };
    let mut head = reader.table(value, "runbook", "[runbook]".into())?;
    if !version_is_read(reader, &mut head) {
        return None;
    }
    let name = head.needed(reader, "name", "give its name: a-z, 0-9 and '-'").unwrap_or_default();
    if !name.text.is_empty() && !is_runbook_name(&name.text) {
        reader.problem(name.at, format!("'{}' can't name a runbook", name.text), "use a-z, 0-9 and '-', at most 40");
    }
    let title = head.needed(reader, "title", "say in a line what it does").unwrap_or_default().text;
    let about = head.needed(reader, "about", "say what it is for and what it needs").unwrap_or_default().text;
    head.finish(reader);
    let parameters = parameters(reader, &mut root);
    let steps = steps(reader, &mut root);
    root.finish(reader);
    Some(Runbook { name, title, about, parameters, steps: steps?, text: text.to_owned() })
}

fn version_is_read<'t>(reader: &mut Reader<'t>, head: &mut Table<'t>) -> bool {
    if !head.has("version") {
        head.missing(reader, "version", "write version = 1");
    }
    match head.integer(reader, "version") {
        Some((RUNBOOK_VERSION, _)) | None => true,
        Some((version, at)) => {
            let what = format!("this runbook has format {version}, and this Lifeboat reads format {RUNBOOK_VERSION}");
            reader.problem(at, what, "use the Lifeboat it was written for, or write it in format 1");
            false
        }
    }
}

/// What can name a runbook, and the file it is in.
#[must_use]
pub fn is_runbook_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn parameters<'t>(reader: &mut Reader<'t>, root: &mut Table<'t>) -> BTreeMap<String, Parameter> {
    let Some(value) = root.value("parameters") else { return BTreeMap::new() };
    let Some(table) = reader.table(value, "parameters", "[parameters]".into()) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (name, value) in table.entries() {
        if !is_name(&name.text) {
            reader.problem(name.at, format!("'{}' can't name a parameter", name.text), "use a-z, 0-9, '-' and '_'");
        }
        let what = format!("parameter '{}'", name.text);
        if let Some(mut table) = reader.table(value, &name.text, what) {
            table.at = name.at;
            if let Some(parameter) = parameter(reader, table) {
                found.insert(name.text, parameter);
            }
        }
    }
    found
}

fn parameter<'t>(reader: &mut Reader<'t>, mut table: Table<'t>) -> Option<Parameter> {
    let word = table.needed(reader, "type", &format!("give one of: {}", TYPE_WORDS.join(", ")));
    let about = table.needed(reader, "about", "say what it is for").unwrap_or_default().text;
    let optional = table.boolean(reader, "optional").unwrap_or(false);
    let default = table.value("default").and_then(|value| default_value(reader, value));
    let mut choices = Vec::new();
    if word.as_ref().is_some_and(|word| word.text == "choice") {
        choices = table.texts(reader, "choices").unwrap_or_default();
        if choices.is_empty() {
            table.missing(reader, "choices", "list its words: choices = [\"a\", \"b\"]");
        }
    }
    let at = table.at;
    table.finish(reader);
    let word = word?;
    let words = choices.into_iter().map(|choice| choice.text).collect();
    let Some(kind) = ParameterType::from_word(&word.text, words) else {
        let remedy = nearest(&word.text, TYPE_WORDS)
            .map_or_else(|| format!("known: {}", TYPE_WORDS.join(", ")), |near| format!("'{near}' is probably meant"));
        reader.problem(word.at, format!("unknown type '{}'", word.text), remedy);
        return None;
    };
    Some(Parameter { at, kind, about, default, optional })
}

fn default_value<'t>(reader: &mut Reader<'t>, value: &'t Spanned<DeValue<'t>>) -> Option<DefaultValue> {
    if let DeValue::Table(_) = value.get_ref() {
        let mut table = reader.table(value, "default", "'default'".into())?;
        let fact = table.needed(reader, "fact", "name the fact: default = { fact = \"stanza\" }");
        table.finish(reader);
        return fact.map(DefaultValue::Fact);
    }
    reader.text(value, "default").map(DefaultValue::Literal)
}

fn steps<'t>(reader: &mut Reader<'t>, root: &mut Table<'t>) -> Option<Vec<RunbookStep>> {
    if !root.has("step") {
        root.missing(reader, "step", "describe at least one step under [[step]]");
        return None;
    }
    let values = root.array(reader, "step", "tables: [[step]]")?;
    let read: Vec<Option<RunbookStep>> = values
        .into_iter()
        .map(|value| {
            let table = reader.table(value, "step", "this step".into())?;
            step(reader, table)
        })
        .collect();
    read.into_iter().collect()
}

fn step<'t>(reader: &mut Reader<'t>, mut table: Table<'t>) -> Option<RunbookStep> {
    let id = table.needed(reader, "id", "give its name: a-z, 0-9 and '-'");
    let id_at = id.as_ref().map_or(table.at, |id| id.at);
    let id = id.and_then(|id| match StepId::new(&id.text) {
        Ok(step) => Some(step),
        Err(_) => {
            let what = format!("'{}' can't name a step", id.text);
            reader.problem(id.at, what, "use a-z, 0-9 and '-', begin with a letter, at most 40 characters");
            None
        }
    });
    if let Some(id) = &id {
        table.what = format!("step '{id}'");
    }
    let kind = table.needed(reader, "kind", &format!("give one of: {}", KINDS.join(", ")))?;
    let title = table.needed(reader, "title", "say in a line what it does").unwrap_or_default().text;
    let text_only = kind.text == "note";
    let why = if text_only { table.text(reader, "why") } else { table.needed(reader, "why", "say why it is done") };
    let why = why.unwrap_or_default().text;
    let when = when(reader, &mut table);
    let only_if = conditions(reader, &mut table);
    let only_after = table.text(reader, "only_after");
    let limit_seconds = seconds(reader, &mut table, "limit");
    let acts = matches!(kind.text.as_str(), "command" | "server" | "stop" | "sql");
    let only_choice = only_choice(reader, &mut table);
    let hold =
        !matches!(kind.text.as_str(), "gate" | "decision" | "note") && table.boolean(reader, "hold").unwrap_or(false);
    let failure = if matches!(kind.text.as_str(), "gate" | "decision" | "note") {
        table.text(reader, "failure")
    } else {
        table.needed(reader, "failure", "say what a failure means and what to do then")
    };
    let repeat = if acts {
        table.needed(reader, "repeat", "say what makes it safe to repeat, or why it is not")
    } else {
        table.text(reader, "repeat")
    };
    let destructive = acts && table.boolean(reader, "destructive").unwrap_or(false);
    let answers = matches!(kind.text.as_str(), "check" | "wait");
    let keeps = answers || matches!(kind.text.as_str(), "command" | "stop" | "sql");
    let captures = if answers {
        answers_kept(reader, &mut table)
    } else if keeps {
        captures(reader, &mut table)
    } else {
        Vec::new()
    };
    let expect = if keeps { table.templates(reader, "expect") } else { BTreeMap::new() };
    let proves = if keeps { table.texts(reader, "proves").unwrap_or_default() } else { Vec::new() };
    let action = action(reader, &mut table, &kind, !captures.is_empty());
    let at = table.at;
    if action.is_some() {
        table.finish(reader);
    }
    Some(RunbookStep {
        at,
        id: id?,
        id_at,
        title,
        why,
        action: action?,
        destructive,
        when,
        only_if,
        only_after,
        only_choice,
        hold,
        limit_seconds,
        failure: failure.unwrap_or_default().text,
        repeat: repeat.unwrap_or_default().text,
        captures,
        expect,
        proves,
    })
}

fn word<'t, T: Copy>(
    reader: &mut Reader<'t>,
    table: &mut Table<'t>,
    key: &'static str,
    words: &[(&str, T)],
) -> Option<T> {
    let given = table.text(reader, key)?;
    let found = words.iter().find(|(word, _)| *word == given.text).map(|(_, value)| *value);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        reader.problem(
            given.at,
            format!("'{}' is no value of '{key}'", given.text),
            format!("give one of: {}", known.join(", ")),
        );
    }
    found
}

fn when<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> When {
    let words = [("success", When::Success), ("always", When::Always), ("failure", When::Failure)];
    word(reader, table, "when", &words).unwrap_or_default()
}

fn seconds<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>, key: &'static str) -> Option<u64> {
    let given = table.text(reader, key)?;
    match duration_seconds(&given.text) {
        Ok(seconds) => Some(seconds),
        Err(error) => {
            reader.problem(given.at, format!("'{}' is no value of '{key}'", given.text), error.to_string());
            None
        }
    }
}

fn conditions<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Vec<Condition> {
    let Some(value) = table.value("only_if") else { return Vec::new() };
    let values: Vec<&'t Spanned<DeValue<'t>>> = match value.get_ref() {
        DeValue::Array(array) => array.iter().collect(),
        _ => vec![value],
    };
    values.into_iter().filter_map(|value| condition(reader, value)).collect()
}

fn condition<'t>(reader: &mut Reader<'t>, value: &'t Spanned<DeValue<'t>>) -> Option<Condition> {
    let mut table = reader.table(value, "only_if", "'only_if'".into())?;
    let parameter = table.needed(reader, "parameter", "name the parameter it looks at");
    let is = table.texts(reader, "is").map(Test::Is);
    let not = table.texts(reader, "not").map(Test::Not);
    let given = table.boolean(reader, "given").map(Test::Given);
    let mut tests: Vec<Test> = [is, not, given].into_iter().flatten().collect();
    let written = ["is", "not", "given"].iter().filter(|key| table.has(key)).count();
    if written != 1 {
        let what = format!("'only_if' has {written} of 'is', 'not' and 'given'");
        reader.problem(table.at, what, "give exactly one; several conditions are a list of tables, and all must hold");
    }
    table.finish(reader);
    let test = tests.pop().filter(|_| written == 1)?;
    Some(Condition { parameter: parameter?, test })
}

/// A check and a wait name their values themselves: `capture = ["lsn"]` keeps some of them.
fn answers_kept<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Vec<Capture> {
    let names = table.texts(reader, "capture").unwrap_or_default();
    names.into_iter().map(|name| Capture { name: name.text, from: CaptureFrom::Answer }).collect()
}

fn captures<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Vec<Capture> {
    let Some(value) = table.value("capture") else { return Vec::new() };
    let Some(entries) = reader.table(value, "capture", "'capture'".into()) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, value) in entries.entries() {
        if !is_name(&name.text) {
            reader.problem(
                name.at,
                format!("'{}' can't name a captured value", name.text),
                "use a-z, 0-9, '-' and '_'",
            );
        }
        if let Some(from) = capture_from(reader, &name, value) {
            found.push(Capture { name: name.text, from });
        }
    }
    found
}

fn capture_from<'t>(reader: &mut Reader<'t>, name: &Located, value: &'t Spanned<DeValue<'t>>) -> Option<CaptureFrom> {
    let remedy = "give { line = \"beginning of the line\" }, { column = \"name\" } or \"whole\"";
    if let DeValue::String(_) = value.get_ref() {
        let text = reader.text(value, &name.text)?;
        if text.text == "whole" {
            return Some(CaptureFrom::Whole);
        }
        reader.problem(text.at, format!("'{}' is no way to capture a value", text.text), remedy);
        return None;
    }
    let mut table = reader.table(value, &name.text, format!("captured value '{}'", name.text))?;
    let line = table.text(reader, "line").filter(|text| !text.text.is_empty());
    let column = table.text(reader, "column").filter(|text| !text.text.is_empty());
    let at = table.at;
    table.finish(reader);
    match (line, column) {
        (Some(line), None) => Some(CaptureFrom::Line(line.text)),
        (None, Some(column)) => Some(CaptureFrom::Column(column.text)),
        _ => {
            reader.problem(at, format!("captured value '{}' does not say where it is read from", name.text), remedy);
            None
        }
    }
}

fn action<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>, kind: &Located, captures: bool) -> Option<Action> {
    Some(match kind.text.as_str() {
        "check" => {
            let with = table.templates(reader, "with");
            Action::Check { check: table.needed(reader, "check", "name the check").unwrap_or_default(), with }
        }
        "command" => Action::Command(command(reader, table, captures)),
        "server" => Action::Server(command(reader, table, false)),
        "stop" => Action::Stop { server: server(reader, table), command: command(reader, table, captures) },
        "sql" => Action::Sql(sql(reader, table)),
        "wait" => {
            let words = [
                ("consistent", Milestone::Consistent),
                ("target-reached", Milestone::TargetReached),
                ("paused", Milestone::Paused),
                ("promoted", Milestone::Promoted),
            ];
            if !table.has("until") {
                table.missing(reader, "until", "give one of: consistent, target-reached, paused, promoted");
            }
            let until = word(reader, table, "until", &words).unwrap_or(Milestone::Consistent);
            Action::Wait { server: server(reader, table), until }
        }
        "gate" => {
            let answer = table.needed_template(reader, "answer", "say what must be typed: answer = \"${stanza}\"");
            Action::Gate { answer, shows: shows(reader, table) }
        }
        "decision" => {
            if !table.has("choices") {
                table.missing(reader, "choices", "list the ways on: choices = [{ id = \"…\", title = \"…\" }]");
            }
            Action::Decision { shows: shows(reader, table), choices: choices(reader, table) }
        }
        "note" => Action::Note { text: table.needed_template(reader, "text", "write the text") },
        other => {
            let remedy = nearest(other, KINDS)
                .map_or_else(|| format!("known: {}", KINDS.join(", ")), |near| format!("'{near}' is probably meant"));
            reader.problem(kind.at, format!("unknown kind '{other}'"), remedy);
            return None;
        }
    })
}

fn server<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Located {
    table.needed(reader, "server", "name the step that started the server").unwrap_or_default()
}

fn shows<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Vec<ShownTemplate> {
    let Some(array) = table.array(reader, "shows", "tables: { label = \"…\", value = \"…\" }") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for value in array {
        let Some(mut entry) = reader.table(value, "shows", "'shows'".into()) else { continue };
        let label = entry.needed(reader, "label", "say what the value is").unwrap_or_default().text;
        let group = entry.text(reader, "group").map(|group| group.text);
        let from = entry.text(reader, "from");
        let value = entry.needed_template(reader, "value", "give the value");
        entry.finish(reader);
        found.push(ShownTemplate { label, group, value, from });
    }
    found
}

fn choices<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Vec<ChoiceTemplate> {
    let Some(array) = table.array(reader, "choices", "tables: { id = \"…\", title = \"…\" }") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for value in array {
        let Some(mut entry) = reader.table(value, "choices", "this choice".into()) else { continue };
        let id = entry.needed(reader, "id", "give its name: a-z, 0-9 and '-'").unwrap_or_default();
        let title = entry.needed(reader, "title", "say in a line where it leads").unwrap_or_default().text;
        let back_to = entry.text(reader, "back_to");
        let asks = entry.texts(reader, "asks").unwrap_or_default();
        let gives_up = entry.boolean(reader, "gives_up").unwrap_or(false);
        let mut asked = Vec::new();
        for word in asks {
            if word.text == Asked::Target.word() {
                asked.push(Asked::Target);
            } else {
                reader.problem(
                    word.at,
                    format!("nothing can be asked under the name '{}'", word.text),
                    "known: target",
                );
            }
        }
        entry.finish(reader);
        found.push(ChoiceTemplate { id, title, back_to, asks: asked, gives_up });
    }
    found
}

fn only_choice<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Option<OnlyChoiceTemplate> {
    let value = table.value("only_choice")?;
    let mut entry = reader.table(value, "only_choice", "'only_choice'".into())?;
    let step = entry.needed(reader, "step", "name the decision")?;
    let is = entry.texts(reader, "is").unwrap_or_default();
    let first = entry.boolean(reader, "first").unwrap_or(false);
    entry.finish(reader);
    Some(OnlyChoiceTemplate { step, is, first })
}

fn command<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>, captures: bool) -> CommandTemplate {
    if !table.has("argv") {
        table.missing(reader, "argv", "give the program and its arguments as a list");
    }
    let argv = table.array(reader, "argv", "arguments");
    if argv.as_ref().is_some_and(Vec::is_empty) {
        reader.problem(table.at, format!("'argv' of {} is empty", table.what), "give the program and its arguments");
    }
    let stdout = word(reader, table, "stdout", &[("data", ())]);
    CommandTemplate {
        argv: argv.unwrap_or_default().into_iter().filter_map(|value| reader.element(value, "argv")).collect(),
        env: table.templates(reader, "env"),
        directory: table.template(reader, "directory"),
        // A value is never read from a stream into which error messages can write.
        stdout_is_data: stdout.is_some() || captures,
        success: success(reader, table),
        release: table.boolean(reader, "release").unwrap_or(false),
    }
}

fn success<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> Vec<i32> {
    let Some(array) = table.array(reader, "success", "exit codes") else { return vec![0] };
    let mut codes = Vec::new();
    for value in array {
        let code = match value.get_ref() {
            DeValue::Integer(number) => i32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        match code.filter(|code| (0..=255).contains(code)) {
            Some(code) => codes.push(code),
            None => reader.problem(value.span().start, "this is not an exit code", "give whole numbers from 0 to 255"),
        }
    }
    codes
}

fn sql<'t>(reader: &mut Reader<'t>, table: &mut Table<'t>) -> SqlTemplate {
    SqlTemplate {
        sql: table.needed_template(reader, "sql", "write the query"),
        database: table.needed_template(reader, "database", "name the database it is sent to"),
        socket: table.needed_template(reader, "socket", "give the directory of the server's socket"),
        port: table.needed_template(reader, "port", "give the port: it is part of the socket's name"),
        user: table.needed_template(reader, "user", "name the role"),
        statement_timeout_seconds: seconds(reader, table, "statement_timeout").unwrap_or(60),
        lock_timeout_seconds: seconds(reader, table, "lock_timeout").unwrap_or(5),
    }
}
