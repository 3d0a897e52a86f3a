//! Layout: a plan as a POSIX shell script, for the hour in which Lifeboat itself can't be used.
//!
//! Lifeboat never runs it. Every argument stands in single quotes, so that a shell reads it as the one
//! argument it is; a value that a step captures is a variable, and where it can't be read by `sed` the
//! script asks for it.

use crate::domain::plan::{
    Argument, CaptureFrom, Choice, CommandLine, Milestone, OnlyChoice, Piece, Plan, Shown, Step, StepKind, When,
};
use crate::domain::text::clean;
use crate::report::choice::choice_text;
use std::collections::BTreeSet;

/// `text` as one word of a POSIX shell.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// An argument as one word: text in single quotes, captured values as variables in double quotes.
#[must_use]
pub fn word(argument: &Argument) -> String {
    let words: String = argument
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) if text.is_empty() => String::new(),
            Piece::Text(text) => quote(text),
            Piece::Filled { value, .. } => quote(value),
            Piece::Capture(name) => format!("\"${{{}}}\"", variable(name)),
        })
        .collect();
    if words.is_empty() { "''".into() } else { words }
}

/// The variable that holds a captured value. Names of steps and values have no capitals, so the words in capitals
/// keep `a-b.c` and `a.b-c` apart.
fn variable(name: &str) -> String {
    name.replace('-', "_DASH_").replace('.', "_DOT_")
}

/// The whole script.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    // What only stands in a check or on a gate is for the reader; what stands in a command has to be known.
    let commands = plan.steps.iter().filter(|step| step.kind.command().is_some());
    let commanded = commands.flat_map(Step::pending).map(str::to_owned).collect();
    let mut out = Script(String::new(), commanded);
    out.head(plan);
    let awaited: BTreeSet<&str> =
        plan.steps.iter().filter(|step| step.ruled_out.is_none()).flat_map(Step::pending).collect();
    for (index, step) in plan.steps.iter().enumerate() {
        let is_awaited = plan.steps.iter().any(|later| later.only_after.as_ref() == Some(&step.id));
        out.step(index + 1, step, &awaited, is_awaited);
    }
    out.line("say 'end of the plan'");
    out.line("exit \"$failed\"");
    out.0
}

/// The text so far, and the captured values that commands need.
struct Script(String, BTreeSet<String>);

