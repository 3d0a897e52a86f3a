//! Runbooks: the shipped ones have no mistake, and every mistake is found with its line and column.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::runbook::{SHIPPED, shipped};
use proptest::prelude::*;

#[test]
fn shipped_runbooks_have_no_finding() {
    for (name, text) in SHIPPED {
        match lint(text, &VOCABULARY) {
            Ok(runbook) => assert_eq!(&runbook.name.text, name),
            Err(findings) => {
                let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
                panic!("{name}:\n{}", lines.join("\n"));
            }
        }
    }
}

/// All findings of a fixture as `LINE:COLUMN what: remedy`.
fn findings(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("tests/fixtures/runbook/{name}.toml")).unwrap();
    let found = lint(&text, &VOCABULARY).unwrap_err();
    found
        .iter()
        .map(|finding| format!("{}:{} {}: {}", finding.line, finding.column, finding.what, finding.remedy))
        .collect()
}

#[track_caller]
fn finds(name: &str, wanted: &[(&str, &str)]) {
    let found = findings(name);
    let shown = found.join("\n");
    let fits =
        |(place, gist): &(&str, &str), line: &String| line.starts_with(&format!("{place} ")) && line.contains(gist);
    for one in wanted {
        assert!(found.iter().any(|line| fits(one, line)), "{one:?} is not in\n{shown}");
    }
    for line in &found {
        assert!(wanted.iter().any(|one| fits(one, line)), "{line} is not expected");
    }
}

#[test]
fn the_shape_of_every_key_and_value_is_checked() {
    finds(
        "shape",
        &[
            ("2:9", "'Shape' can't name a runbook"),
            ("6:1", "unknown key 'extra' in [runbook]"),
            ("9:9", "unknown type 'stanca': 'stanza' is probably meant"),
            ("12:13", "parameter 'way' has no 'choices'"),
            ("19:12", "the default of 'long' is not of type duration"),
            ("26:1", "unknown key 'argvs' in step 'a': 'argv' is probably meant"),
            ("27:21", "a '$' that begins no placeholder"),
            ("34:9", "'title' is a TOML integer: give a text in quotes"),
            ("35:11", "a placeholder that does not end"),
            ("36:1", "unknown key 'sql' in step 'b'"),
            ("38:1", "step 'c' has no 'failure': say what a failure means and what to do then"),
            ("38:1", "step 'c' has no 'repeat': say what makes it safe to repeat, or why it is not"),
            ("43:8", "'argv' is a TOML string: give a list of arguments in []"),
            ("44:15", "'destructive' is a TOML string"),
            ("45:15", "this is not an exit code: give whole numbers from 0 to 255"),
            ("45:20", "this is not an exit code: give whole numbers from 0 to 255"),
            ("46:10", "'4' is no value of 'limit': a duration is expected"),
            ("47:9", "'sometimes' is no value of 'when'"),
            ("48:11", "'only_if' has 2 of 'is', 'not' and 'given'"),
            ("49:19", "captured value 'one' does not say where it is read from"),
            ("49:21", "unknown key 'lines' in captured value 'one': 'line' is probably meant"),
            ("49:43", "'all' is no way to capture a value"),
        ],
    );
}

#[test]
fn steps_that_cannot_be_read_are_told_together() {
    finds(
        "kinds",
        &[
            ("7:1", "this step has no 'failure': say what a failure means and what to do then"),
            ("8:7", "'A step' can't name a step: use a-z, 0-9 and '-', begin with a letter, at most 40 characters"),
            ("9:9", "unknown kind 'comand': 'command' is probably meant"),
            ("13:1", "this step has no 'id': give its name"),
        ],
    );
}

#[test]
fn a_newer_format_is_refused_in_words() {
    finds("newer", &[("3:11", "this runbook has format 2, and this Lifeboat reads format 1")]);
}

#[test]
fn text_that_is_not_toml_is_told_with_its_place() {
    finds(
        "not-toml",
        &[
            ("3:11", "this is not TOML: string values must be quoted, expected literal string"),
            ("5:1", "this is not TOML: duplicate key"),
        ],
    );
}

