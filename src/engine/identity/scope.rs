//! Whether logging out ends what was started, and how to start so that it doesn't.
//!
//! With `KillUserProcesses=yes` logind stops a session's scope at logout, and with it every process in it, however
//! well it left its terminal. A control group of its own is the only way out: one of the system (root may make it), or
//! one of the user's own manager, which outlives the logout only with lingering on.
//!
//! The decision ([`decide`]) is tested over readings, the call with a stand-in in a session's control group
//! (`tests/identity.rs`), and all of it on a real systemd by `make prove-systemd`, where sessions are ended under a run.
//! It is tried with `true` first, and left where that fails.

use crate::engine::ask::{self, Question};
use crate::engine::identity::{DEFAULT_PATH, account_by_uid};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// logind and systemd-run answer at once or are broken.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Set for the program that was started in a scope, so that it is never done twice.
pub(crate) const SCOPED: &str = "LIFEBOAT_SCOPED";

/// What is known of the session this process belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// systemd manages this host (`/run/systemd/system` exists).
    pub systemd: bool,
    /// The control group of this process, as `/proc/self/cgroup` names it for systemd.
    pub control_group: String,
    /// The name of the user whose session it is.
    pub session_user: Option<String>,
    /// logind's `KillUserProcesses`; `None` where logind does not say.
    pub kills: Option<bool>,
    /// logind's `KillOnlyUsers`; empty: everybody.
    pub kills_only: Vec<String>,
    /// logind's `KillExcludeUsers`.
    pub kills_not: Vec<String>,
    /// The session's user may leave processes behind (`loginctl enable-linger`).
    pub lingers: bool,
    /// This process is root.
    pub root: bool,
    /// `systemd-run` is installed.
    pub systemd_run: bool,
}

/// What logging out does to what this process starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logout {
    /// Nothing; with the reason.
    Harmless(String),
    /// Nothing, if it is started in a scope of the system.
    NeedsSystemScope,
    /// Nothing, if it is started in a scope of the user's own manager.
    NeedsUserScope,
    /// It ends it; with the reason and what to do.
    Ends(String),
}

impl Logout {
    /// For a person: `yes: …` or `no: …`. What could still be done by starting otherwise was not done: it counts as no.
    #[must_use]
    pub fn survives(&self) -> String {
        match self {
            Logout::Harmless(why) => format!("yes: {why}"),
            Logout::Ends(why) => format!("no: logging out ends this run, because {why}"),
            Logout::NeedsSystemScope | Logout::NeedsUserScope => {
                "no: logging out ends this run, because it could not be started in a scope of its own; stay logged in"
                    .to_owned()
            }
        }
    }
}

/// What logging out does, by the readings.
#[must_use]
pub fn decide(readings: &Readings) -> Logout {
    let harmless = |why: &str| Logout::Harmless(why.to_owned());
    if !readings.systemd {
        return harmless("this host has no systemd that would end what a session leaves behind");
    }
    let user = readings.session_user.as_deref().unwrap_or("its user");
    let ends =
        |why: String| Logout::Ends(format!("{why}; stay logged in, or start as root or after: {}", linger(user)));
    match place(&readings.control_group) {
        Place::System => harmless("it belongs to no login session"),
        Place::UserManager if readings.lingers => harmless("its user's processes stay behind (lingering is on)"),
        Place::UserManager if readings.root && readings.systemd_run => Logout::NeedsSystemScope,
        Place::UserManager => ends(format!("systemd ends {user}'s own services at the last logout")),
        Place::Session if readings.kills == Some(false) => {
            harmless("logind leaves processes alone (KillUserProcesses=no)")
        }
        Place::Session if readings.kills == Some(true) && is_spared(readings) => {
            harmless("logind spares this user's processes (KillExcludeUsers, KillOnlyUsers)")
        }
        Place::Session if readings.root && readings.systemd_run => Logout::NeedsSystemScope,
        Place::Session if readings.lingers && readings.systemd_run => Logout::NeedsUserScope,
        Place::Session if readings.kills.is_none() => ends("logind does not say whether it kills".to_owned()),
        Place::Session => ends("logind kills a session's processes (KillUserProcesses=yes)".to_owned()),
    }
}

fn linger(user: &str) -> String {
    format!("loginctl enable-linger {user}")
}

