#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::fs;

const DATA: &str = "/srv/pg/15/main";

/// A made-up machine.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Machine {
        Machine(tempfile::tempdir().unwrap())
    }

    fn file(self, path: &str, text: &str) -> Machine {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn process(self, pid: u32, parent: u32, name: &str, command: &str) -> Machine {
        let status = format!("Name:\t{name}\nPPid:\t{parent}\n");
        self.file(&format!("proc/{pid}/status"), &status)
            .file(&format!("proc/{pid}/cmdline"), &command.replace(' ', "\0"))
    }

    fn find(&self, postmaster: Option<u32>) -> Managed {
        find(self.0.path(), Path::new(DATA), postmaster)
    }
}

#[test]
fn a_bare_machine_has_no_manager() {
    let found = Machine::new().process(7, 1, "postgres", "/usr/bin/postgres -D /srv/pg/15/main").find(Some(7));
    assert_eq!(found, Managed::default());
    assert_eq!(found.manager().word(), "none");
}

#[test]
fn debians_cluster_is_found_with_its_unit() {
    let conf =
        "#data_directory = '/elsewhere'\ndata_directory = '/srv/pg/15/main'\t\t# use data in another directory\n";
    let machine = Machine::new()
        .file("etc/postgresql/15/main/postgresql.conf", conf)
        .file("etc/postgresql/15/other/postgresql.conf", "data_directory = '/srv/pg/15/main2'\n");
    let found = machine.find(None);
    assert_eq!((found.manager(), found.unit.as_deref()), (Manager::PgCtlcluster, None));
    assert_eq!(found.cluster, Some(("15".to_owned(), "main".to_owned())));
    // with systemd at work pg_ctlcluster goes through its unit
    let found = machine.file("run/systemd/system/x.service", "[Unit]\n").find(None);
    assert_eq!(found.unit.as_deref(), Some("postgresql@15-main.service"));
}

#[test]
fn a_server_past_its_unit_is_told_and_one_of_a_foreign_unit_has_none() {
    let conf = "data_directory = '/srv/pg/15/main'\n";
    let machine = Machine::new()
        .file("etc/postgresql/15/main/postgresql.conf", conf)
        .file("lib/systemd/system/postgresql@.service", "[Service]\nExecStart=-/usr/bin/pg_ctlcluster %i start\n")
        .file("lib/systemd/system/cron.service", "[Service]\nExecStart=/usr/sbin/cron -f\n")
        .file("run/systemd/system/x.service", "[Unit]\n")
        .process(7, 1, "postgres", "/usr/lib/postgresql/15/bin/postgres -D /srv/pg/15/main")
        .file("proc/7/cgroup", "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n");
    let found = machine.find(Some(7));
    assert_eq!((found.manager(), found.outside_unit), (Manager::Systemd, false));
    assert_eq!(found.commands().unwrap().stop, "systemctl stop postgresql@15-main.service");
    // by a job of cron's: systemctl stop would end cron, or do nothing
    for group in ["0::/system.slice/cron.service\n", "0::/user.slice/user-0.slice/session-3.scope\n"] {
        let found = machine.0.path().join("proc/7/cgroup");
        fs::write(found, group).unwrap();
        let found = machine.find(Some(7));
        assert_eq!(found.unit.as_deref(), Some("postgresql@15-main.service"), "{group}");
        assert!(found.outside_unit, "{group}");
        assert_eq!(found.commands().unwrap().stop, "pg_ctlcluster 15 main stop");
    }
    let bare = Machine::new()
        .file("lib/systemd/system/cron.service", "[Service]\nExecStart=/usr/sbin/cron -f\n")
        .file("proc/7/cgroup", "0::/system.slice/cron.service\n");
    assert_eq!(bare.find(Some(7)), Managed::default());
}

#[test]
fn a_unit_is_held_by_what_systemd_heeds() {
    let unit = "pg.service";
    let text = "[Service]\nEnvironment=PGDATA=/srv/pg/15/main\nExecStart=/usr/bin/postgres\n";
    let mask = |machine: &Machine, folder: &str| {
        let folder = machine.0.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.join(unit)).unwrap();
    };
    let packaged = Machine::new().file("lib/systemd/system/pg.service", text);
    assert!(!is_held(packaged.0.path(), unit));
    assert_eq!(packaged.find(None).commands().unwrap().hold, "systemctl mask --runtime pg.service");
    mask(&packaged, "run/systemd/system");
    assert!(is_held(packaged.0.path(), unit));
    // the administrator's own goes before the mask
    let own = Machine::new().file("etc/systemd/system/pg.service", text);
    mask(&own, "run/systemd/system");
    assert!(!is_held(own.0.path(), unit));
    assert!(own.find(None).commands().unwrap().hold.starts_with("mkdir -p /run/systemd/system/pg.service.d && printf"));
    let own = own.file("run/systemd/system/pg.service.d/lifeboat.conf", "[Unit]\nConditionPathExists=/elsewhere\n");
    assert!(!is_held(own.0.path(), unit));
    let masked = Machine::new();
    mask(&masked, "etc/systemd/system");
    assert!(is_held(masked.0.path(), unit));
}

