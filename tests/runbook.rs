//! Runbooks: the shipped ones have no mistake, and every mistake is found with its line and column.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::runbook::SHIPPED;

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