fn is_spared(readings: &Readings) -> bool {
    let Some(user) = &readings.session_user else { return false };
    let only = !readings.kills_only.is_empty() && !readings.kills_only.contains(user);
    only || readings.kills_not.contains(user)
}

enum Place {
    System,
    /// `user@1000.service` and below.
    UserManager,
    /// `session-3.scope`.
    Session,
}

fn place(control_group: &str) -> Place {
    let mut units = control_group.split('/');
    if units.clone().any(|unit| unit.starts_with("user@") && unit.ends_with(".service")) {
        return Place::UserManager;
    }
    let is_session = |unit: &str| unit.starts_with("session-") && unit.ends_with(".scope");
    if units.any(is_session) { Place::Session } else { Place::System }
}

/// Reads it from this host. Where systemd does not run, nothing is asked.
#[must_use]
pub fn read() -> Readings {
    if !Path::new("/run/systemd/system").is_dir() {
        return Readings::default();
    }
    let control_group =
        std::fs::read_to_string("/proc/self/cgroup").map_or_else(|_| String::new(), |text| of_systemd(&text));
    let mut readings = Readings {
        systemd: true,
        root: rustix::process::geteuid().is_root(),
        systemd_run: ask::find_program(Path::new("systemd-run"), Some(OsStr::new(DEFAULT_PATH))).is_some(),
        control_group,
        ..Readings::default()
    };
    if matches!(place(&readings.control_group), Place::System) {
        return readings;
    }
    readings.session_user = user_of(&readings.control_group).and_then(account_by_uid).map(|account| account.name);
    readings.lingers =
        readings.session_user.as_ref().is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user).exists());
    // Without a session's name loginctl shows the properties of logind itself, as they are in force.
    let names = ["-pKillUserProcesses", "-pKillOnlyUsers", "-pKillExcludeUsers"];
    if let Some(said) = answer_of("loginctl", &["show-session"], &names) {
        of_logind(&said, &mut readings);
    }
    readings
}

fn answer_of(program: &str, first: &[&str], more: &[&str]) -> Option<String> {
    let mut question = Question::new(program);
    question.arguments = first.iter().chain(more).map(OsString::from).collect();
    question.environment.insert("PATH".to_owned(), DEFAULT_PATH.into());
    question.environment.insert("LC_ALL".to_owned(), "C".into());
    question.time_limit = ANSWER_WITHIN;
    let answer = ask::ask(&question).ok().filter(|answer| answer.code == 0)?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The line of systemd's own hierarchy: `0::/…` or, with the old ones, `1:name=systemd:/…`.
fn of_systemd(text: &str) -> String {
    let path = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (number, name) = (parts.next()?, parts.next()?);
        (number == "0" && name.is_empty() || name == "name=systemd").then(|| parts.next().map(str::to_owned))?
    };
    let mut paths: Vec<String> = text.lines().filter_map(path).collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    paths.into_iter().next().unwrap_or_default()
}

/// 1000 of `/user.slice/user-1000.slice/session-3.scope`.
fn user_of(control_group: &str) -> Option<u32> {
    control_group.split('/').find_map(|unit| unit.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok())
}

fn of_logind(said: &str, readings: &mut Readings) {
    let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::trim);
    readings.kills = match value("KillUserProcesses") {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ => None,
    };
    let words = |name: &str| value(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    readings.kills_only = words("KillOnlyUsers");
    readings.kills_not = words("KillExcludeUsers");
}

/// The words that go before a program so that a logout does not end it; none where it needs none, or where
/// `systemd-run` does not do it.
pub(crate) fn words() -> Vec<OsString> {
    if std::env::var_os(SCOPED).is_some() {
        return Vec::new();
    }
    let words = before(&decide(&read()));
    let Some((program, first)) = words.split_first() else { return Vec::new() };
    let mut command = std::process::Command::new(program);
    command.args(first).arg("true").stdin(std::process::Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => words,
        _ => Vec::new(),
    }
}

