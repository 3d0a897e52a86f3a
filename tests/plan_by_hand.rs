//! The plan of the shipped drill as a shell script, run by hand on a real backup: every argument list, query and
//! expected value of it meets the real pgBackRest and PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lifeboat::domain::facts::Facts;
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::extract::{captures, expectations};
use lifeboat::planning::plan::{KnownFacts, bind};
use lifeboat::planning::runbook::shipped;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cluster with a backed-up stanza below a directory of its own; its server is ended with it.
struct Lab {
    root: tempfile::TempDir,
    bin: PathBuf,
}

impl Lab {
    fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    /// A command as the owner of the data: PostgreSQL refuses to run as root.
    fn command(&self, argv: &[&str]) -> Command {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]).arg(argv[0]);
            command
        } else {
            Command::new(argv[0])
        };
        command.args(&argv[1..]).env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8").env("TZ", "UTC");
        command.env("HOME", self.root.path()).current_dir("/").stdin(Stdio::null());
        command
    }

    fn run(&self, argv: &[&str]) -> String {
        let output = self.command(argv).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{argv:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn program(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }

    fn sql(&self, sql: &str) -> String {
        let psql = self.program("psql");
        self.run(&[&psql, "-XAtq", "-h", &self.path("s"), "-p", "5999", "-U", "shop", "-d", "postgres", "-c", sql])
    }

    fn pgbackrest(&self, more: &[&str]) -> String {
        let config = format!("--config={}", self.path("pgbackrest.conf"));
        self.run(&[&["/usr/bin/pgbackrest", config.as_str(), "--stanza=main"], more].concat())
    }

    fn new() -> Lab {
        let bin = fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path().join("bin"));
        let bin = bin.filter(|bin| bin.join("postgres").exists()).max().unwrap();
        let root = tempfile::Builder::new().prefix("lb").tempdir_in("/tmp").unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let lab = Lab { root, bin };
        for name in ["s", "ds", "repo", "log", "lock", "spool"] {
            lab.run(&["mkdir", "-m", "700", &lab.path(name)]);
        }
        let data = lab.path("data");
        lab.run(&[&lab.program("initdb"), "-k", "--no-sync", "-A", "trust", "-U", "shop", "-D", &data]);
        fs::write(
            lab.path("pgbackrest.conf"),
            format!(
                "[global]\nrepo1-path={r}/repo\nlog-path={r}/log\nlock-path={r}/lock\nspool-path={r}/spool\nrepo1-retention-full=2\nstart-fast=y\n[main]\npg1-path={r}/data\npg1-port=5999\npg1-user=shop\npg1-socket-path={r}/s\n",
                r = lab.root.path().display()
            ),
        )
        .unwrap();
        let config = format!(
            "listen_addresses=''\nunix_socket_directories='{}'\nport=5999\narchive_mode=on\nwal_level=replica\nmax_connections=37\narchive_command='/usr/bin/pgbackrest --config={} --stanza=main archive-push %p'\n",
            lab.path("s"),
            lab.path("pgbackrest.conf")
        );
        let conf = format!("{data}/postgresql.conf");
        fs::OpenOptions::new().append(true).open(conf).unwrap().write_all(config.as_bytes()).unwrap();
        lab.run(&[&lab.program("pg_ctl"), "start", "-w", "-D", &data, "-l", &lab.path("pg.log")]);
        lab.sql("CREATE TABLE orders AS SELECT generate_series(1, 1234) AS id");
        lab.leave_traps(&data);
        lab.pgbackrest(&["stanza-create"]);
        lab.pgbackrest(&["--type=full", "backup"]);
        lab.sql("INSERT INTO orders SELECT generate_series(1, 66)");
        let segment = lab.sql("SELECT pg_walfile_name(pg_switch_wal())");
        let wait = format!("SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= '{}'", segment.trim());
        for _ in 0..600 {
            if !lab.sql(&wait).is_empty() {
                return lab;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the segment was never archived");
    }

    /// Settings that come back with the data: the server here never reads them, the drill's must not obey them.
    fn leave_traps(&self, data: &str) {
        let root = self.root.path().display();
        let traps = format!(
            "listen_addresses = '*'\nssl = on\nlogging_collector = on\nshared_preload_libraries = 'nosuch'\n\
             synchronous_standby_names = 'nobody'\nprimary_conninfo = 'host=elsewhere'\n\
             recovery_min_apply_delay = '1h'\nexternal_pid_file = '{root}/trap-pid'\n\
             archive_command = 'touch {root}/trap-archive'\nrecovery_end_command = 'touch {root}/trap-end'\n\
             archive_cleanup_command = 'touch {root}/trap-cleanup'\n"
        );
        let file = fs::OpenOptions::new().append(true).open(format!("{data}/postgresql.auto.conf"));
        file.unwrap().write_all(traps.as_bytes()).unwrap();
    }

    /// The program itself, where the owner can execute it: plans call its helpers.
    fn helper(&self) -> String {
        let path = self.path("lifeboat");
        fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn facts(&self) -> KnownFacts {
        let info: serde_json::Value = serde_json::from_str(&self.pgbackrest(&["--output=json", "info"])).unwrap();
        let set = info[0]["backup"][0]["label"].as_str().unwrap().to_owned();
        let system = info[0]["db"][0]["system-id"].to_string();
        let config = self.path("pgbackrest.conf");
        let restore_command = format!(
            "--recovery-option=restore_command=/usr/bin/pgbackrest --config={config} --stanza=main --pg1-path={} archive-get %f \"%p\"",
            self.path("drill/data")
        );
        let texts = [
            ("stanza", "main".to_owned()),
            ("repository", "1".into()),
            ("set", set.clone()),
            ("set-stop", "now".into()),
            ("timeline", "1".into()),
            ("pgbackrest", "/usr/bin/pgbackrest".into()),
            ("pgbackrest-config", config.clone()),
            ("postgres-bin", self.bin.display().to_string()),
            ("run", "7Q2K".into()),
            ("directory", self.path("drill")),
            ("socket-directory", self.path("ds")),
            ("port", "5998".into()),
            ("lifeboat", self.helper()),
            ("user", "shop".into()),
            ("database", "postgres".into()),
            ("system-identifier", system.clone()),
            ("production-data-directory", self.path("data")),
            ("archive-id", "15-1".into()),
            ("target-type", "latest".into()),
            ("state-directory", self.path("state")),
            ("survives-logout", "yes: nobody is logged in".into()),
        ];
        let lists = [
            ("pgbackrest-options", vec![format!("--config={config}")]),
            ("target-options", vec!["--type=default".into(), "--target-timeline=1".into()]),
            ("restore-command", vec![restore_command]),
        ];
        KnownFacts {
            texts: texts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            lists: lists.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            sealed: Facts { identity: BTreeMap::from([("set".into(), set)]), thresholds: BTreeMap::new() },
            environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into()), ("LANG".into(), "C.UTF-8".into())]),
            secret_environment: Vec::new(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for data in ["data", "drill/data"] {
            let data = self.path(data);
            if Path::new(&data).join("postmaster.pid").exists() {
                let _ = self.command(&[&self.program("pg_ctl"), "stop", "-D", &data, "-m", "immediate"]).output();
            }
        }
    }
}

#[test]
fn the_shipped_drill_done_by_hand_restores_and_proves_and_removes() {
    let lab = Lab::new();
    let runbook = lint(shipped("restore-drill").unwrap(), &VOCABULARY).unwrap();
    let given = [("depth", "checksums"), ("probe", "SELECT 'it''s', $$a b$$ FROM orders LIMIT 1")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let plan = bind(&runbook, &given, &lab.facts()).unwrap();
    let script = lab.path("by-hand.sh");
    fs::write(&script, lifeboat::report::shell::plan(&plan)).unwrap();

    let mut child = lab
        .command(&["sh", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Ten preflights, the gate, the listener, the LSN that was replayed, the end of the archive, production, the gate.
    let answers = format!("{}main\nyes\n0/0\nyes\nyes\nmain\n", "yes\n".repeat(10));
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert!(text.contains("end of the plan"), "{text}");
    assert!(text.contains("\n1,1300,public.orders 1300\n"), "all rows are back, those after the backup too: {text}");
    assert!(text.contains("it's,a b"), "{text}");
    assert!(text.contains("Bad checksums:  0"), "{text}");
    for (id, name, value) in
        [("limits", "max_connections", "37"), ("isolation", "archive_mode", "off"), ("result", "timeline", "2")]
    {
        let step = plan.steps.iter().find(|step| step.id.as_str() == id).unwrap();
        let said = text.split(&format!(". {}\n", step.title)).nth(1).unwrap().split("\n==").next().unwrap();
        let captured = captures(step, said.as_bytes()).unwrap();
        assert_eq!(captured[name], value, "{captured:?}");
        let mut step = step.clone();
        step.fill(&BTreeMap::from([(
            "control.system_identifier".into(),
            captured.get("system_identifier").cloned().unwrap_or_default(),
        )]));
        assert_eq!(expectations(&step, &captured), Vec::<String>::new(), "{id}");
    }
    for trap in ["trap-pid", "trap-archive", "trap-end", "trap-cleanup"] {
        assert!(!Path::new(&lab.path(trap)).exists(), "{trap}: a restored setting was obeyed");
    }
    assert!(!Path::new(&lab.path("drill")).exists(), "the directory is removed");
}