#[test]
fn placeholders_are_known_bound_and_never_empty_where_it_matters() {
    finds(
        "values",
        &[
            ("10:21", "unknown fact 'stanca': 'stanza' is probably meant"),
            ("25:12", "the default of 'count' is not of type integer"),
            ("32:20", "unknown parameter or fact 'stanze': 'stanza' is probably meant"),
            ("32:33", "unknown list 'pgbackrest-option': 'pgbackrest-options' is probably meant"),
            ("32:57", "'target-options' is a list of arguments"),
            ("32:78", "unknown list 'stanza': it is one value"),
            ("32:91", "'maybe' is optional and may have no value in step 'look'"),
            ("32:103", "'later.value' is used before step 'later' has captured it"),
            ("34:21", "step 'look' expects 'other' and does not capture it"),
            ("35:12", "step 'look' proves 'words' and does not capture it"),
            ("39:1", "'title' of step 'later' has a placeholder, and none is put in there"),
            ("45:20", "step 'look' captures no 'wort': 'word' is probably meant"),
            ("45:36", "there is no step 'nowhere': name a step before this one that captures it"),
            ("55:11", "the answer of gate 'ask' is empty"),
            ("62:11", "the answer of gate 'ask-again' may be empty: 'maybe' is optional"),
            ("69:20", "an empty value in the destructive step 'remove'"),
            ("69:25", "an empty value in the destructive step 'remove'"),
            ("69:41", "'maybe' may be empty in the destructive step 'remove'"),
            ("69:53", "'empty' is empty by default and used in step 'remove'"),
            ("69:65", "'look.word' may be empty in the destructive step 'remove'"),
            ("69:97", "'later.value' may be empty in the destructive step 'remove'"),
            ("69:97", "step 'remove' uses 'later.value', but step 'later' may be skipped when it is not"),
            ("70:41", "'PGBACKREST_REPO1_CIPHER_PASS' in the environment of step 'remove' is a secret"),
            ("80:16", "'maybe' of type string stands in SQL text, which its value could end"),
            ("80:42", "the fact 'user' stands in SQL text, which its value could end"),
            ("94:10", "unknown check 'free-spaces': 'free-space' is probably meant"),
            ("102:10", "check 'port-free' in step 'port' lacks 'socket-directory'"),
            ("102:10", "check 'port-free' in step 'port' takes no 'sockets'"),
        ],
    );
}

#[test]
fn gates_servers_conditions_and_programs_are_checked() {
    finds(
        "order",
        &[
            ("13:1", "step 'after' is unreachable: no step before it can fail"),
            ("20:1", "no gate before the destructive step 'wipe'"),
            ("37:1", "no gate before the destructive step 'wipe'"),
            ("38:7", "a second step 'wipe': give each step a name of its own"),
            ("48:1", "step 'never' is unreachable: its conditions on 'depth' never hold together"),
            ("60:27", "unknown parameter 'depht' in a condition: 'depth' is probably meant"),
            ("60:83", "'row' is never the value of 'depth'"),
            ("62:1", "the server of step 'server' is not stopped in every case"),
            ("67:10", "the program 'postgres' of step 'server' has no absolute path"),
            ("77:11", "step 'early' may wait for a server that was never started"),
            ("86:11", "'serve' is no server step before this wait: 'server' is probably meant"),
            ("96:10", "step 'stop' gives -o to pg_ctl, which has a shell expand it"),
            ("106:11", "step 'late' waits for a server that step 'stop' has stopped"),
            ("110:1", "step 'shell' has no 'failure'"),
            ("110:1", "step 'shell' has no 'repeat'"),
            ("115:10", "step 'shell' runs 'sh', which reads its arguments as a program"),
            ("122:10", "step 'start' starts a server by pg_ctl, and nobody would see it end"),
            ("123:14", "the directory of step 'start' is relative"),
            ("124:12", "'failure' of step 'start' is empty"),
            ("132:10", "the restore of step 'restore' has no --set=…"),
            (
                "140:15",
                "'only_after' of step 'tidy' names 'restor', which is no step before it: 'restore' is probably meant",
            ),
            ("153:1", "no gate before the destructive step 'sweep': gate 'sorted' is not due whenever this step is"),
        ],
    );
}

proptest! {
    /// A damaged runbook is told what is wrong with it, or is a runbook still; it never ends the program.
    #[test]
    fn a_damaged_runbook_has_findings_with_places_in_it(cut in any::<prop::sample::Index>(), length in 0usize..40, put in "[\\[\\]{}\"'=$@.a\n]{0,6}") {
        let text = shipped("restore-drill").unwrap();
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let from = cut.index(starts.len());
        let to = (from + length).min(starts.len() - 1);
        let damaged = format!("{}{put}{}", &text[..starts[from]], &text[starts[to]..]);
        if let Err(findings) = lint(&damaged, &VOCABULARY) {
            prop_assert!(!findings.is_empty());
            for finding in findings {
                prop_assert!(finding.line >= 1 && finding.line <= damaged.matches('\n').count() + 1);
                prop_assert!(finding.column >= 1 && !finding.what.is_empty() && !finding.remedy.is_empty());
            }
        }
    }
}

#[test]
fn the_examples_of_the_documentation_have_no_finding_and_names_are_all_there() {
    let readme = std::fs::read_to_string("runbooks/README.md").unwrap();
    let examples: Vec<&str> = readme.split("```toml\n").skip(1).map(|text| text.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let found: Vec<String> =
            lint(example, &VOCABULARY).err().unwrap_or_default().iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::<String>::new());
    }
    for name in VOCABULARY.facts.iter().chain(VOCABULARY.list_facts) {
        assert!(readme.contains(&format!("`{name}`")), "the fact {name} is not described");
    }
    for (check, arguments) in VOCABULARY.checks {
        assert!(
            readme.contains(&format!("| `{check}` | {}", arguments.join(", "))),
            "the check {check} is not described"
        );
    }
    for word in lifeboat::planning::parameters::TYPE_WORDS {
        assert!(readme.contains(&format!("`{word}`")), "the type {word} is not described");
    }
}