#[test]
fn a_unit_is_found_by_its_processes_and_by_its_text() {
    let machine = Machine::new()
        .process(7, 1, "postgres", "/usr/pgsql-15/bin/postgres -D /srv/pg/15/main")
        .file("proc/7/cgroup", "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n");
    let found = machine.find(Some(7));
    assert_eq!(found.unit.as_deref(), Some("postgresql@15-main.service"));
    assert_eq!(found.manager(), Manager::Systemd);
    // started by hand in somebody's session
    let session = "12:pids:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-3.scope\n0::/user@0.service\n";
    assert_eq!(machine.file("proc/7/cgroup", session).find(Some(7)).unit, None);
    let text = "[Service]\nEnvironment=PGDATA=/srv/pg/15/main/\nExecStart=/usr/pgsql-15/bin/postgres\n";
    let found = Machine::new()
        .file("usr/lib/systemd/system/postgresql-15.service", text)
        .file("usr/lib/systemd/system/other.service", "Environment=PGDATA=/srv/pg/15/main-old\n")
        .find(None);
    assert_eq!(found.unit.as_deref(), Some("postgresql-15.service"));
    let found = Machine::new().file("etc/systemd/system/pg.service.d/data.conf", text).find(None);
    assert_eq!(found.unit.as_deref(), Some("pg.service"));
}

#[test]
fn cluster_managers_are_told_apart_by_whether_they_work() {
    let yaml = "postgresql:\n  data_dir: /srv/pg/15/main\n";
    let patroni = Machine::new().file("etc/patroni/config.yml", yaml);
    let found = patroni.find(None);
    assert!(!found.sightings[0].at_work && found.manager() == Manager::Patroni, "{found:?}");
    let found =
        patroni.process(9, 1, "python3", "/usr/bin/python3 /usr/bin/patroni /etc/patroni/config.yml").find(None);
    assert!(found.sightings[0].at_work && found.sightings[0].evidence.contains("process 9"), "{found:?}");
    // another cluster's
    let other = Machine::new().file("etc/patroni/config.yml", "postgresql:\n  data_dir: /srv/pg/15/main2\n");
    assert_eq!(other.find(None).manager(), Manager::None);
    let left = Machine::new().file("srv/pg/15/main/patroni.dynamic.json", "{}");
    assert_eq!(left.find(None).manager(), Manager::Patroni);

    let repmgr = Machine::new()
        .file("etc/repmgr/15/repmgr.conf", "node_id=1\ndata_directory='/srv/pg/15/main'\n")
        .process(5, 1, "repmgrd", "/usr/bin/repmgrd -f /etc/repmgr/15/repmgr.conf");
    let found = repmgr.find(None);
    assert!(found.manager() == Manager::Repmgr && found.sightings[0].at_work, "{found:?}");
    assert!(found.sightings[0].evidence.contains("/etc/repmgr/15/repmgr.conf"), "{found:?}");

    let pacemaker = Machine::new().process(3, 1, "pacemakerd", "/usr/sbin/pacemakerd");
    // its configuration is root's: what can't be seen is not ruled out
    assert_eq!(pacemaker.find(None).manager(), Manager::Pacemaker);
    let pacemaker = pacemaker.file("var/lib/pacemaker/cib/cib.xml", "<nvpair name=\"pgdata\" value=\"/srv/other\"/>");
    assert_eq!(pacemaker.find(None).manager(), Manager::None);
    let pacemaker =
        pacemaker.file("var/lib/pacemaker/cib/cib.xml", "<nvpair name=\"pgdata\" value=\"/srv/pg/15/main\"/>");
    assert_eq!(pacemaker.find(None).manager(), Manager::Pacemaker);
}

