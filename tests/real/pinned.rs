//! What a run was begun with stays what it does: an edited runbook and the shell of whoever comes later change nothing.

use crate::lab;
use crate::told::{drill_with, lifeboat, make_directory};
use lifeboat::domain::plan::{Piece, Plan};
use std::fs;

/// The command lines of all steps; what is captured on the way by its name.
fn commands(plan: &Plan) -> Vec<String> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Filled { name, .. } | Piece::Capture(name) => format!("{{{name}}}"),
    };
    let commands = plan.steps.iter().filter_map(|step| step.kind.command());
    commands.flat_map(|command| command.arguments()).map(|word| word.pieces.iter().map(piece).collect()).collect()
}

/// Kyoto University 2021: a script that was edited while it ran deleted 77 TB. Travis CI 2018: a shell of another day.
#[test]
fn a_runbook_that_is_edited_and_a_stale_shell_change_nothing_of_a_run_that_waits() {
    let lab = lab::copy();
    let folder = lab.layout.directory.join("runbooks");
    make_directory(&folder);
    let file = folder.join("restore-drill.toml");
    let shipped = include_str!("../../runbooks/restore-drill.toml");
    let title = "Restore a backup set into a directory of its own, prove it, remove it";
    fs::write(&file, shipped.replace(title, "As it was reviewed")).unwrap();

    let mut waiting = drill_with(&lab, &lab.layout.settings(), &[]);
    assert_eq!(waiting.told.exit, 3, "{}", waiting.told.errors);
    assert_eq!(waiting.run.plan.title, "As it was reviewed");
    let (before, environment) = (commands(&waiting.run.plan), waiting.run.plan.environment.clone());
    fs::write(&file, "this is no runbook any more").unwrap();

    let id = waiting.run.id.to_string();
    let stale = |arguments: &[&str]| {
        let mut command = lab::lifeboat();
        command.arg("--settings").arg(lab.layout.settings()).args(arguments);
        crate::told::Told::of(&command.env("PGBACKREST_PROCESS_MAX", "7").output().unwrap())
    };
    assert_eq!(stale(&["approve", &id, "start", "main"]).exit, 0);
    assert_eq!(stale(&["attach", &id]).exit, 3);
    assert_eq!(stale(&["approve", &id, "remove-gate", "main"]).exit, 0);
    waiting.told = stale(&["attach", &id]);
    waiting.reload();
    waiting.done();
    assert_eq!(waiting.gates, ["start", "remove-gate"], "no gate opened again");
    assert_eq!((commands(&waiting.run.plan), waiting.run.plan.environment.clone()), (before, environment));
    assert!(!waiting.run.plan.environment.contains_key("PGBACKREST_PROCESS_MAX"));

    // What is begun now is told of both: the mistake with its place, and the shell's words in the plan.
    lifeboat(&lab, &["plan", "restore-drill"]).refused(2, &["restore-drill.toml:1:6"]);
    fs::remove_file(&file).unwrap();
    let plan = stale(&["plan", "restore-drill"]);
    assert_eq!(plan.exit, 0, "{}", plan.errors);
    let said: Vec<&str> = plan.said.lines().map(str::trim).collect();
    let from =
        said.iter().position(|line| *line == "Environment of every command").unwrap_or_else(|| panic!("{said:#?}"));
    let shown = &said[from..(from + 12).min(said.len())];
    assert!(shown.iter().any(|line| line.starts_with("PGBACKREST_PROCESS_MAX") && line.ends_with('7')), "{shown:#?}");
}
