//! How far replay is, told by the server's log alone: of a server that stands still and answers nobody.

use crate::kills_support::{self as kills, BOTH, Drill, Frozen};
use crate::lab;
use serde_json::Value;
use std::fs;

#[test]
fn status_tells_of_replay_without_asking_the_server() {
    let lab = lab::running();
    for _ in 0..12 {
        lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
        lab.wait_archived();
    }
    let run = kills::spawn_run(&lab, &BOTH);
    let mut drill = Drill::begun(&lab, &[]);
    let server = drill.started("server", 1).process.pid;
    let log = drill.step_folder("server", 1).join("output");
    let fetched = |text: &str| text.matches("LOG:  restored log file \"00000001").count();
    let said = loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if fetched(&text) > 2 {
            break text;
        }
        assert!(kills::is_alive(server), "it was over before it was looked at: {text}");
    };
    let frozen = Frozen::tree(server);
    assert!(!said.contains("redo done at"), "it was over before it was looked at: {said}");
    let output = lab.run_lifeboat(&["status", "--json", drill.folder.id.as_str()]);
    lab::assert_done(&output, "lifeboat status");
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let progress = &status["runs"][0]["step"]["progress"];
    assert_eq!(progress["kind"], "replay", "{status}");
    assert!(progress["segments"].as_u64().unwrap() > 2 && progress["segments_left"].as_u64().unwrap() > 0, "{status}");
    assert!(progress["bytes_per_second"].as_f64().unwrap() > 0.0, "{status}");
    let line = status["runs"][0]["line"].as_str().unwrap();
    assert!(line.contains("segments"), "{line}");
    frozen.thaw();
    assert_eq!(kills::exit_of(run), Some(0), "{}", kills::said(&lab, "run.txt"));
    drill.until("the end", kills::is_end);
}
