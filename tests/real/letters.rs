//! ASCII where the locale, the terminal or `--ascii` asks for it: every subcommand that prints for people.

use crate::lab::{self, Lab};
use crate::told;
use std::fs;
use std::process::Output;

/// `lifeboat` in this locale, called by somebody whose name is not ASCII.
fn printed(lab: &Lab, locale: &str, arguments: &[&str]) -> String {
    let mut command = lab::lifeboat();
    command.env("LANG", locale).env("TERM", "xterm").env("LOGNAME", "rené");
    let Output { stdout, stderr, .. } =
        command.arg("--settings").arg(lab.layout.settings()).args(arguments).output().unwrap();
    String::from_utf8([stdout, stderr].concat()).unwrap()
}

#[test]
fn whatever_is_printed_folds_to_ascii() {
    let lab = lab::running();
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/restore-drill.toml")).unwrap();
    let runbooks = lab.layout.directory.join("runbooks");
    told::make_directory(&runbooks);
    let own = shipped.replace("title = \"Restore a backup set", "title = \"Prüfung: restore a backup set");
    assert_ne!(own, shipped);
    fs::write(runbooks.join("restore-drill.toml"), &own).unwrap();
    let arguments: Vec<&str> =
        ["run", "restore-drill", "-p", "depth=start"].into_iter().chain(told::APPROVED).collect();
    let said = printed(&lab, "C.UTF-8", &arguments);
    assert!(said.contains(" DONE ") && said.contains("rené"), "{said}");
    let run = told::runs(&lab)[0].file_name().unwrap().to_str().unwrap().to_owned();

    // For `status`: a run that failed for a reason that is not ASCII.
    let said = printed(&lab, "C.UTF-8", &["run", "restore-drill", "-p", "directory=/prüfung/drill"]);
    assert!(said.contains(" FAILED "), "{said}");

    let printing: [&[&str]; 10] = [
        &["inventory"],
        &["plan", "restore-drill"],
        &["runs"],
        &["status"],
        &["attach", &run],
        &["transcript", &run],
        &["transcript", &run, "--format", "markdown"],
        &["runbook", "show", "restore-drill"],
        &["runbook", "list"],
        &["run", "nosuch-é"],
    ];
    for arguments in printing {
        let whole = printed(&lab, "C.UTF-8", arguments);
        assert!(!whole.is_ascii(), "{arguments:?} shows nothing that would have to be folded: {whole}");
        for folded in [printed(&lab, "C", arguments), printed(&lab, "C.UTF-8", &[&["--ascii"], arguments].concat())] {
            assert!(folded.is_ascii(), "{arguments:?}: {folded}");
            assert_eq!(folded.lines().count(), whole.lines().count(), "{arguments:?}: {folded}");
        }
    }
    // What a program or a person's own editor reads keeps its letters.
    assert!(printed(&lab, "C", &["runbook", "show", "restore-drill", "--text"]).contains("Prüfung"));
    assert!(printed(&lab, "C", &["transcript", &run, "--format", "html"]).contains("rené"));
}