/// As Debian 12 has it: `patronictl pause`, `systemctl stop patroni@15-main`, and the server still in that unit's group.
#[test]
fn a_server_that_patroni_left_running_is_no_server_of_patronis_unit() {
    let machine = Machine::new()
        .file("etc/postgresql/15/main/postgresql.conf", "# by Patroni\ninclude 'postgresql.base.conf'\nport = '5432'\n")
        .file("etc/postgresql/15/main/postgresql.base.conf", "data_directory = '/srv/pg/15/main'\n")
        .file("etc/patroni/15-main.yml", "postgresql:\n  data_dir: /srv/pg/15/main\n")
        .file(
            "lib/systemd/system/patroni@.service",
            "[Service]\nUser=postgres\nExecStart=/usr/bin/patroni /etc/patroni/%i.yml\n",
        )
        .file("run/systemd/system/x.service", "[Unit]\n")
        .process(7, 1, "postgres", "/usr/lib/postgresql/15/bin/postgres -D /srv/pg/15/main")
        .file("proc/7/cgroup", "0::/system.slice/system-patroni.slice/patroni@15-main.service\n");
    let found = machine.find(Some(7));
    assert_eq!((found.manager(), found.local()), (Manager::Systemd, Manager::Systemd));
    assert_eq!(found.managers_unit.as_deref(), Some("patroni@15-main.service"));
    let commands = found.commands().unwrap();
    assert_eq!(commands.stop, "pg_ctlcluster 15 main stop");
    assert_eq!(commands.hold, "systemctl mask --runtime postgresql@15-main.service");
    let sighting = &found.sightings[0];
    assert!(!sighting.at_work && sighting.evidence.contains("belongs to patroni@15-main.service"), "{sighting:?}");
    let found = machine
        .process(9, 1, "patroni", "/usr/bin/python3 /usr/bin/patroni /etc/patroni/15-main.yml")
        .file("proc/9/cgroup", "0::/system.slice/system-patroni.slice/patroni@15-main.service\n")
        .find(Some(7));
    let told = found.at_work().unwrap().refused(Path::new(DATA));
    for words in [
        "process 9 is patroni (patroni@15-main.service)",
        "patronictl -c /etc/patroni/15-main.yml pause --wait",
        "systemctl stop patroni@15-main.service && systemctl disable patroni@15-main.service",
    ] {
        assert!(told.contains(words), "'{words}' is not in: {told}");
    }
    // elsewhere there is nothing else: it is stopped and started by its own programs
    let bare = Machine::new().file("srv/pg/15/main/patroni.dynamic.json", "{}").find(None);
    assert_eq!((bare.manager(), bare.local()), (Manager::Patroni, Manager::None));
}

#[test]
fn a_manager_of_another_cluster_is_none_of_this_one() {
    let other = "/usr/bin/python3 /usr/bin/patroni /etc/patroni/15-other.yml";
    let machine = Machine::new()
        .file("etc/patroni/15-other.yml", "postgresql:\n  data_dir: /srv/pg/15/other\n")
        .process(9, 1, "patroni", other)
        .file("proc/9/environ", "HOME=/var/lib/postgresql\0");
    assert_eq!(machine.find(None).manager(), Manager::None);
    // its environment goes before its file, and one that can't be read rules nothing out
    let machine = machine.file("proc/9/environ", "PATRONI_POSTGRESQL_DATA_DIR=/srv/pg/15/main\0");
    assert!(machine.find(None).sightings[0].at_work);
    assert!(Machine::new().process(9, 1, "patroni", other).find(None).sightings[0].at_work);
    let repmgr = |command: &str| {
        let machine = Machine::new().file("srv/r.conf", "data_directory = '/srv/pg/15/other'\n");
        machine.process(5, 1, "repmgrd", command).find(None).manager()
    };
    assert_eq!(repmgr("/usr/lib/postgresql/15/bin/repmgrd --config-file=/srv/r.conf"), Manager::None);
    assert_eq!(repmgr("/usr/lib/postgresql/15/bin/repmgrd -f /srv/unreadable.conf"), Manager::Repmgr);
    // who reads its files is not it
    assert_eq!(Machine::new().process(4, 1, "less", "less /etc/patroni").find(None), Managed::default());
    let by_hand = Machine::new().process(4, 1, "python3.11", "/opt/bin/python3.11 /opt/patroni.py x.yml");
    assert_eq!(by_hand.find(None).manager(), Manager::Patroni);
}

#[test]
fn pacemaker_has_it_by_its_agent_its_unit_or_its_directory() {
    let cib = "var/lib/pacemaker/cib/cib.xml";
    let machine = Machine::new().process(3, 1, "pacemakerd", "/usr/sbin/pacemakerd");
    assert!(machine.find(None).sightings[0].evidence.contains("may not read"));
    let machine = machine.file(cib, "<primitive class=\"systemd\" type=\"postgresql@15-main\"/>");
    assert!(machine.find(None).sightings[0].evidence.contains("has a resource of PostgreSQL's"));
    let machine = machine
        .file(cib, "<primitive type=\"IPaddr2\"/>")
        .process(7, 1, "postgres", "postgres")
        .file("proc/7/cgroup", "0::/system.slice/pacemaker.service\n");
    assert_eq!(machine.find(None).manager(), Manager::None);
    let found = machine.find(Some(7));
    assert!(found.sightings[0].at_work && found.unit.is_none(), "{found:?}");
}

#[test]
fn whoever_starts_it_again_stands_above_it() {
    let found = Machine::new()
        .process(2, 1, "supervisord", "/usr/bin/python3 /usr/bin/supervisord")
        .process(3, 2, "sh", "/bin/sh run")
        .process(4, 3, "postgres", "postgres")
        .find(Some(4));
    assert_eq!(found.manager(), Manager::Other);
    assert!(found.sightings[0].evidence.contains("supervisord"), "{found:?}");
}

#[test]
fn text_from_files_is_cleaned() {
    let found = Machine::new()
        .file("etc/postgresql/15/ma\u{1b}[2Jin/postgresql.conf", "data_directory = '/srv/pg/15/main'\n")
        .find(None);
    assert!(!format!("{found:?}").contains("\\u{1b}"), "{found:?}");
}
