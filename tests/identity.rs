//! Becoming the owner of the data, with the real `setpriv` and `sudo`.
//!
//! Needs root, or `sudo -n`; otherwise it fails and says so. This test program executes itself: [`child`]
//! becomes the owner exactly as `lifeboat` does and prints what it then is.

#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use lifeboat::engine::environment::BaseEnvironment;
use lifeboat::engine::identity::{account_by_name, enter, operator_name, program_to_execute, program_to_show, resolve};
use lifeboat::settings::Settings;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tells the test program to be the child: an argument, since sudo may drop every variable.
const CHILD: &str = "--skip=nothing-but-the-child";
/// The data directory for the child.
const DATA: &str = "LIFEBOAT_TEST_DATA";

/// Not a test by itself: what [`start`] starts.
#[test]
fn child() {
    if !std::env::args_os().any(|argument| argument == CHILD) {
        return;
    }
    let data = std::env::var_os(DATA).map(PathBuf::from);
    // A settings file would be one of this host: the child must not read it.
    match enter(&Settings::default(), data.as_deref(), &std::env::args_os().skip(1).collect::<Vec<OsString>>()) {
        Ok(already) => {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let environment: Vec<String> =
                std::env::vars().map(|(name, value)| format!("env {name}={value}")).collect();
            let base = BaseEnvironment::from_process().unwrap();
            let again = Command::new(program_to_execute()).arg("--list").output().unwrap();
            let told = [
                format!("shown={}", program_to_show().unwrap().display()),
                format!("again={}", text(&again).contains("child: test")),
                format!("account={}", already.account.name),
                format!("operator={}", operator_name()),
                format!("folder={}", std::env::current_dir().unwrap().display()),
                format!("resolved={}", resolve(Path::new("x.toml")).display()),
                format!("home={}", base.real["HOME"]),
                format!("arguments={:?}", std::env::args().skip(1).collect::<Vec<_>>()),
            ];
            eprintln!("\n{}\n{}\n{}", told.join("\n"), environment.join("\n"), status);
        }
        Err(error) => eprintln!("\nrefused: {error}"),
    }
}

/// A copy of this program below a fresh folder that everybody can enter.
struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
    /// A file that is written while another test forks can't be executed (ETXTBSY).
    _alone: std::sync::MutexGuard<'static, ()>,
}

static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn place(below: &str, mode: u32) -> Place {
    let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join(below);
    std::fs::create_dir(&inner).unwrap();
    let program = inner.join("lifeboat-under-test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(mode)).unwrap();
    Place { folder, program, _alone: alone }
}

/// Starts the child as a user with a clean environment and the given variables.
fn start(user: &str, program: &Path, variables: &[(&str, &str)], more: &[&str]) -> String {
    start_in(&[], user, program, variables, more)
}

/// The same below other programs, which root starts.
fn start_in(below: &[&str], user: &str, program: &Path, variables: &[(&str, &str)], more: &[&str]) -> String {
    let account = account_by_name(user).unwrap();
    let sudo: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "-n"] };
    let words: Vec<&str> = sudo.iter().chain(below).chain(&["setpriv"]).copied().collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
        .arg(format!("--reuid={}", account.uid))
        .arg(format!("--regid={}", account.gid))
        .args(["--init-groups", "--"]);
    command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program).args(["--exact", "child", "--nocapture", "--test-threads=1", CHILD]).args(more);
    let output = command.current_dir("/usr").output().unwrap();
    let said = text(&output);
    assert!(!said.contains("sudo: a password") || user != "root", "these tests need root or a sudo without a password");
    said
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn has(said: &str, line: &str) -> bool {
    said.lines().any(|found| found.split_whitespace().eq(line.split_whitespace()))
}

fn assert_is_postgres(said: &str) {
    let postgres = account_by_name("postgres").unwrap();
    let (uid, gid) = (postgres.uid, postgres.gid);
    let groups = Command::new("id").args(["-G", "postgres"]).output().unwrap();
    let mut groups: Vec<u32> =
        String::from_utf8_lossy(&groups.stdout).split_whitespace().map(|group| group.parse().unwrap()).collect();
    groups.sort_unstable();
    let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
    for line in [
        "account=postgres".to_owned(),
        format!("Uid: {uid} {uid} {uid} {uid}"),
        format!("Gid: {gid} {gid} {gid} {gid}"),
        format!("Groups: {}", groups.join(" ")),
        "CapInh: 0000000000000000".to_owned(),
        "CapPrm: 0000000000000000".to_owned(),
        "CapEff: 0000000000000000".to_owned(),
        "CapAmb: 0000000000000000".to_owned(),
    ] {
        assert!(has(said, &line), "{line} is missing in: {said}");
    }
}

