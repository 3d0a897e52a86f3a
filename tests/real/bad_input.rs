//! What bad input gets: a message that says what is wrong, where, and what to do; nothing changed; the right exit status.

use crate::lab::{self, Lab};
use crate::told::{self, APPROVED, Mounted, drill, drill_with, edit, lifeboat, lifeboat_with, make_directory, tree};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The labels of a repository's sets, the oldest first.
fn sets(lab: &Lab, repository: u32) -> Vec<String> {
    let info = lab.pgbackrest(&[&format!("--repo={repository}"), "info", "--output=json"]);
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    info[0]["backup"].as_array().unwrap().iter().map(|set| set["label"].as_str().unwrap().to_owned()).collect()
}

/// The archived segments of a repository, the oldest first.
fn segments(repository: &Path) -> Vec<PathBuf> {
    let archive = repository.join("archive/main");
    let is_segment = |name: &str| name.rsplit('/').next().unwrap().split('-').next().unwrap().len() == 24;
    let files = tree(&archive).into_iter().filter(|name| !name.ends_with('/') && is_segment(name));
    files.map(|name| archive.join(name)).collect()
}

fn name_of(segment: &Path) -> String {
    segment.file_name().unwrap().to_str().unwrap()[..24].to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The lab's settings with one line replaced, in a file of their own.
fn other_settings(lab: &Lab, name: &str, from: &str, to: &str) -> PathBuf {
    let file = lab.home().join(name);
    fs::copy(lab.layout.settings(), &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    edit(&file, from, to);
    file
}

/// Writes the shipped drill, changed, into the folder of overriding runbooks.
fn override_drill(lab: &Lab, from: &str, to: &str) {
    let folder = lab.layout.directory.join("runbooks");
    make_directory(&folder);
    let shipped = include_str!("../../runbooks/restore-drill.toml");
    assert!(shipped.contains(from), "{from}");
    fs::write(folder.join("restore-drill.toml"), shipped.replace(from, to)).unwrap();
}

#[test]
fn wishes_that_cannot_come_true_are_refused_before_anything_is_made() {
    let lab = lab::copy();
    let (first, second) = (sets(&lab, 1), sets(&lab, 2));
    let newest = first.last().unwrap().as_str();
    let by_set = format!("set={newest}");
    let before = tree(&lab.layout.directory);
    for (parameters, words) in [
        (vec!["target=2130-01-01 00:00:00Z"], vec!["is in the future (now ", "check the offset, or recover to latest"]),
        (vec!["target=2026-01-01 00:00:00"], vec!["has no offset. Write which one is meant: 2026-01-01 00:00:00+00"]),
        (
            vec!["target=2020-01-01 00:00:00Z"],
            vec!["no backup set can be recovered to time 2020-01-01", newest, "in repo2", "the nearest that works: "],
        ),
        (vec!["target=2026-01-01 00:00:00 CEST"], vec!["'CEST'", "is not an offset; write +HH"]),
        // Where nobody sees at once what was understood, the offset is said.
        (vec!["target=02:13"], vec!["'02:13' has no offset. Write which one is meant: ", "+00 (UTC)"]),
        (vec!["target=today 00:00 CEST"], vec!["'CEST'", "is not an offset; write +HH"]),
        (vec!["target=ten minutes ago"], vec!["it is written as '10 minutes ago'"]),
        (
            vec!["target=yesterday"],
            vec!["'yesterday' is not a recovery target; write latest, immediate, a time with its offset"],
        ),
        (
            vec!["target=0/1"],
            vec!["no backup set can be recovered to lsn 0/1", "behind the target", "the nearest that works"],
        ),
        (
            vec!["target=xid:7"],
            vec![
                "pgBackRest would blindly take the newest (looked for in the WAL",
                "name a set that ended before it",
                newest,
            ],
        ),
        (vec!["target=name:nosuch"], vec!["nothing in the inventory says which set comes before name nosuch"]),
        (vec!["target=latest", "exclusive=true"], vec!["exclusive does not go with latest"]),
        (vec!["set=20200101-000000F"], vec!["there is no set 20200101-000000F in repo1, repo2; the newest is"]),
        (vec!["set=newest"], vec!["-p set=newest: 'newest' is not the label of a backup set: 20261122-064008F"]),
        (vec!["repository=2", &by_set], vec!["there is no set", "in repo2; there is", "in repo1"]),
        (vec!["repository=3"], vec!["stanza main has no repo3; configured: repo1, repo2"]),
        (vec!["repository=one"], vec!["-p repository=one: a whole number is expected"]),
        (vec!["stanza=mian"], vec!["there is no stanza 'mian' in any repository: these exist: main"]),
        (vec!["timeline=7"], vec!["without 00000007.history nobody can tell"]),
        (vec!["detph=rows"], vec!["the runbook has no parameter 'detph'; it has: database, depth"]),
        (vec!["depth=deep"], vec!["parameter 'depth' can't be 'deep': one of these is expected: start, catalog"]),
        (vec!["depth=rows", "depth=start"], vec!["-p depth=start: given twice"]),
        (vec!["depth"], vec!["-p depth: write it as NAME=VALUE"]),
        (vec!["keep=maybe"], vec!["parameter 'keep' can't be 'maybe'"]),
        (vec!["directory=drill"], vec!["an absolute path is expected"]),
        (vec!["directory=/"], vec!["the root directory is not a place to work in"]),
        (vec!["directory=/srv/../etc"], vec!["a path with '..' in it can lead elsewhere"]),
        (vec!["database=host=elsewhere dbname=shop"], vec!["would be read as connection settings: give a plain name"]),
        (vec!["probe=\\! id"], vec!["begins with a backslash is a command of psql"]),
    ] {
        let options: Vec<&str> = parameters.iter().flat_map(|parameter| ["-p", parameter]).collect();
        lifeboat(&lab, &[&["run", "restore-drill"][..], &APPROVED, &options].concat()).refused(2, &words);
    }
    assert_ne!(first, second);
    // A moment seen from now stands in the plan as what it means.
    let told = lifeboat(&lab, &["plan", "restore-drill", "--json", "-p", "target=1 second ago"]);
    let plan: serde_json::Value = serde_json::from_str(&told.said).unwrap();
    let target = plan["parameters"]["target"].as_str().unwrap();
    assert!(target.starts_with("time:20") && target.ends_with("+00"), "{told:?}");
    lifeboat(&lab, &["run", "restore-dril"]).refused(2, &["restore-dril", "restore-drill"]);
    assert_eq!(before, tree(&lab.layout.directory), "something was made");
}

#[test]
fn mistakes_in_settings_and_runbooks_are_told_with_their_place() {
    let lab = lab::copy();
    let before = tree(&lab.layout.state());
    let typo = other_settings(&lab, "typo.toml", "[state]\ndirectory", "[state]\ndirectroy");
    lifeboat_with(&typo, &["run", "restore-drill"]).refused(2, &["typo.toml:12:1", "directroy", "'directory'"]);
    let missing = lab.home().join("nosuch.toml");
    lifeboat_with(&missing, &["run", "restore-drill"]).refused(2, &[text(&missing)]);
    let programs =
        other_settings(&lab, "programs.toml", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/nosuch/bin");
    lifeboat_with(&programs, &["run", "restore-drill"])
        .refused(2, &["/usr/lib/postgresql/nosuch/bin", "bin_directory"]);
    let program = other_settings(&lab, "program.toml", "/usr/bin/pgbackrest", "/usr/bin/pgbackrestt");
    lifeboat_with(&program, &["run", "restore-drill"]).refused(2, &["/usr/bin/pgbackrestt"]);
    let config = other_settings(&lab, "config.toml", "pgbackrest.conf", "nosuch.conf");
    lifeboat_with(&config, &["run", "restore-drill"]).refused(2, &["nosuch.conf"]);

    override_drill(&lab, "id = \"space\"\nkind = \"check\"", "id = \"space\"\nkind = \"chek\"");
    let line = 1 + include_str!("../../runbooks/restore-drill.toml")
        .lines()
        .position(|line| line == "id = \"space\"")
        .unwrap();
    let place = format!("restore-drill.toml:{}:9", line + 1);
    lifeboat(&lab, &["run", "restore-drill"]).refused(2, &[&place, "unknown kind 'chek': 'check' is probably meant"]);
    assert_eq!(before, tree(&lab.layout.state()), "something was made");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_refused() {
    let lab = lab::copy();
    let place = |name: &str| lab.home().join(name);
    let [closed, real, link] = ["closed", "real", "link"].map(place);
    make_directory(&closed);
    make_directory(&real);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    symlink(&real, &link).unwrap();
    let state = format!("directory = \"{}\"", lab.layout.state().display());
    let small = Mounted::memory(&place("small"), 50);
    let drills = tree(&lab.layout.drills());
    for (path, words) in [
        (closed.clone(), vec!["it is not writable", "[state] directory"]),
        (closed.join("below"), vec!["it can't be made", "[state] directory"]),
        (link, vec!["it is a symbolic link", "[state] directory"]),
        (PathBuf::from("/"), vec!["it belongs to root", "[state] directory"]),
        (place("small"), vec!["has 52.4 MB free, a run needs 1.0 GB", "Make room there"]),
    ] {
        let settings = other_settings(&lab, "state.toml", &state, &format!("directory = \"{}\"", path.display()));
        let told = lifeboat_with(&settings, &[&["run", "restore-drill"][..], &APPROVED].concat());
        told.refused(2, &[&[text(&path)][..], &words].concat());
    }
    assert_eq!(tree(&place("small").join("runs")), Vec::<String>::new(), "no run was begun");
    drop(small);
    // A socket nobody could reach the run through is found before there is a run.
    let long = format!("runtime_directory = \"{}\"", place(&"r".repeat(90)).display());
    let runtime = format!("runtime_directory = \"{}\"", lab.layout.runtime().display());
    let settings = other_settings(&lab, "long.toml", &runtime, &long);
    lifeboat_with(&settings, &["run", "restore-drill"]).refused(2, &["bytes and may have 107", "runtime_directory"]);
    assert_eq!(told::runs(&lab).len(), 0);
    assert_eq!(drills, tree(&lab.layout.drills()));
}

#[test]
fn a_directory_that_is_somebodys_fails_before_the_gate() {
    let lab = lab::copy();
    let place = |name: &str| lab.home().join(name);
    let [taken, link, mounted, few] = ["taken", "link", "mounted", "few"].map(place);
    make_directory(&taken);
    fs::write(taken.join("somebodys"), "work").unwrap();
    symlink(&taken, &link).unwrap();
    let (_mounted, _few) = (Mounted::memory(&mounted, 2000), Mounted::memory(&few, 60));
    let before = tree(lab.home());
    let long = place(&"l".repeat(80));
    for (directory, step, words) in [
        (taken, "directory-free", vec!["is not empty: it holds somebodys"]),
        (link.clone(), "directory-free", vec!["is a symbolic link"]),
        (link.join("below"), "directory-free", vec!["link is a symbolic link"]),
        (mounted, "directory-free", vec!["is a mount point"]),
        (lab.layout.production().join("drill"), "directory-free", vec!["lies in the data directory"]),
        (lab.layout.second_repository().join("drill"), "directory-free", vec!["lies in the repository"]),
        (lab.layout.spool().join("drill"), "directory-free", vec!["lies in pgBackRest's spool path"]),
        (
            PathBuf::from("/usr/drill"),
            "directory-free",
            vec!["can't be made: this user (uid ", "may not write to /usr"],
        ),
        (few.join("drill"), "space", vec!["free on the file system of", "needed: data", "reserve 1.0 GB"]),
        (long, "port", vec!["bytes, at most 107 are possible"]),
    ] {
        let parameter = format!("directory={}", directory.display());
        let drill = drill(&lab, &["-p", &parameter]);
        drill.failed_at(step, &words);
        // Nobody is asked anything: nothing was made, so there is nothing to remove.
        assert_eq!(drill.gates, Vec::<String>::new(), "{parameter}");
        for step in ["prepare", "restore", "remove"] {
            assert_eq!(drill.state(step).status.word(), "skipped", "{step}, {parameter}");
        }
        assert_eq!(drill.state("production").status.word(), "done");
    }
    let inside = |name: &String| name.starts_with("practice/state/");
    let unchanged = |names: Vec<String>| names.into_iter().filter(|name| !inside(name)).collect::<Vec<String>>();
    assert_eq!(unchanged(before), unchanged(tree(lab.home())));
}

#[test]
fn a_torn_journal_is_carried_on_and_an_altered_one_refused() {
    let lab = lab::copy();
    let mut drill = drill_with(&lab, &lab.layout.settings(), &[]);
    assert_eq!((drill.told.exit, drill.run.outcome_word()), (3, "waiting"));
    let id = drill.run.id.to_string();
    let journal = drill.folder.join("journal.jsonl");
    kill_runner(&lab, &drill);
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 40]).unwrap();
    let told = lifeboat(&lab, &["transcript", &id, "--verify"]);
    assert!(told.exit == 0 && told.said.contains("\ntorn: "), "{told:?}");
    // The gate's opening was cut off; it opens again, and nothing else happens twice.
    let told = lifeboat(&lab, &["attach", &id]);
    assert_eq!(told.exit, 3, "{told:?}");
    drill.reload();
    assert_eq!((drill.run.outcome_word(), drill.run.runners), ("waiting", 2));
    assert!(drill.run.each().all(|(_, state)| state.attempt <= 1));
    assert_eq!(lifeboat(&lab, &["abort", &id, "--reason", "enough"]).exit, 0);

    let whole = fs::read(&journal).unwrap();
    let third: usize = whole.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum();
    let mut altered = whole.clone();
    let at = third + 60;
    altered[at] = if altered[at] == b'1' { b'2' } else { b'1' };
    fs::write(&journal, &altered).unwrap();
    let told = lifeboat(&lab, &["transcript", &id, "--verify"]);
    assert!(told.exit == 1 && told.said.contains("line 3"), "{told:?}");
    let told = lifeboat(&lab, &["runs"]);
    let line = told.said.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(line.contains("damaged") && told.exit == 0, "{told:?}");
    assert!(told.said.contains("line 3"), "{told:?}");
    for command in [vec!["attach", &id], vec!["approve", &id, "start", "main"], vec!["transcript", &id]] {
        lifeboat(&lab, &command).refused(2, &[text(&journal), "line 3"]);
    }
    assert_eq!(fs::read(&journal).unwrap(), altered, "a damaged journal is left as it is");
}

/// Ends the runner of a run, which the test began, and waits until it is gone.
fn kill_runner(lab: &Lab, drill: &told::Drill) {
    let folder = drill.folder.to_str().unwrap().to_owned();
    let runner = || {
        lab::processes_naming(lab.home())
            .into_iter()
            .filter(|found| found.command.contains(&folder))
            .collect::<Vec<_>>()
    };
    for process in runner() {
        rustix::process::kill_process(process.pid, rustix::process::Signal::KILL).unwrap();
    }
    lab::wait_until("the runner is gone", || runner().is_empty());
}

#[test]
fn holes_in_the_archive_are_found_before_the_gate() {
    let lab = lab::running();
    lab.quiet();
    for _ in 0..3 {
        lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
        lab.wait_archived();
    }
    let newest = segments(&lab.layout.first_repository());
    let hole = newest[newest.len() - 2].clone();
    let name = name_of(&hole);
    let beside = lab.home().join("kept");
    // repo2 has it: archive-get asks every repository.
    fs::rename(&hole, &beside).unwrap();
    let whole = drill(&lab, &["-p", "depth=start"]);
    whole.done();
    assert_eq!(whole.run.result["archive-covers.newest-segment"], name_of(newest.last().unwrap()));

    let other = segments(&lab.layout.second_repository()).into_iter().find(|path| name_of(path) == name).unwrap();
    fs::remove_file(&other).unwrap();
    let gap = drill(&lab, &[]);
    gap.failed_at("archive-covers", &[&format!("WAL is missing: {name} to {name} (1 segments)")]);
    assert_eq!(gap.gates, Vec::<String>::new());
    // What lies before the hole can be reached.
    drill(&lab, &["-p", "target=immediate", "-p", "depth=start"]).done();
    let before = lab.sql(&format!("SELECT '0/0'::pg_lsn + (x'{}'::int8 * 16777216 - 4096)", &name[16..]));
    let target = format!("target={before}");
    drill(&lab, &["-p", &target, "-p", "depth=start"])
        .failed_at("server", &["recovery ended before configured recovery target was reached"]);
    fs::rename(&beside, &hole).unwrap();

    // Behind the end of the archive.
    drill(&lab, &["-p", "target=0/FF000000"]).failed_at(
        "archive-covers",
        &["the archive ends with", "the target lies in 0000000100000000000000FF or behind it"],
    );
    let set = format!("set={}", sets(&lab, 1).last().unwrap());
    let now = format!("target={}", lab.sql("SELECT now()"));
    for parameters in
        [vec!["-p", &now], vec!["-p", "target=xid:99999", "-p", &set], vec!["-p", "target=name:nosuch", "-p", &set]]
    {
        let drill = drill(&lab, &parameters);
        drill.failed_at(
            "server",
            &[
                "recovery ended before configured recovery target was reached",
                "last completed transaction: 20",
                "the target lies behind the last archived commit",
                "choose an earlier target",
            ],
        );
        assert!(drill.reason("target-reached").contains("recovery ended before"));
        assert!(!drill.directory().exists());
    }
}

#[test]
fn a_repository_that_cannot_be_read_is_named_and_its_passphrase_is_not() {
    let lab = lab::running();
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    lab.wait_archived();
    let config = lab.layout.pgbackrest_config();
    let whole = fs::read_to_string(&config).unwrap();
    let secret = whole.lines().find_map(|line| line.strip_prefix("repo2-cipher-pass=")).unwrap().to_owned();
    edit(&config, &secret, "wrongwrongwrong");
    let drill = drill(&lab, &[]);
    drill.done();
    let findings = &drill.state("archive-covers").result.as_ref().unwrap().findings;
    assert!(
        findings.iter().any(|finding| finding.what.contains("repo2 is not counted, it could not be read")),
        "{findings:?}"
    );
    let journal = fs::read_to_string(drill.folder.join("journal.jsonl")).unwrap();
    assert!(!journal.contains("wrongwrongwrong") && !drill.told.said.contains("wrongwrongwrong"));
    lifeboat(&lab, &["run", "restore-drill", "-p", "repository=2"]).refused(2, &["repo2"]);
    fs::write(&config, &whole).unwrap();
    // A repository that is not mounted looks as if there were nothing.
    let kept = lab.home().join("kept");
    fs::rename(lab.layout.first_repository(), &kept).unwrap();
    fs::rename(lab.layout.second_repository(), lab.home().join("kept2")).unwrap();
    lifeboat(&lab, &["run", "restore-drill"]).refused(
        2,
        &["repo1's directory", "repo2's directory", "does not exist: is its file system mounted?", "Mount it"],
    );
}

#[test]
fn a_set_with_page_checksum_errors_is_not_taken_and_refused_when_named() {
    let lab = lab::running();
    lab.sql("CREATE TABLE worn AS SELECT generate_series(1, 5000) AS n");
    lab.sql("CHECKPOINT");
    let file = lab.layout.production().join(lab.sql("SELECT pg_relation_filepath('worn')"));
    let mut pages = fs::read(&file).unwrap();
    pages[8192 + 4000..8192 + 4100].fill(0xA5);
    fs::write(&file, &pages).unwrap();
    lab.pgbackrest(&["--repo=1", "--type=full", "backup"]);
    let worn = sets(&lab, 1).last().unwrap().clone();
    let told = lifeboat(&lab, &["plan", "restore-drill", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&told.said).unwrap();
    assert_ne!(plan["facts"]["set"], worn.as_str(), "{told:?}");
    let drill = drill(&lab, &["-p", &format!("set={worn}")]);
    drill.failed_at("set-usable", &[&format!("set {worn} was made with page checksum errors")]);
    let remedy = &drill
        .state("set-usable")
        .result
        .as_ref()
        .unwrap()
        .findings
        .iter()
        .find(|finding| !finding.holds)
        .unwrap()
        .remedy;
    assert!(remedy.contains("Choose another set"), "{remedy}");
    assert_eq!(drill.gates, Vec::<String>::new());
}

#[test]
fn tablespaces_made_after_the_set_and_occupied_sockets_are_refused() {
    let lab = lab::running();
    let space = lab.home().join("later");
    make_directory(&space);
    lab.sql(&format!("CREATE TABLESPACE later LOCATION '{}'", space.display()));
    lab.sql("CREATE TABLE there TABLESPACE later AS SELECT generate_series(1, 100) AS n");
    lab.wait_archived();
    let before = tree(&space);
    let refused = drill(&lab, &[]);
    refused.failed_at("tablespaces", &[text(&space), "was made after set"]);
    assert_eq!(refused.gates, Vec::<String>::new());
    assert_eq!((before, lab.sql("SELECT count(*) FROM there")), (tree(&space), "100".to_owned()));
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
    // A runbook of the user's own that would take production's socket.
    override_drill(
        &lab,
        "with = { socket-directory = \"${socket-directory}\", port = \"${port}\" }",
        &format!(
            "with = {{ socket-directory = \"{}\", port = \"{}\" }}",
            lab.layout.sockets().display(),
            lab.marker.port
        ),
    );
    let taken = drill(&lab, &[]);
    taken.failed_at(
        "port",
        &[&format!(".s.PGSQL.{} is there: a server uses port {}", lab.marker.port, lab.marker.port)],
    );
    assert_eq!(taken.gates, Vec::<String>::new());
}

#[test]
fn a_restore_that_fails_half_way_gives_pgbackrests_reason_and_leaves_nothing() {
    let lab = lab::copy();
    let full = sets(&lab, 1)[0].clone();
    let files = lab.layout.first_repository().join("backup/main").join(&full).join("pg_data/base");
    let victim = tree(&files).into_iter().rfind(|name| name.ends_with(".gz")).unwrap();
    fs::remove_file(files.join(&victim)).unwrap();
    let drill = drill(&lab, &["-p", &format!("set={full}")]);
    drill.failed_at(
        "restore",
        &["exit code 55", "ERROR: [055]", "unable to open missing file", victim.trim_end_matches(".gz")],
    );
    assert_eq!(drill.state("server").status.word(), "skipped");
    // This one made something, so it asks and removes it.
    assert_eq!(drill.gates, ["start", "remove-gate"]);
    assert!(!drill.directory().exists());
}

/// The limits of the restored control file are too low for WAL that was written after they had been raised.
#[test]
fn limits_that_were_raised_after_the_set_are_named_and_nothing_hangs() {
    let lab = lab::running();
    lab.sql("ALTER SYSTEM SET max_connections = 90");
    lab.stop();
    lab.start();
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    lab.wait_archived();
    // Production's control file has the raise; where that is lost as well, only WAL does.
    lab.stop();
    fs::remove_file(lab.layout.production().join("global/pg_control")).unwrap();
    let drill = drill(&lab, &[]);
    drill.failed_at(
        "target-reached",
        &["insufficient parameter settings", "max_connections = 40 is a lower setting", "90"],
    );
    assert!(!drill.directory().exists());
}

#[test]
fn programs_that_vanish_half_way_open_the_gate_again() {
    let lab = lab::copy();
    let program = lab.home().join("pgbackrest");
    fs::copy(&lab.marker.pgbackrest, &program).unwrap();
    let settings = other_settings(&lab, "moved.toml", lab.marker.pgbackrest.to_str().unwrap(), text(&program));
    let mut drill = drill_with(&lab, &settings, &[]);
    assert_eq!(drill.told.exit, 3);
    fs::rename(&program, lab.home().join("pgbackrest.old")).unwrap();
    let id = drill.run.id.to_string();
    assert_eq!(lifeboat_with(&settings, &["approve", &id, "start", "main"]).exit, 0);
    let told = lifeboat_with(&settings, &["attach", &id]);
    drill.reload();
    assert_eq!((told.exit, drill.run.outcome_word()), (3, "waiting"));
    let drift = &drill.run.open_gate().unwrap().1.drift;
    let now = drift[0].now.as_deref().unwrap_or_default();
    assert!(drift.len() == 1 && now.contains(text(&program)), "{drift:?}");
    assert!(told.said.contains("nothing can be read again"), "{}", told.said);
    assert_eq!(drill.gates, ["start", "start"]);
    assert_eq!(lifeboat(&lab, &["abort", &id, "--reason", "pgbackrest is gone"]).exit, 0);
}
