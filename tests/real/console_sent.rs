//! What reaches a person's terminal, and a recording of it: names, notes, database names, outputs from outside show as
//! marks, whatever they try; secrets do not show at all.

use crate::console::{self, PAUSE, approve};
use crate::lab::{self, Lab};
use crate::sent::own_sequences_only;
use crate::terminal::{Terminal, answers, journal};
use crate::tricks::TRICKS;
use lifeboat::planning::runbook::SHIPPED;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A text as PostgreSQL takes it in any encoding: each letter by its number.
fn unicode(text: &str) -> String {
    text.chars().map(|letter| format!("\\{:04X}", u32::from(letter))).collect()
}

/// A practice cluster whose probe answers with every trick and with a secret, with a backup whose note and databases
/// have hostile names, and with a runbook of a hostile name.
fn hostile() -> (Lab, String) {
    let lab = lab::running();
    let config = fs::read_to_string(lab.layout.pgbackrest_config()).unwrap();
    let secret = config.lines().find_map(|line| line.strip_prefix("repo2-cipher-pass=")).unwrap().to_owned();
    let tricks: Vec<String> = TRICKS.iter().map(|trick| format!("(U&'{}')", unicode(trick))).collect();
    lab.sql(&format!("CREATE TABLE tricks AS SELECT * FROM (VALUES {}, ('{secret}')) AS t(trick)", tricks.join(", ")));
    lab.sql(&format!("CREATE DATABASE U&\"{}\"", unicode("shop\u{1b}[2J\u{202e}x")));
    let note = format!("--annotation=note={}", TRICKS[..4].concat());
    lab.pgbackrest(&["--type=incr", "--repo=1", &note, "backup"]);
    let settings = fs::read_to_string(lab.layout.settings()).unwrap();
    let is_probe = |line: &&str| line.starts_with("probe_sql");
    let kept: Vec<&str> = settings.lines().filter(|line| !is_probe(line)).collect();
    fs::write(lab.layout.settings(), format!("{}\nprobe_sql = \"SELECT trick FROM tricks\"\n", kept.join("\n")))
        .unwrap();
    let runbooks = lab.layout.directory.join("runbooks");
    fs::create_dir_all(&runbooks).unwrap();
    fs::set_permissions(&runbooks, fs::Permissions::from_mode(0o755)).unwrap();
    let (_, drill) = SHIPPED.iter().find(|(name, _)| *name == "restore-drill").unwrap();
    let title = drill.lines().find(|line| line.starts_with("title = ")).unwrap();
    let hostile = r#"title = "Own \u001b[2J\u202ex\u009b31m""#;
    let own = drill.replace("name = \"restore-drill\"", "name = \"own\"").replace(title, hostile);
    fs::write(runbooks.join("own.toml"), own).unwrap();
    (lab, secret)
}

/// What was recorded: what was sent, and sizes.
fn recorded(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "a line is there as a whole");
    let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!((&header["version"], &header["width"], &header["height"]), (&2.into(), &80.into(), &24.into()));
    lines.map(|line| (line[1].as_str().unwrap().to_owned(), line[2].as_str().unwrap().to_owned())).collect()
}

fn output(events: &[(String, String)]) -> String {
    events.iter().filter(|(kind, _)| kind == "o").map(|(_, data)| data.as_str()).collect()
}

/// What was sent, without what whoever plays it back should not get: clipboard and notifications.
fn without_clipboard(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\u{1b}]52;").into_iter().chain(rest.find("\u{1b}]9;")).min() {
        out.push_str(&rest[..at]);
        rest = rest[at..].split_once('\u{7}').unwrap().1;
    }
    out + rest
}

#[test]
fn whatever_comes_from_outside_shows_as_marks_and_a_recording_holds_the_same() {
    let (lab, secret) = hostile();
    let cast = lab.layout.directory.join("session.cast");
    let mut terminal = Terminal::start(&lab, &["--record", cast.to_str().unwrap()]);
    terminal.wait_for("Backup sets");
    terminal.wait_for("note: ␛[2J␛[H␛]0;owned␇");
    terminal.send("i");
    terminal.resize(120, 40);
    terminal.wait_for("shop␛[2J<U+202E>x");
    terminal.send("3");
    terminal.wait_for("Own ␛[2J<U+202E>x<U+009B>31m");
    terminal.send("1d");
    terminal.wait_for("b begins the run");
    terminal.send("b");
    terminal.wait_for("GATE: Begin the drill");
    approve(&mut terminal);
    lab::wait_until("the answer counts", || answers(&lab) == 1);
    terminal.wait_for("GATE: Remove the drill's directory");
    // Up to the step whose output it is.
    let mut steps = 0;
    let is_there = |screen: &str| {
        screen.lines().any(|line| line.contains("Ask the query of your own ─") && line.contains("· done"))
    };
    while !is_there(&terminal.screen()) {
        let cursor = |terminal: &Terminal| terminal.screen().lines().find(|line| line.contains('▌')).map(str::to_owned);
        let before = cursor(&terminal);
        terminal.send("k");
        lab::wait_until("the cursor moves", || cursor(&terminal) != before);
        // What is known of the step comes with it.
        std::thread::sleep(std::time::Duration::from_millis(100));
        steps += 1;
        assert!(steps < 20, "{}", terminal.screen());
    }
    terminal.send("<");
    for shown in ["␛[2J␛[H", "␛]52;c;cm0gLXJm␇", "<U+009B>31mred", "safe␍rm -rf /", "␈␈␈gone", "<U+202E>gnp.exe"]
    {
        terminal.wait_for(shown);
    }
    terminal.send("y");
    terminal.wait_for("status copied");
    terminal.send("f");
    approve(&mut terminal);
    terminal.wait_for("DONE after");
    terminal.send("t");
    terminal.wait_for("Transcript of run");
    terminal.resize(50, 10);
    terminal.wait_for("Lifeboat needs 60 columns");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);

    let bytes = terminal.bytes();
    let letters = own_sequences_only(&bytes);
    // Its beginning: the rest may stand on the next line.
    assert!(!letters.contains(&secret[..12]), "a secret reached the terminal");
    assert!(!journal(&lab).contains(&secret), "a secret is in the journal");
    let events = recorded(&cast);
    let told = output(&events);
    assert!(!told.contains(&secret[..12]), "a secret is in the recording");
    assert_eq!(told, without_clipboard(&bytes));
    assert!(bytes.windows(5).any(|window| window == b"\x1b]52;") && !told.contains("\u{1b}]52;"));
    // Whoever looks elsewhere was told: by the title, a notification, and the bell.
    let sent = String::from_utf8_lossy(&bytes).into_owned();
    for told in ["]2;lifeboat: run ", " waits at gate: Begin the drill\u{7}\u{7}", " done\u{7}\u{7}"] {
        assert!(sent.contains(told), "{told:?}");
    }
    let sizes: Vec<&str> = events.iter().filter(|(kind, _)| kind == "r").map(|(_, size)| size.as_str()).collect();
    assert_eq!(sizes, ["120x40", "50x10"]);
    assert_eq!(fs::metadata(&cast).unwrap().permissions().mode() & 0o777, 0o600);

    // Nothing is written over.
    let mut again = Terminal::start(&lab, &["--record", cast.to_str().unwrap()]);
    again.wait_for("is there already");
    assert_eq!(again.wait_end(), 2);
    assert!(
        again.screen().contains("is there already") && !again.screen().contains("Backup sets"),
        "{}",
        again.screen()
    );
    assert_eq!(recorded(&cast), events);
}

