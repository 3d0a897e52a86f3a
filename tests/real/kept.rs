//! The console while pgbackrest does not answer, and when it fails: the last known sets, keys and pages wait for nothing.

use crate::lab::{self, Lab};
use crate::terminal::Terminal;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The real pgbackrest behind a door: while it is shut, whoever asks waits; while it is broken, whoever asks is refused.
struct Door {
    held: PathBuf,
    broken: PathBuf,
}

impl Door {
    fn build(lab: &Lab) -> Door {
        let at = |name: &str| lab.home().join(name);
        let door = Door { held: at("held"), broken: at("broken") };
        let settings = lab.layout.settings();
        let text = fs::read_to_string(&settings).unwrap();
        let line = text.lines().find(|line| line.starts_with("binary = ")).unwrap();
        let real = line.split('"').nth(1).unwrap();
        let (held, broken) = (door.held.display(), door.broken.display());
        let program = format!(
            "#!/bin/sh\nif [ -e '{held}' ]; then read -r nothing <'{held}'; fi\nif [ -e '{broken}' ]; then\n    \
             echo 'ERROR: [103]: the repository is away' >&2\n    exit 103\nfi\nexec '{real}' \"$@\"\n"
        );
        fs::write(at("door"), program).unwrap();
        fs::set_permissions(at("door"), fs::Permissions::from_mode(0o755)).unwrap();
        // Written in place: the file keeps its owner and mode.
        fs::write(&settings, text.replace(line, &format!("binary = \"{}\"", at("door").display()))).unwrap();
        door
    }

    fn shut(&self) {
        assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&self.held).status().unwrap().success());
    }

    /// Returns when somebody stood before it.
    fn open(&self) {
        let all = File::options().write(true).open(&self.held).unwrap();
        fs::remove_file(&self.held).unwrap();
        drop(all);
    }
}

fn leave(mut terminal: Terminal) {
    terminal.send("q");
    terminal.wait_end();
    terminal.assert_restored();
}

fn index(lab: &Lab) -> PathBuf {
    lab.layout.directory.join("state/inventory/index")
}

/// The passphrase of the encrypted repository.
fn passphrase(config: &Path) -> String {
    let text = fs::read_to_string(config).unwrap();
    text.lines().find_map(|line| line.strip_prefix("repo2-cipher-pass=")).unwrap().to_owned()
}

#[test]
fn the_last_known_sets_stand_there_while_pgbackrest_does_not_answer() {
    let lab = lab::copy();
    let door = Door::build(&lab);
    // Nothing is kept yet, and pgbackrest stands before the door: a screen and its pages all the same.
    door.shut();
    let mut terminal = Terminal::start(&lab, &[]);
    terminal.wait_for("Asking pgbackrest which backup sets there are");
    terminal.send("?");
    terminal.wait_for("every action by its name");
    terminal.send("1");
    terminal.wait_for("Asking pgbackrest which backup sets there are");
    door.open();
    terminal.wait_for("no drill");
    assert!(!terminal.screen().contains("last known"), "{}", terminal.screen());
    leave(terminal);

    let found = fs::metadata(index(&lab)).unwrap();
    assert_eq!(found.mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(index(&lab).parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(index(&lab).parent().unwrap()).unwrap().count(), 1, "only the index stays");
    let secret = passphrase(&lab.layout.directory.join("pgbackrest.conf"));
    let bytes = fs::read(index(&lab)).unwrap();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));

    door.shut();
    let mut terminal = Terminal::start(&lab, &[]);
    terminal.wait_for("last known, read ");
    terminal.wait_for("asking pgbackrest");
    terminal.wait_for("repo1 ");
    terminal.send("j");
    terminal.send("2");
    terminal.wait_for("Sets by the moment they end");
    terminal.send("1");
    terminal.wait_for("last known, read ");
    door.open();
    lab::wait_until("the answer takes its place", || !terminal.screen().contains("last known"));
    leave(terminal);

    // Where it fails, they stay, and why is said.
    File::create(&door.broken).unwrap();
    let terminal = Terminal::start(&lab, &[]);
    terminal.wait_for("the last look failed");
    terminal.wait_for("! the last look failed: ");
    assert!(terminal.screen().contains("last known, read "), "{}", terminal.screen());
    leave(terminal);
    fs::remove_file(&door.broken).unwrap();

    // What is damaged is no inventory: it is asked for as if there were none.
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(index(&lab), damaged).unwrap();
    door.shut();
    let terminal = Terminal::start(&lab, &[]);
    terminal.wait_for("Asking pgbackrest which backup sets there are");
    door.open();
    terminal.wait_for("no drill");
    leave(terminal);
    assert!(fs::read(index(&lab)).unwrap().len() > 100);
}
