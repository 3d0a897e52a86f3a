//! What the program says on the command line where no server is needed: help, usage errors, wrong settings, names
//! that do not exist, completions and manual pages.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::CommandFactory;
use lifeboat::cli::Cli;
use lifeboat::engine::identity::{self, PATH_OPTIONS};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A host of its own: settings, state and pgBackRest's configuration in a fresh folder.
struct Host(TempDir);

impl Host {
    /// Everything in it belongs to whom Lifeboat becomes: `postgres` when the tests run as root, else whoever runs them.
    fn new() -> Host {
        let host = Host(tempfile::Builder::new().prefix("lifeboat-cli-").tempdir_in("/tmp").unwrap());
        let owner = owner();
        let settings = format!(
            "[pgbackrest]\nconfig = \"{home}/pgbackrest.conf\"\n\n[postgres]\nowner = \"{owner}\"\n\n[state]\ndirectory = \"{home}/state\"\nruntime_directory = \"{home}/runtime\"\n",
            home = host.path().display(),
            owner = owner.name,
        );
        fs::write(host.settings(), settings).unwrap();
        let home = host.path().display();
        let configuration = format!(
            "[global]\nrepo1-path={home}/repo\nlog-path={home}/log\nlock-path={home}/lock\nspool-path={home}/spool\nlog-level-file=off\n\n[main]\npg1-path={home}/data\n"
        );
        fs::write(host.path().join("pgbackrest.conf"), configuration).unwrap();
        for directory in ["repo", "log", "lock", "spool", "runtime"] {
            fs::create_dir(host.path().join(directory)).unwrap();
        }
        let places = ["", "repo", "log", "lock", "spool", "runtime", "lifeboat.toml", "pgbackrest.conf"];
        if rustix::process::geteuid().is_root() {
            for place in places {
                std::os::unix::fs::chown(host.path().join(place), Some(owner.uid), Some(owner.gid)).unwrap();
            }
        }
        fs::set_permissions(host.path().join("runtime"), fs::Permissions::from_mode(0o700)).unwrap();
        host
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn settings(&self) -> PathBuf {
        self.path().join("lifeboat.toml")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        lifeboat().arg("--settings").arg(self.settings()).args(arguments).current_dir(self.path()).output().unwrap()
    }

    /// Fails as wrong usage or configuration, and says each of `words`.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        refused(&self.run(arguments), &format!("{arguments:?}"), words);
    }
}

fn owner() -> identity::Account {
    if rustix::process::geteuid().is_root() {
        identity::account_by_name("postgres").expect("there is no account postgres")
    } else {
        identity::account_of_process().unwrap()
    }
}

/// The program with nothing in its environment that could lead it to a host's own files.
fn lifeboat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