#[test]
fn a_recording_ends_where_the_session_does() {
    let lab = lab::copy();
    let folder = &lab.layout.directory;
    for signal in [Signal::TERM, Signal::KILL] {
        let cast = folder.join(format!("{signal:?}.cast"));
        let mut terminal = Terminal::start(&lab, &["--record", cast.to_str().unwrap()]);
        terminal.wait_for("Backup sets");
        terminal.wait_for("no drill");
        std::thread::sleep(PAUSE);
        terminal.signal(signal);
        terminal.wait_end();
        let told = output(&recorded(&cast));
        assert_eq!(told, without_clipboard(&terminal.bytes()), "{signal:?}");
        if signal == Signal::TERM {
            assert!(told.contains("\u{1b}[?1049l") && told.contains("it goes on, or waits at its gate"), "{told}");
            console::assert_left(&terminal);
        }
    }
}

/// pgbackrest, but for what `info` tells: that is `told`. pgBackRest itself makes no such names; who can write into a
/// repository can.
fn telling(lab: &Lab, told: &str) {
    let at = |name: &str| lab.home().join(name);
    let settings = fs::read_to_string(lab.layout.settings()).unwrap();
    let line = settings.lines().find(|line| line.starts_with("binary = ")).unwrap();
    let real = line.split('"').nth(1).unwrap();
    let (program, answer) = (at("telling"), at("told.json"));
    fs::write(&answer, told).unwrap();
    let script = format!(
        "#!/bin/sh\nfor word; do\n    if [ \"$word\" = info ]; then exec cat '{}'; fi\ndone\nexec '{real}' \"$@\"\n",
        answer.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&answer, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(lab.layout.settings(), settings.replace(line, &format!("binary = \"{}\"", program.display()))).unwrap();
}

#[test]
fn labels_and_names_that_pgbackrest_would_never_make_show_as_marks_as_well() {
    let lab = lab::copy();
    let mut told: serde_json::Value =
        serde_json::from_str(&lab.pgbackrest(&["info", "--output=json"])).expect("info tells JSON");
    let all = TRICKS.concat();
    let stanza = &mut told[0];
    let mut spoilt = stanza["backup"][0].clone();
    spoilt["label"] = format!("20261122-064008F{all}").into();
    spoilt["annotation"] = serde_json::json!({ all.clone(): all.clone() });
    stanza["backup"].as_array_mut().unwrap().push(spoilt);
    let mut other = stanza.clone();
    other["name"] = format!("aa{all}").into();
    other["cipher"] = all.clone().into();
    other["status"]["message"] = all.clone().into();
    other["repo"][0]["status"] = serde_json::json!({ "code": 99, "message": all });
    told.as_array_mut().unwrap().insert(0, other);
    // A line before the document, as newer ones print warnings.
    telling(&lab, &format!("P00   WARN: {}\n{told}", TRICKS[..8].concat().replace('\n', " ")));

    let mut terminal = Terminal::start(&lab, &[]);
    terminal.wait_for("Backup sets");
    terminal.wait_for("no drill");
    terminal.send("s");
    // Both stanzas to choose from, each trick as a mark.
    terminal.wait_for("aa␛[2J␛[H␛]0;owned␇");
    terminal.send("\u{1b}");
    terminal.resize(200, 60);
    for keys in ["G", "j", "k", "2", "4", "?", "\u{1b}"] {
        terminal.send(keys);
        std::thread::sleep(PAUSE);
    }
    // The first row is a repository: what of it can't be read is told beside it.
    terminal.send("1\u{1b}[H");
    terminal.wait_for("unreadable");
    terminal.wait_for("20261122-064008F␛[2J␛[H␛]0;owned␇");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);
    own_sequences_only(&terminal.bytes());
}