fn before(logout: &Logout) -> Vec<OsString> {
    let start: &[&str] = match logout {
        Logout::Harmless(_) | Logout::Ends(_) => &[],
        Logout::NeedsSystemScope => &["systemd-run"],
        Logout::NeedsUserScope => &["systemd-run", "--user"],
    };
    let more: &[&str] = if start.is_empty() { &[] } else { &["--scope", "--quiet", "--collect", "--"] };
    start.iter().chain(more).map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Readings {
        Readings {
            systemd: true,
            control_group: "/user.slice/user-1000.slice/session-3.scope".into(),
            session_user: Some("anna".into()),
            kills: Some(true),
            kills_not: vec!["root".into()],
            systemd_run: true,
            ..Readings::default()
        }
    }

    fn manager() -> Readings {
        let control_group = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope".into();
        Readings { control_group, ..session() }
    }

    #[test]
    fn nothing_has_to_be_done_where_nothing_kills() {
        for readings in [
            Readings::default(),
            Readings { systemd: false, ..session() },
            Readings { control_group: "/system.slice/cron.service".into(), ..session() },
            Readings { control_group: "/system.slice/run-r1.scope".into(), ..session() },
            Readings { control_group: String::new(), ..session() },
            Readings { kills: Some(false), ..session() },
            Readings { session_user: Some("root".into()), root: true, ..session() },
            Readings { kills_only: vec!["bert".into()], ..session() },
            Readings { lingers: true, ..manager() },
        ] {
            let logout = decide(&readings);
            assert!(matches!(logout, Logout::Harmless(_)), "{readings:?}: {logout:?}");
            assert!(logout.survives().starts_with("yes: "));
            assert_eq!(before(&logout), Vec::<OsString>::new());
        }
    }

    #[test]
    fn root_gets_a_scope_of_the_system() {
        for readings in [session(), manager(), Readings { kills: None, ..session() }] {
            let logout = decide(&Readings { root: true, ..readings });
            assert_eq!(logout, Logout::NeedsSystemScope);
            assert_eq!(before(&logout), ["systemd-run", "--scope", "--quiet", "--collect", "--"]);
        }
    }

    #[test]
    fn a_user_gets_a_scope_only_with_lingering() {
        let logout = decide(&Readings { lingers: true, ..session() });
        assert_eq!(logout, Logout::NeedsUserScope);
        assert_eq!(before(&logout), ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--"]);
        let logout = decide(&session());
        assert!(logout.survives().starts_with("no: logging out ends this run, because logind kills"));
        assert!(logout.survives().contains("loginctl enable-linger anna"), "{logout:?}");
    }

    #[test]
    fn what_can_not_be_helped_is_said() {
        for readings in [
            session(),
            manager(),
            Readings { kills: None, ..session() },
            Readings { kills_only: vec!["anna".into()], ..session() },
            Readings { session_user: None, kills_only: vec!["bert".into()], ..session() },
            Readings { root: true, systemd_run: false, ..session() },
            Readings { lingers: true, systemd_run: false, ..session() },
        ] {
            let logout = decide(&readings);
            assert!(matches!(logout, Logout::Ends(_)), "{readings:?}: {logout:?}");
            assert_eq!(before(&logout), Vec::<OsString>::new());
        }
        for not_done in [Logout::NeedsSystemScope, Logout::NeedsUserScope] {
            assert!(not_done.survives().starts_with("no: "), "the scope was not made");
        }
    }

    #[test]
    fn reads_what_the_kernel_and_logind_say() {
        let hybrid = "12:cpu:/\n1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n0::/\n";
        assert_eq!(of_systemd(hybrid), "/user.slice/user-1000.slice/session-3.scope");
        assert_eq!(of_systemd("0::/system.slice/a:b.service\n"), "/system.slice/a:b.service");
        assert_eq!(of_systemd("garbage"), "");
        assert_eq!(user_of("/user.slice/user-1000.slice/session-3.scope"), Some(1000));
        assert_eq!(user_of("/user.slice/session-3.scope"), None);
        let mut readings = Readings::default();
        of_logind("KillOnlyUsers=\nKillExcludeUsers=root anna\nKillUserProcesses=yes\n", &mut readings);
        assert_eq!((readings.kills, readings.kills_only.len()), (Some(true), 0));
        assert_eq!(readings.kills_not, ["root", "anna"]);
        of_logind("KillUserProcesses=no\n", &mut readings);
        assert_eq!(readings.kills, Some(false));
        of_logind("", &mut readings);
        assert_eq!(readings.kills, None);
    }
}
