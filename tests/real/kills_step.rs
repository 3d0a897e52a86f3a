//! The restore's own processes killed: nothing is run again while a worker of it lives, and then it completes.

use crate::kills_support::{self as kills, BOTH, Drill, Frozen};
use crate::lab::{self, Lab};
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::status::StepStatus;
use rustix::process::Signal;

/// A drill whose restore has been stopped while its main process and at least one worker were alive.
struct Caught {
    lab: Lab,
    drill: Drill,
    run: std::process::Child,
    main: u32,
    workers: Vec<u32>,
    frozen: Frozen,
}

/// Enough for the workers to be seen at work: `megabytes` of rows that don't compress, in a full backup.
fn with_data(megabytes: u32) -> Lab {
    let lab = lab::running();
    lab.sql("CREATE TABLE ballast (part text)");
    lab.sql("ALTER TABLE ballast ALTER part SET STORAGE EXTERNAL");
    lab.sql(&format!(
        "INSERT INTO ballast SELECT (SELECT string_agg(md5(part || ' ' || piece), '') FROM generate_series(1, 1024) AS piece)
         FROM generate_series(1, {}) AS part",
        megabytes * 32
    ));
    lab.pgbackrest(&["--repo=1", "--type=full", "backup"]);
    lab.stop();
    lab
}

fn catch(megabytes: u32) -> Caught {
    let lab = with_data(megabytes);
    let run = kills::spawn_run(&lab, &BOTH);
    let mut drill = Drill::begun(&lab, &[]);
    let main = drill.started("restore", 1).process.pid;
    let data = lab.layout.drills().join(drill.folder.id.as_str());
    loop {
        let workers = kills::children_of(&[main]);
        // From the manifest on a restore can be taken up again.
        if !workers.is_empty() && written(&data).iter().any(|name| name == "backup.manifest") {
            break;
        }
        assert!(drill.run().ended.is_none() && kills::is_alive(main), "the restore was over before it was caught");
        std::thread::yield_now();
    }
    let frozen = Frozen::tree(main);
    let workers: Vec<u32> = frozen.pids().iter().copied().filter(|pid| *pid != main).collect();
    assert!(!workers.is_empty());
    Caught { lab, drill, run, main, workers, frozen }
}

/// A drill whose restore has been stopped when it had made directories and not yet written its manifest.
fn catch_before_its_manifest() -> Caught {
    let lab = lab::copy();
    let mut known = Vec::new();
    // Some milliseconds: where they are missed the drill is given up, and the next one tried.
    for _ in 0..10 {
        let run = kills::spawn_run(&lab, &BOTH);
        let mut drill = Drill::begun(&lab, &known);
        known.push(drill.folder.id.clone());
        let main = drill.started("restore", 1).process.pid;
        let data = lab.layout.drills().join(drill.folder.id.as_str());
        let manifest = data.join("data/backup.manifest");
        while kills::is_alive(main) && !written(&data).iter().any(|name| name == "base") {}
        let frozen = Frozen::tree(main);
        if kills::is_alive(main) && std::fs::metadata(manifest).is_ok_and(|found| found.len() == 0) {
            return Caught { lab, drill, run, main, workers: Vec::new(), frozen };
        }
        frozen.thaw();
        lab::assert_done(&lab.run_lifeboat(&["abort", drill.folder.id.as_str()]), "lifeboat abort");
        kills::exit_of(run);
    }
    panic!("no restore was caught before it had written its manifest");
}

#[test]
fn it_is_killed_before_anything_tells_a_delta_restore_where_it_is() {
    let mut caught = catch_before_its_manifest();
    kills::kill(caught.main, Signal::KILL);
    caught.frozen = caught.frozen.forget();
    caught.completes("signal 9");
}

/// The names in the data directory below the drill's directory, whatever that is called.
fn written(directory: &std::path::Path) -> Vec<String> {
    let names = |path: &std::path::Path| -> Vec<String> {
        std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()
    };
    names(&directory.join("data"))
}

impl Caught {
    /// What `lifeboat resolve … again` says and how it ends.
    fn again(&self) -> (Option<i32>, String) {
        let output = self.lab.run_lifeboat(&["resolve", self.drill.folder.id.as_str(), "restore", "again"]);
        (output.status.code(), kills::text(&output))
    }