#[test]
fn root_becomes_postgres_with_its_groups_and_no_capability() {
    let place = place("open", 0o755);
    let variables = [
        ("HOME", "/root"),
        ("SUDO_USER", "alice"),
        ("LOGNAME", "root"),
        ("PGBACKREST_STANZA", "main"),
        ("PGBACKREST_REPO1_CIPHER_PASS", "geheim"),
        ("LIFEBOAT_SETTINGS", "a.toml"),
        ("TERM", "xterm-256color"),
        ("NO_COLOR", "1"),
        ("LC_ALL", "C"),
        ("PGDATA", "/x"),
        ("LD_LIBRARY_PATH", "/x"),
        ("XDG_RUNTIME_DIR", "/run/user/0"),
    ];
    let said = start("root", &place.program, &variables, &["--skip", "nothing"]);
    assert_is_postgres(&said);
    let home = account_by_name("postgres").unwrap().home;
    let home = home.display();
    for line in [
        format!("env HOME={home}"),
        format!("home={home}"),
        "env USER=postgres".to_owned(),
        "env LOGNAME=postgres".to_owned(),
        "env LANG=C.UTF-8".to_owned(),
        "env PGBACKREST_STANZA=main".to_owned(),
        "env PGBACKREST_REPO1_CIPHER_PASS=geheim".to_owned(),
        "env TERM=xterm-256color".to_owned(),
        "env NO_COLOR=1".to_owned(),
        "env LIFEBOAT_OPERATOR=alice".to_owned(),
        "env LIFEBOAT_SETTINGS=/usr/a.toml".to_owned(),
        format!("env LIFEBOAT_EXECUTABLE={}", place.program.display()),
        "operator=alice".to_owned(),
        "folder=/".to_owned(),
        "resolved=/usr/x.toml".to_owned(),
    ] {
        assert!(has(&said, &line), "{line} is missing in: {said}");
    }
    for gone in ["env LC_ALL=", "env PGDATA=", "env LD_LIBRARY_PATH=", "env XDG_RUNTIME_DIR=", "env SUDO_USER="] {
        assert!(!said.contains(gone), "{gone} is still there: {said}");
    }
    assert!(said.contains(r#""--skip", "nothing""#), "{said}");
}

#[test]
fn postgres_is_already_who_it_should_be() {
    let place = place("open", 0o755);
    let said = start("postgres", &place.program, &[("LOGNAME", "bob"), ("HOME", "/root")], &[]);
    assert_is_postgres(&said);
    assert!(has(&said, "operator=bob") && has(&said, "folder=/usr"), "{said}");
    assert!(!said.contains("env LIFEBOAT_ENTERED"), "nothing was executed again: {said}");
    // The home of somebody else is not handed to commands.
    assert!(!has(&said, "home=/root"), "{said}");
}

#[test]
fn a_program_in_a_folder_of_root_is_executed_all_the_same() {
    let place = place("closed", 0o700);
    let said = start("root", &place.program, &[], &[]);
    assert_is_postgres(&said);
    assert!(has(&said, &format!("shown={}", place.program.display())), "{said}");
    assert!(has(&said, "again=true"), "helpers start from there too: {said}");
    assert!(place.folder.path().exists());
}

#[test]
fn a_file_that_the_owner_may_not_execute_is_refused_with_the_remedy() {
    let place = place("open", 0o755);
    std::fs::set_permissions(&place.program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let said = start("root", &place.program, &[], &[]);
    assert!(said.contains("refused: can't become postgres") && said.contains("chmod a+x"), "{said}");
}

#[test]
fn the_owner_of_the_data_directory_goes_first() {
    let place = place("open", 0o755);
    let data = place.folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let nobody = account_by_name("nobody").unwrap();
    std::os::unix::fs::chown(&data, Some(nobody.uid), None).unwrap();
    let said = start("root", &place.program, &[(DATA, data.to_str().unwrap())], &[]);
    assert!(has(&said, "account=nobody") && has(&said, "Uid: 65534 65534 65534 65534"), "{said}");
    std::os::unix::fs::chown(&data, Some(54321), None).unwrap();
    let said = start("root", &place.program, &[(DATA, data.to_str().unwrap())], &[]);
    assert!(said.contains("refused: uid 54321 (the owner of the data directory) has no account"), "{said}");
}

#[test]
fn somebody_whom_sudo_refuses_is_told_what_to_type() {
    let place = place("open", 0o755);
    let said = start("nobody", &place.program, &[("PGBACKREST_REPO1_CIPHER_PASS", "geheim")], &[]);
    assert!(said.contains("refused: can't become postgres: sudo says: "), "{said}");
    assert!(said.contains("sudo --preserve-env=PGBACKREST_REPO1_CIPHER_PASS -u postgres /"), "{said}");
    assert!(!said.contains("geheim"), "{said}");
}

#[test]
fn it_never_becomes_somebody_twice() {
    let place = place("open", 0o755);
    let said = start("nobody", &place.program, &[("LIFEBOAT_ENTERED", "1")], &[]);
    assert!(said.contains("refused: became nobody and found that postgres owns the data"), "{said}");
    assert!(said.contains("[postgres] owner = \"postgres\""), "{said}");
}

/// Starts the child as `nobody` where `/etc/sudoers.d` holds `rule`, in a mount namespace of its own: the
/// host's rules stay as they are.
fn start_with_rule(rule: &str, place: &Place, variables: &[(&str, &str)]) -> String {
    let rules = place.folder.path().join("sudoers.d");
    std::fs::create_dir(&rules).unwrap();
    let file = rules.join("lifeboat-test");
    std::fs::write(&file, format!("{rule}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
    let script = "mount --bind \"$0\" /etc/sudoers.d && exec \"$@\"";
    let below = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, rules.to_str().unwrap()];
    start_in(&below, "nobody", &place.program, variables, &["--skip", "no thing"])
}

#[test]
fn sudo_carries_the_environment_and_a_secret_only_by_its_name() {
    let place = place("open", 0o755);
    let variables = [
        ("PGBACKREST_STANZA", "ma in"),
        ("PGBACKREST_REPO1_CIPHER_PASS", "geheim"),
        ("LOGNAME", "carol"),
        ("LIFEBOAT_SETTINGS", "a.toml"),
        ("NO_COLOR", "1"),
    ];
    let said = start_with_rule("nobody ALL=(postgres) NOPASSWD: ALL", &place, &variables);
    assert_is_postgres(&said);
    for line in [
        "env PGBACKREST_STANZA=ma in",
        "env PGBACKREST_REPO1_CIPHER_PASS=geheim",
        "env LIFEBOAT_OPERATOR=carol",
        "env LIFEBOAT_SETTINGS=/usr/a.toml",
        "env NO_COLOR=1",
        "operator=carol",
        "folder=/",
    ] {
        assert!(has(&said, line), "{line} is missing in: {said}");
    }
    // sudo notes the command that it ran, as it was typed.
    let command = said.lines().find(|line| line.starts_with("env SUDO_COMMAND=")).unwrap();
    assert!(command.contains("PGBACKREST_STANZA=ma") && !command.contains("geheim"), "{command}");
    assert!(said.contains(r#""--skip", "no thing""#), "{said}");
}

#[test]
fn sudo_that_allows_only_this_program_is_enough_where_nothing_must_be_carried() {
    let place = place("open", 0o755);
    let rule = format!("nobody ALL=(postgres) NOPASSWD: {}", place.program.display());
    let said = start_with_rule(&rule, &place, &[]);
    assert_is_postgres(&said);
    assert!(has(&said, "operator=nobody"), "{said}");
}

#[test]
fn sudo_that_would_drop_the_configuration_is_not_used() {
    let place = place("open", 0o755);
    let rule = format!("nobody ALL=(postgres) NOPASSWD: {}", place.program.display());
    let said = start_with_rule(&rule, &place, &[("PGBACKREST_STANZA", "main")]);
    assert!(said.contains("refused: ") && said.contains("would drop PGBACKREST_STANZA"), "{said}");
}

#[test]
fn a_program_that_the_owner_cannot_reach_through_sudo_is_told() {
    let place = place("closed", 0o755);
    let nobody = account_by_name("nobody").unwrap();
    let inner = place.program.parent().unwrap();
    std::os::unix::fs::chown(inner, Some(nobody.uid), Some(nobody.gid)).unwrap();
    std::fs::set_permissions(inner, std::fs::Permissions::from_mode(0o700)).unwrap();
    let said = start_with_rule("nobody ALL=(postgres) NOPASSWD: ALL", &place, &[]);
    assert!(
        said.contains("refused: ") && said.contains("postgres may not execute") && said.contains("/usr/local/bin"),
        "{said}"
    );
}

/// A login session on a host with systemd, as far as Lifeboat looks at it: its control group, logind's answer, and a
/// `systemd-run` that notes its arguments, moves into a scope of the system, and executes the rest. All of it in a mount
/// namespace that ends with the program.
struct SystemdHost {
    folder: tempfile::TempDir,
    group: String,
}

impl SystemdHost {
    fn new(systemd_run: &str) -> SystemdHost {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let group = format!("lifeboat-test{}", folder.path().file_name().unwrap().to_str().unwrap());
        let (at, scope) = (folder.path().display(), format!("{group}/system.slice/run-test.scope"));
        let run = format!(
            "#!/bin/sh\n{{ echo CALL; printf '%s\\n' \"$@\"; }} >>{at}/calls\n{systemd_run}\n\
             echo $$ >{at}/cgroup/{scope}/cgroup.procs\nshift 4\nexec \"$@\"\n"
        );
        let logind = "#!/bin/sh\necho KillUserProcesses=yes\necho KillOnlyUsers=\necho KillExcludeUsers=\n";
        for (name, text) in [("systemd-run", run.as_str()), ("loginctl", logind)] {
            std::fs::write(folder.path().join(name), text).unwrap();
            std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::create_dir(folder.path().join("cgroup")).unwrap();
        SystemdHost { folder, group }
    }

    /// Starts the child there as root, in a session's control group.
    fn start(&self, program: &Path) -> String {
        let (at, group) = (self.folder.path().display(), &self.group);
        let session = format!("{group}/user.slice/user-0.slice/session-3.scope");
        let script = format!(
            "set -e\nmount -t cgroup2 none {at}/cgroup\nmkdir -p {at}/cgroup/{session} {at}/cgroup/{group}/system.slice/run-test.scope\n\
             echo $$ >{at}/cgroup/{session}/cgroup.procs\n\
             mount -t tmpfs none /run\nmkdir -p /run/systemd/system\n\
             mount -t tmpfs none /usr/local/sbin\ncp {at}/systemd-run {at}/loginctl /usr/local/sbin/\n\
             code=0\n\"$@\" || code=$?\n\
             echo $$ >{at}/cgroup/cgroup.procs\nfind {at}/cgroup/{group} -depth -type d -exec rmdir {{}} \\;\nexit $code"
        );
        let variables = [("PATH", "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")];
        start_in(&["unshare", "--mount", "sh", "-c", &script, "sh"], "root", program, &variables, &[])
    }

    fn calls(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap();
        text.split("CALL\n").skip(1).map(|call| call.lines().map(str::to_owned).collect()).collect()
    }
}

#[test]
fn root_s_session_gives_the_run_a_scope_of_the_system() {
    let place = place("open", 0o755);
    let host = SystemdHost::new("");
    let said = host.start(&place.program);
    assert_is_postgres(&said);
    let account = account_by_name("postgres").unwrap();
    let scope = ["--scope", "--quiet", "--collect", "--"];
    let tried: Vec<&str> = scope.into_iter().chain(["true"]).collect();
    let (user, group) = (format!("--reuid={}", account.uid), format!("--regid={}", account.gid));
    let program = place.program.to_str().unwrap();
    let own = ["setpriv", &user, &group, "--init-groups", "--inh-caps=-all", "--", program];
    let started: Vec<&str> =
        scope.into_iter().chain(own).chain(["--exact", "child", "--nocapture", "--test-threads=1", CHILD]).collect();
    assert_eq!(host.calls(), [tried, started], "tried once, done once, and not again as the owner");
}

#[test]
fn a_systemd_run_that_does_not_do_it_is_left_and_the_program_starts_all_the_same() {
    let place = place("open", 0o755);
    let host = SystemdHost::new("echo 'Failed to connect to bus' >&2\nexit 1");
    let said = host.start(&place.program);
    assert_is_postgres(&said);
    assert!(host.calls().iter().all(|call| call.last().is_some_and(|word| word == "true")), "{:?}", host.calls());
}