fn said(arguments: &[impl AsRef<OsStr>]) -> String {
    let output = lifeboat().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(output: &Output, what: &str, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{what}: {said}");
    for word in words {
        assert!(said.contains(word), "{what}: '{word}' is missing: {said}");
    }
}

/// The subcommands that people see.
fn subcommands() -> Vec<String> {
    let visible = |command: &&clap::Command| !command.is_hide_set();
    Cli::command().get_subcommands().filter(visible).map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn every_subcommand_has_a_help_and_goes_by_the_name_lifeboat() {
    assert!(said(&["--help"]).contains("Usage: lifeboat [OPTIONS] [COMMAND]"));
    for name in subcommands() {
        // As the owner of the data the program is started by a descriptor: that is no name for a person.
        let mut command = lifeboat();
        let output = command.arg0("/proc/self/fd/9").args([&name, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains(&format!("Usage: lifeboat {name}")), "{help}");
        assert!(!help.contains("/proc"), "{help}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (arguments, word) in [
        (vec!["frobnicate"], "unrecognized subcommand"),
        (vec!["run"], "<RUNBOOK>"),
        (vec!["attach"], "<RUN>"),
        (vec!["resolve", "7Q2K", "restore", "maybe"], "done"),
        (vec!["drill", "--report"], "--report <FILE>"),
        (vec!["plan", "restore-drill", "--json", "--shell"], "cannot be used with"),
        (vec!["completions", "teletype"], "bash"),
        (vec!["transcript", "7Q2K", "--format", "papyrus"], "markdown"),
    ] {
        refused(&lifeboat().args(&arguments).output().unwrap(), &format!("{arguments:?}"), &[word]);
    }
}

#[test]
fn parameters_and_answers_are_pairs() {
    let host = Host::new();
    host.refuses(&["plan", "restore-drill", "-p", "depth"], &["-p depth: write it as NAME=VALUE"]);
    host.refuses(&["drill", "-p", "depth=rows", "-p", "depth=start"], &["-p depth=start: given twice"]);
    host.refuses(&["run", "no-such-book"], &["there is no runbook 'no-such-book'", "restore-drill"]);
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for name in subcommands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
        assert!(!script.contains("remove-marked"), "{shell}: what Lifeboat calls itself is not for people");
    }
    let script = said(&["completions", "bash"]);
    let question = format!(
        "{script}\nCOMP_WORDS=(lifeboat dri); COMP_CWORD=1; _lifeboat lifeboat dri lifeboat; echo \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["--norc", "-c", &question]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "drill", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn manual_pages_tell_of_every_subcommand() {
    let main = said(&["man"]).replace("\\-", "-");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    said(&[OsStr::new("man"), OsStr::new("--directory"), pages.as_os_str()]);
    assert_eq!(fs::read_to_string(pages.join("lifeboat.1")).unwrap(), said(&["man"]));
    for name in subcommands() {
        assert!(main.contains(&format!("lifeboat-{name}(1)")), "{name}");
        let page = fs::read_to_string(pages.join(format!("lifeboat-{name}.1"))).unwrap();
        assert!(page.starts_with(".ie"), "{page}");
        assert!(page.contains("SYNOPSIS"), "{page}");
    }
    assert!(!pages.join("lifeboat-internal.1").exists());
    assert!(!main.contains("internal"));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = lifeboat().arg("man").arg("--directory").arg(&file).output().unwrap();
    refused(&output, "a file for a directory", &["can't be written"]);
}

#[test]
fn every_option_that_takes_a_path_survives_becoming_the_owner() {
    fn collect(command: &clap::Command, found: &mut Vec<String>) {
        let path = std::any::TypeId::of::<PathBuf>();
        for argument in command.get_arguments().filter(|argument| argument.get_value_parser().type_id() == path) {
            let long = argument.get_long().map(|long| format!("--{long}"));
            found.push(long.unwrap_or_else(|| format!("{} of {}", argument.get_id(), command.get_name())));
        }
        command.get_subcommands().for_each(|command| collect(command, found));
    }
    let mut found = Vec::new();
    let command = Cli::command();
    collect(&command, &mut found);
    // These never become somebody else.
    let stay = ["runbook", "man", "completions", "internal"];
    let mut exempt = Vec::new();
    command.get_subcommands().filter(|one| stay.contains(&one.get_name())).for_each(|one| collect(one, &mut exempt));
    let expected = PATH_OPTIONS.map(str::to_owned);
    for option in &found {
        assert!(expected.contains(option) || exempt.contains(option), "{option} is not in PATH_OPTIONS");
    }
    for option in expected {
        assert!(found.contains(&option), "{option} is in PATH_OPTIONS and does not exist");
    }
}

#[test]
fn a_typo_in_the_settings_is_named_with_its_place() {
    let host = Host::new();
    fs::write(host.settings(), "[drill]\ndatabase = \"shop\"\n  directry = \"/srv/drill\"\n").unwrap();
    for arguments in [vec!["inventory"], vec!["drill"], vec!["runbook", "list"], vec!["status"]] {
        host.refuses(&arguments, &["lifeboat.toml", "3:3", "directry", "directory"]);
    }
    let output = host.run(&["--settings", "/nonexistent/lifeboat.toml", "runs"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!host.path().join("state").exists(), "nothing was begun");
}

#[test]
fn looking_at_runs_makes_no_state_directory() {
    let host = Host::new();
    for (arguments, words) in [(vec!["runs"], "No run on this host yet."), (vec!["status"], "No run on this host yet.")]
    {
        let output = host.run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains(words));
    }
    let output = host.run(&["status", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value, serde_json::json!({ "schema": 1, "runs": [] }));
    for subcommand in ["status", "attach", "abort", "cleanup", "transcript"] {
        host.refuses(&[subcommand, "7Q2K"], &["there is no state directory yet"]);
    }
    assert!(!host.path().join("state").exists());
}

#[test]
fn a_run_that_does_not_exist_is_told() {
    let host = Host::new();
    let state = host.path().join("state");
    fs::create_dir_all(state.join("runs")).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        for directory in [state.clone(), state.join("runs")] {
            std::os::unix::fs::chown(directory, Some(owner().uid), Some(owner().gid)).unwrap();
        }
    }
    for subcommand in ["status", "attach", "abort", "cleanup", "transcript"] {
        host.refuses(&[subcommand, "7Q2K"], &["7Q2K"]);
        host.refuses(&[subcommand, "nonsense!"], &["is not the name of a run", "lifeboat runs"]);
    }
    host.refuses(&["approve", "7Q2K", "start", "main"], &["7Q2K"]);
    host.refuses(&["resolve", "7Q2K", "restore"], &["7Q2K"]);
}

#[test]
fn an_unknown_stanza_and_an_empty_repository_are_told() {
    let host = Host::new();
    host.refuses(&["inventory"], &["repo"]);
    host.refuses(&["drill", "--stanza", "nope"], &["repo"]);
    fs::remove_dir(host.path().join("repo")).unwrap();
    host.refuses(&["inventory"], &["repo1", "does not exist", "mounted"]);
    fs::remove_file(host.path().join("pgbackrest.conf")).unwrap();
    host.refuses(&["inventory"], &["pgbackrest.conf"]);
    host.refuses(&["--pgbackrest", "/nonexistent/pgbackrest", "inventory"], &["/nonexistent/pgbackrest"]);
    assert!(!host.path().join("state").exists(), "nothing was begun");
}

#[test]
fn a_report_that_can_not_be_written_is_told_before_anything_begins() {
    let host = Host::new();
    host.refuses(&["drill", "--report", "/nonexistent/report.md"], &["/nonexistent/report.md", &owner().name]);
    host.refuses(&["drill", "--metrics", "repo"], &["repo is not a file"]);
    assert!(!host.path().join("state").exists());
}

#[test]
fn a_runbook_is_checked_where_the_person_stands() {
    let host = Host::new();
    fs::write(host.path().join("mine.toml"), "[runbook]\nname = \"mine\"\nversion = 1\ntitel = \"x\"\n").unwrap();
    let output = host.run(&["runbook", "check", "mine.toml"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("mine.toml:4:1") && said.contains("titel"), "{said}");
}