impl Script {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Every line of `text` as a comment: a line end in it must not end the comment.
    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            let line = clean(line);
            self.line(format!("# {line}").trim_end());
        }
    }

    fn head(&mut self, plan: &Plan) {
        self.line("#!/bin/sh");
        self.comment(&format!("{}: {}", plan.runbook, plan.title));
        self.comment(&format!("Plan {}. Read it before you run it, as the owner of the data directory.", plan.seal));
        self.comment("Lifeboat's journal, locks and repeated reading of facts are missing here: you are all of that.");
        for (name, value) in &plan.parameters {
            self.comment(&format!("parameter {name} = {}", value.replace('\n', " ")));
        }
        for (name, value) in &plan.facts.identity {
            self.comment(&format!("fact {name} = {}", value.replace('\n', " ")));
        }
        self.line("set -u");
        self.line("umask 077");
        self.foreign_settings(plan);
        for (name, value) in &plan.environment {
            if plan.secret_environment.contains(name) || value == "<set>" {
                continue;
            }
            self.line(&format!("export {name}={}", quote(value)));
        }
        for name in &plan.secret_environment {
            self.comment("A secret: set it before, and not on a command line.");
            self.line(&format!(": \"${{{name}:?is a secret that has to be set in the environment}}\""));
        }
        self.line("failed=0");
        self.line("say() { printf '\\n== %s\\n' \"$*\"; }");
        self.line("step_failed() { failed=1; printf '\\n!! step %s failed (%s): %s\\n' \"$1\" \"$2\" \"$3\" >&2; }");
        self.line("ask() { printf '%s' \"$1\"; IFS= read -r reply || exit 3; }");
    }

    /// What a person's shell has set for PostgreSQL or pgBackRest is not part of the plan.
    fn foreign_settings(&mut self, plan: &Plan) {
        let secrets: Vec<&str> = plan.secret_environment.iter().map(String::as_str).collect();
        let keep = if secrets.is_empty() { "''".into() } else { secrets.join("|") };
        self.line("for name in $(env | sed -n 's/^\\(PG[A-Z0-9_]*\\)=.*/\\1/p'); do");
        self.line(&format!("case $name in {keep}) ;; *) unset \"$name\" ;; esac"));
        self.line("done");
    }

    /// `is_awaited`: a later step is due only when this one was begun.
    fn step(&mut self, number: usize, step: &Step, awaited: &BTreeSet<&str>, is_awaited: bool) {
        self.line("");
        self.comment(&format!("---- {number}. {}: {}", step.id, step.title));
        self.comment(&step.why);
        if let Some(reason) = &step.ruled_out {
            self.comment(&format!("Not done here: {reason}."));
            return;
        }
        if step.destructive {
            self.comment("CAN'T BE UNDONE.");
        }
        if !step.repeat.is_empty() {
            self.comment(&format!("To repeat it: {}", step.repeat));
        }
        let when = match step.when {
            When::Success => "[ \"$failed\" -eq 0 ]",
            When::Always => ":",
            When::Failure => "[ \"$failed\" -ne 0 ]",
        };
        let when = match &step.only_choice {
            Some(only) => format!("{when} && {}", chosen(only)),
            None => when.to_owned(),
        };
        match &step.only_after {
            Some(after) => self.line(&format!("if {when} && [ -n \"${{{}:-}}\" ]; then", began(after.as_str()))),
            None => self.line(&format!("if {when}; then")),
        }
        if is_awaited {
            self.line(&format!("{}=yes", began(step.id.as_str())));
        }
        self.line(&format!("say {}", quote(&clean(&format!("{number}. {}", step.title)))));
        self.body(step, awaited);
        self.line("fi");
    }

    fn body(&mut self, step: &Step, awaited: &BTreeSet<&str>) {
        match &step.kind {
            StepKind::Check { check, with } => {
                let with: Vec<String> = with.iter().map(|(name, value)| format!("{name} {value}")).collect();
                self.comment(&format!("Verify by hand: {check} ({})", with.join(", ").replace('\n', " ")));
                let question = format!("verify '{check}': does it hold? [yes] ");
                self.line(&format!("ask {}", quote(&clean(&question))));
                self.line(&format!("[ \"$reply\" = yes ] || {}", failure(step, "'not verified'")));
                self.answers(step);
            }
            StepKind::Command { command } | StepKind::Sql { command } => self.command(step, command, awaited),
            StepKind::Stop { server, command } => {
                self.line(&format!(
                    "if kill -0 \"${{{}:-0}}\" 2>/dev/null && [ -n \"${{{}:-}}\" ]; then",
                    pid(server.as_str()),
                    pid(server.as_str())
                ));
                self.command(step, command, awaited);
                self.line("else say 'that server does not run'");
                self.line("fi");
            }
            StepKind::Server { command } => self.server(step, command),
            StepKind::Wait { server, until } => self.wait(step, server.as_str(), *until),
            StepKind::Gate { answer, shows } => self.gate(answer, shows),
            StepKind::Decision { shows, choices } => self.decision(step, shows, choices),
            StepKind::Note { text } => self.line(&format!("printf '%s\\n' {}", word(text))),
        }
    }

    fn gate(&mut self, answer: &str, shows: &[Shown]) {
        for shown in shows {
            self.line(&format!("printf '   %-14s %s\\n' {} {}", quote(&clean(&shown.label)), word(&shown.value)));
        }
        self.line(&format!("ask {}", quote(&format!("Type {} to go on: ", clean(answer)))));
        self.line(&format!(
            "[ \"$reply\" = {} ] || {{ echo 'not approved: nothing more is done' >&2; exit 3; }}",
            quote(answer)
        ));
    }

    /// A script goes on in one direction only: where a choice leads back, the person does that by hand.
    fn decision(&mut self, step: &Step, shows: &[Shown], choices: &[Choice]) {
        for shown in shows {
            self.line(&format!("printf '   %-14s %s\\n' {} {}", quote(&clean(&shown.label)), word(&shown.value)));
        }
        let onward: Vec<&Choice> = choices.iter().filter(|choice| choice.back_to.is_none()).collect();
        for choice in choices {
            self.line(&format!("say {}", quote(&format!("choice {}", choice_text(choice)))));
        }
        let names: Vec<&str> = onward.iter().map(|choice| choice.id.as_str()).collect();
        self.line(&format!("ask {}", quote(&format!("Type {} to go on: ", names.join(" or ")))));
        self.line(&format!(
            "case \"$reply\" in {}) ;; *) echo 'nothing chosen: nothing more is done' >&2; exit 3 ;; esac",
            names.join("|")
        ));
        self.line(&format!("{}=$reply", choice_variable(step.id.as_str())));
    }

    /// What a check would have answered and later steps need: a person has to find it out. Nothing goes on with an empty
    /// value.
    fn answers(&mut self, step: &Step) {
        for capture in &step.captures {
            let name = format!("{}.{}", step.id, capture.name);
            if self.1.contains(&name) {
                self.line(&format!("ask {}", quote(&format!("Value of {name}: "))));
                self.line("[ -n \"$reply\" ] || { echo 'no value: nothing more is done' >&2; exit 3; }");
                self.line(&format!("{}=$reply", variable(&name)));
            }
        }
    }

    fn server(&mut self, step: &Step, command: &CommandLine) {
        let (log, pid) = (log(step.id.as_str()), pid(step.id.as_str()));
        self.line(&format!("{log}=$(mktemp) || exit 1"));
        self.line(&format!("say \"its log: ${log}\""));
        self.line(&format!("{} >\"${log}\" 2>&1 </dev/null &", invocation(command)));
        self.line(&format!("{pid}=$!"));
        self.line(&format!("until grep -q 'ready to accept' \"${log}\"; do"));
        self.line(&format!("kill -0 \"${pid}\" 2>/dev/null || {{ {}; break; }}", failure(step, "'it ended'")));
        self.line("sleep 1");
        self.line("done");
    }

    fn wait(&mut self, step: &Step, server: &str, until: Milestone) {
        let (log, pid) = (log(server), pid(server));
        let pattern = match until {
            Milestone::Consistent => "consistent recovery state reached at",
            Milestone::TargetReached => "recovery stopping \\|redo done at",
            Milestone::Paused => "pausing at the end of recovery",
            Milestone::Promoted => "archive recovery complete",
        };
        self.line(&format!("until grep -q {} \"${log}\"; do", quote(pattern)));
        self.line(&format!("kill -0 \"${pid}\" 2>/dev/null || {{ {}; break; }}", failure(step, "'the server ended'")));
        self.line("sleep 1");
        self.line("done");
        self.line(&format!("grep {} \"${log}\"", quote(pattern)));
    }

    fn command(&mut self, step: &Step, command: &CommandLine, awaited: &BTreeSet<&str>) {
        let keeps = !step.captures.is_empty();
        let invocation = invocation(command);
        if keeps {
            // A blank after the parenthesis: `$((` would begin arithmetic.
            self.line(&format!("output=$( {invocation} )"));
        } else {
            self.line(&invocation);
        }
        let codes: Vec<String> = command.success.iter().map(ToString::to_string).collect();
        self.line("status=$?");
        if keeps {
            self.line("printf '%s\\n' \"$output\"");
        }
        let codes = if codes.is_empty() { "none".to_owned() } else { codes.join("|") };
        self.line(&format!("case $status in {codes}) ;; *) {} ;; esac", failure(step, "\"exit $status\"")));
        for capture in &step.captures {
            let name = format!("{}.{}", step.id, capture.name);
            if awaited.contains(name.as_str()) {
                self.capture(&name, &capture.from);
            }
            if let Some(expected) = step.expect.get(&capture.name) {
                self.comment(
                    &format!("Verify in the output: {} has to be {expected}", capture.name).replace('\n', " "),
                );
            }
        }
    }

    fn capture(&mut self, name: &str, from: &CaptureFrom) {
        let variable = variable(name);
        match from {
            CaptureFrom::Whole => self.line(&format!("{variable}=$output")),
            CaptureFrom::Line(prefix) => {
                let pattern: String = prefix
                    .chars()
                    .flat_map(|letter| if r"\/.*[]^$".contains(letter) { vec!['\\', letter] } else { vec![letter] })
                    .collect();
                let program = quote(&format!("s/^{pattern}[[:space:]]*//p"));
                self.line(&format!("{variable}=$(printf '%s\\n' \"$output\" | sed -n {program} | head -n 1)"));
            }
            CaptureFrom::Column(column) => {
                let question = format!("value of column {column} above ({name}): ");
                self.line(&format!("ask {}", quote(&clean(&question))));
                self.line(&format!("{variable}=$reply"));
            }
            CaptureFrom::Answer => {
                self.line(&format!("ask {}", quote(&clean(&format!("value found above ({name}): ")))));
                self.line(&format!("{variable}=$reply"));
            }
        }
    }
}

