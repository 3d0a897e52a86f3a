//! The screen for a wall (`lifeboat status --watch`).

use crate::support::{AT_GATE, RESTORING, now, run};
use lifeboat::report::status::{Status, wall};
use lifeboat::report::width::Width;
use unicode_width::UnicodeWidthStr as _;

#[test]
fn each_run_has_its_line_and_a_mark_for_each_step() {
    let runs = [run(AT_GATE), run(RESTORING), run(usize::MAX)];
    let status = |run| Status { run, progress: None, is_runner_alive: true, now: now(), program: "lifeboat" };
    let statuses: Vec<Status<'_>> = runs.iter().map(status).collect();
    for columns in [60, 80, 200] {
        let lines = wall("db1", now(), &statuses, Width::of_terminal(columns));
        assert!(lines.iter().all(|line| line.width() < columns), "{lines:#?}");
        let all = lines.join("\n");
        assert!(all.contains("lifeboat · db1 · 2026-11-22 09:40Z"), "{all}");
        for marks in ["✔■·········", "✔✔▸········", "✔✔✔"] {
            assert!(lines.iter().any(|line| line.starts_with(marks)), "{marks}: {all}");
        }
        let words = all.replace('\n', " ");
        assert!(words.contains("waits at gate 'confirm'") && words.contains("aborted"), "{all}");
    }
    let none = wall("a\u{1b}[2Jb", now(), &[], Width::USUAL).join("\n");
    assert!(none.contains("No run on this host yet.") && !none.contains('\u{1b}'), "{none}");
}