    /// The step is unknown, `run` has said so, and running it again completes the drill.
    fn completes(mut self, evidence: &str) {
        self.drill.until(
            "the restore is unknown",
            |event| matches!(event, RunEvent::StepUnknown { step, .. } if step.as_str() == "restore"),
        );
        assert_eq!(kills::exit_of(self.run), Some(5), "{}", kills::said(&self.lab, "run.txt"));
        let said = kills::said(&self.lab, "run.txt");
        assert!(said.contains("nobody saw how it ended") && said.contains(evidence), "{said}");
        assert_eq!(self.drill.marked_step("restore", 1), []);
        let output = self.lab.run_lifeboat(&["resolve", self.drill.folder.id.as_str(), "restore", "again"]);
        lab::assert_done(&output, "lifeboat resolve");
        self.drill.until("the second restore", |event| kills::is_started(event, "restore", 2));
        self.drill.until("the last gate", |event| kills::is_gate(event, "remove-gate"));
        let output = self.lab.run_lifeboat(&["approve", self.drill.folder.id.as_str(), "remove-gate", "main"]);
        lab::assert_done(&output, "lifeboat approve");
        let output = kills::attach(&self.lab, &self.drill);
        assert_eq!(output.status.code(), Some(0), "{}", kills::text(&output));
        self.drill.until("the end", kills::is_end);
        assert_eq!(self.drill.run().outcome_word(), "done");
        assert_eq!(self.drill.steps_started("restore"), 2);
        self.drill.assert_nothing_ran_twice();
        assert_eq!(self.drill.marked(), []);
    }
}

#[test]
fn the_main_process_is_killed() {
    let mut caught = catch(24);
    kills::kill(caught.main, Signal::KILL);
    // Its step process ends what was left behind; stopped as it is, that takes until KILL.
    let (code, said) = caught.again();
    caught.drill.read_on(std::time::Duration::ZERO);
    if caught.drill.run().unknown().next().is_none() {
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("of the step are still alive"), "{said}");
    }
    caught.frozen = caught.frozen.forget();
    caught.completes("signal 9");
}

#[test]
fn the_step_process_is_killed() {
    let caught = catch(24);
    kills::kill(caught.drill.step_process("restore", 1), Signal::KILL);
    lab::wait_until("the step process is gone", || !kills::is_alive(caught.drill.step_process("restore", 1)));
    let (code, said) = caught.again();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("of the step are still alive"), "{said}");
    let Caught { lab, drill, run, main, workers, frozen } = caught;
    frozen.thaw();
    // The restore itself goes on and ends well, but nobody is left to write that down.
    Caught { lab, drill, run, main, workers, frozen: Frozen::nothing() }.completes("without writing down an outcome");
}

#[test]
fn both_are_killed_and_workers_write_on() {
    let mut caught = catch(24);
    let step_process = caught.drill.step_process("restore", 1);
    kills::kill(step_process, Signal::KILL);
    kills::kill(caught.main, Signal::KILL);
    lab::wait_until("both are gone", || !kills::is_alive(step_process) && !kills::is_alive(caught.main));
    for _ in 0..2 {
        let (code, said) = caught.again();
        assert_eq!(code, Some(5), "{said}");
        let number = format!("{} processes of the step are still alive", caught.workers.len());
        assert!(said.contains(&number), "{number}: {said}");
        // Neither does another runner take it for over.
        caught.drill.read_on(std::time::Duration::ZERO);
        assert!(caught.drill.kill_runner());
    }
    caught.drill.read_on(std::time::Duration::ZERO);
    let (_, state) = caught.drill.run().step(&"restore".to_owned().try_into().unwrap()).unwrap();
    assert_eq!((state.status, state.attempt), (StepStatus::Running, 1));
    let Caught { lab, drill, run, main, workers, frozen } = caught;
    workers.iter().for_each(|worker| kills::kill(*worker, Signal::KILL));
    drop(frozen);
    Caught { lab, drill, run, main, workers, frozen: Frozen::nothing() }.completes("without writing down an outcome");
}