fn began(step: &str) -> String {
    format!("began_{}", variable(step))
}

fn choice_variable(decision: &str) -> String {
    format!("choice_{}", variable(decision))
}

/// Whether a step is due after what was typed at its decision. What is due only on the way back never is in a script.
fn chosen(only: &OnlyChoice) -> String {
    let variable = choice_variable(only.step.as_str());
    let mut tests: Vec<String> =
        only.is.iter().map(|choice| format!("[ \"${{{variable}:-}}\" = {} ]", quote(choice.as_str()))).collect();
    if only.first {
        tests.push(format!("[ -z \"${{{variable}:-}}\" ]"));
    }
    if tests.is_empty() { "false".to_owned() } else { format!("{{ {}; }}", tests.join(" || ")) }
}

fn log(server: &str) -> String {
    format!("log_{}", variable(server))
}

fn pid(server: &str) -> String {
    format!("pid_{}", variable(server))
}

fn failure(step: &Step, how: &str) -> String {
    let meaning = clean(&step.failure.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    format!("step_failed {} {how} {}", quote(step.id.as_str()), quote(&meaning))
}

/// The command in a subshell of its own, in its directory, with what it adds to the environment.
fn invocation(command: &CommandLine) -> String {
    let directory = command.directory.as_ref().map_or_else(|| "/".into(), |directory| directory.to_string_lossy());
    let argv: Vec<String> = command.argv.iter().map(word).collect();
    let mut words = vec!["exec".to_owned()];
    if !command.env.is_empty() {
        words.push("env".into());
        words.extend(command.env.iter().map(|(name, value)| format!("{name}={}", word(value))));
    }
    words.extend(argv);
    format!("( cd {} && {} )", quote(&directory), words.join(" "))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::facts::Facts;
    use crate::domain::plan::{Capture, StepId};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::process::{Command, Output};

    fn step(id: &str, kind: StepKind) -> Step {
        Step {
            id: StepId::new(id).unwrap(),
            title: "A title".into(),
            why: "Why:\nrm -rf would follow".into(),
            kind,
            destructive: false,
            when: When::Success,
            ruled_out: None,
            only_after: None,
            only_choice: None,
            hold: false,
            limit_seconds: None,
            failure: "It's `bad` $(really)".into(),
            repeat: String::new(),
            captures: Vec::new(),
            expect: BTreeMap::new(),
            proves: Vec::new(),
        }
    }

    fn command(argv: Vec<Argument>) -> StepKind {
        let env = BTreeMap::from([("GIVEN".to_owned(), Argument::text("a'b"))]);
        StepKind::Command {
            command: CommandLine {
                argv,
                env,
                directory: None,
                stdout_is_data: false,
                success: vec![0],
                release: false,
            },
        }
    }

    fn script(steps: Vec<Step>) -> String {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        super::plan(&Plan {
            runbook: "x".into(),
            title: "x".into(),
            runbook_digest: Digest::ZERO,
            parameters: BTreeMap::from([("p".to_owned(), "one\ntouch two".to_owned())]),
            facts: Facts::default(),
            environment,
            secret_environment: Vec::new(),
            steps,
            seal: Digest::ZERO,
        })
    }

    fn run(script: &str) -> Output {
        Command::new("/bin/sh").arg("-c").arg(script).env("PGHOST", "elsewhere").output().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.div_ceil(6), ..ProptestConfig::default() })]

        #[test]
        fn a_shell_reads_every_argument_as_it_was(arguments in proptest::collection::vec("[^\0]{0,20}", 1..6)) {
            let printf = ["/usr/bin/printf".to_owned(), "%s\\0".to_owned()];
            let argv = printf.iter().chain(&arguments).map(Argument::text).collect();
            let output = run(&script(vec![step("print", command(argv))]));
            let wanted: String = arguments.iter().map(|argument| format!("{argument}\0")).collect();
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            prop_assert!(shown.contains(&wanted), "{:?} is not in {:?}", wanted, shown);
            prop_assert!(output.status.success());
        }
    }

    #[test]
    fn a_failed_step_keeps_the_next_from_running_but_not_what_is_due_in_any_case() {
        let echo = |text: &str| command(vec![Argument::text("/bin/echo"), Argument::text(text)]);
        let mut always = step("always", echo("in any case"));
        always.when = When::Always;
        let steps =
            vec![step("fails", command(vec![Argument::text("/bin/false")])), step("next", echo("next")), always];
        let output = run(&script(steps));
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("in any case") && !text.contains("next"), "{text}");
        assert!(errors.contains("step fails failed (exit 1): It's `bad` $(really)"), "{errors}");
        assert_eq!(output.status.code(), Some(1));
    }

    #[test]
    fn captured_values_reach_the_step_that_waits_for_them() {
        let printf = ["/usr/bin/printf", "a/b [x]: 1 2\\nother\\n"].map(Argument::text).to_vec();
        let mut first = step("first-one", command(printf));
        first.captures = vec![
            Capture { name: "v".into(), from: CaptureFrom::Line("a/b [x]:".into()) },
            Capture { name: "all".into(), from: CaptureFrom::Whole },
        ];
        let mut argument = Argument::text("got=");
        argument.pieces.push(Piece::Capture("first-one.v".into()));
        let mut whole = Argument::text("whole=");
        whole.pieces.push(Piece::Capture("first-one.all".into()));
        let second = step("second", command(vec![Argument::text("/bin/echo"), argument, whole]));
        let output = run(&script(vec![first, second]));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("got=1 2 whole=a/b [x]: 1 2\nother"), "{text}");
    }

    #[test]
    fn the_environment_is_the_plans_and_a_gate_wants_its_answer() {
        let print = |name: &str| command(["/usr/bin/printenv", name].map(Argument::text).to_vec());
        let given = run(&script(vec![step("given", print("GIVEN"))]));
        assert!(String::from_utf8_lossy(&given.stdout).contains("\na'b\n"));
        assert_eq!(run(&script(vec![step("foreign", print("PGHOST"))])).status.code(), Some(1));
        let gate = step("gate", StepKind::Gate { answer: "main".into(), shows: Vec::new() });
        assert_eq!(run(&script(vec![gate])).status.code(), Some(3), "no answer, no approval");
    }

    /// Only what belongs to the choice that was typed is done, and nothing with a value that nobody gave.
    #[test]
    fn a_choice_leads_one_way_only() {
        let choice = |id: &str, back_to: Option<&str>| Choice {
            id: StepId::new(id).unwrap(),
            title: id.into(),
            back_to: back_to.map(|step| StepId::new(step).unwrap()),
            asks: Vec::new(),
            gives_up: id == "give-up",
        };
        let echo = |text: &str| command(vec![Argument::text("/bin/echo"), Argument::text(text)]);
        let after = |id: &str, is: &[&str], first: bool| {
            let mut step = step(id, echo(&format!("did {id}")));
            let is = is.iter().map(|choice| StepId::new(choice).unwrap()).collect();
            step.only_choice = Some(OnlyChoice { step: StepId::new("inspect").unwrap(), is, first });
            step
        };
        let choices = vec![choice("promote", None), choice("back", Some("restore")), choice("give-up", None)];
        let inspect = step("inspect", StepKind::Decision { shows: Vec::new(), choices });
        let mut goal = step("goal", StepKind::Check { check: "any".into(), with: BTreeMap::new() });
        goal.captures = vec![Capture { name: "lsn".into(), from: CaptureFrom::Answer }];
        let wants = Argument { pieces: vec![Piece::Capture("goal.lsn".into())] };
        let uses = step("uses", command(vec![Argument::text("/bin/echo"), wants]));
        let steps = vec![
            goal,
            uses,
            after("restore", &["back"], true),
            after("stop-first", &["back"], false),
            inspect,
            after("final", &["promote"], false),
            after("undo", &["give-up"], false),
        ];
        let text = script(steps);
        let did = |typed: &str| {
            let mut child = Command::new("/bin/sh")
                .args(["-c", &text])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), typed.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let done: Vec<String> = said.lines().filter(|line| line.starts_with("did ")).map(str::to_owned).collect();
            (done, output.status.code())
        };
        assert_eq!(did("yes\n0/10\npromote\n"), (vec!["did restore".into(), "did final".into()], Some(0)));
        assert_eq!(did("yes\n0/10\ngive-up\n"), (vec!["did restore".into(), "did undo".into()], Some(0)));
        assert_eq!(did("yes\n0/10\nback\n"), (vec!["did restore".into()], Some(3)));
        assert_eq!(did("yes\n\n"), (Vec::new(), Some(3)), "an empty value goes nowhere");
    }
}
