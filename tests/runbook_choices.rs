//! Rules about decisions: each mistake is found with its line and column.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::runbook::SHIPPED;

/// The shipped recovery in place with one change has one finding with this gist, which points into the quotes of
/// `place`, a text that the changed runbook has once.
#[track_caller]
fn finds(from: &str, to: &str, place: &str, gist: &str) {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let changed = text.replace(from, to);
    assert_eq!(changed.matches(place).count(), 1, "{place}");
    let before = &changed[..changed.find(place).unwrap()];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 2;
    let found = lint(&changed, &VOCABULARY).unwrap_err();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    let told: Vec<_> = found.iter().filter(|finding| finding.what.contains(gist)).collect();
    assert_eq!(told.len(), 1, "{shown:#?}");
    assert_eq!((told[0].line, told[0].column), (line, column), "{shown:#?}");
}

const BACK: &str = "{ id = \"back\", title = \"restore again to an earlier (or any other) target\", \
                    back_to = \"goal\", asks = [\"target\"] }";

#[test]
fn a_way_back_leads_to_an_earlier_step() {
    let to = BACK.replace("\"goal\"", "\"gaol\"");
    finds(BACK, &to, "\"gaol\"", "'back_to' names 'gaol', which is no step before it");
    let to = BACK.replace("\"goal\"", "\"promote-gate\"");
    finds(BACK, &to, "\"promote-gate\", asks", "'back_to' names 'promote-gate'");
}

#[test]
fn what_gives_up_does_not_lead_back() {
    let from = "title = \"bring the kept cluster back as it was\", gives_up = true";
    let to = "title = \"bring the kept cluster back as it was\", back_to = \"look\", gives_up = true";
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    let found = lint(&text.replace(from, to), &VOCABULARY).unwrap_err();
    assert!(found.iter().any(|finding| finding.what == "choice 'give-up' gives up and leads back"), "{found:?}");
}

#[test]
fn a_target_is_asked_for_only_where_it_is_read() {
    let from = "title = \"this is the state to keep: make it final\" }";
    let to = "title = \"this is the state to keep: make it final\", asks = [\"target\"] }";
    let gist = "choice 'promote' asks for a target that no step on its way reads";
    finds(from, to, "\"promote\", title = \"this is", gist);
}

#[test]
fn nothing_that_outlives_the_run_is_started_where_the_run_may_go_back() {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    let goal = text.find("[[step]]\nid = \"stop-first\"").unwrap();
    let step = "[[step]]\nid = \"hand\"\nkind = \"command\"\ntitle = \"x\"\nwhy = \"x\"\nargv = [\"/bin/true\"]\n\
                release = true\nfailure = \"x\"\nrepeat = \"x\"\n\n";
    let changed = format!("{}{step}{}", &text[..goal], &text[goal..]);
    let found = lint(&changed, &VOCABULARY).unwrap_err();
    let line = text[..goal].matches('\n').count() + 1;
    assert_eq!(found.len(), 2, "one for each way back: {found:?}");
    for finding in &found {
        assert!(finding.what.contains("before step 'hand', which starts what outlives the run"), "{finding}");
        assert_eq!((finding.line, finding.column), (line, 1));
    }
}

#[test]
fn what_depends_on_a_choice_names_one_there_is() {
    let from = "only_choice = { step = \"inspect\", is = [\"forward\", \"back\"] }";
    let to = "only_choice = { step = \"inspect\", is = [\"forward\", \"back\", \"bakc\"] }";
    finds(from, to, "\"bakc\"", "'inspect' has no choice 'bakc'");
    let to = "only_choice = { step = \"inspect\", is = [\"promote\", \"forward\", \"back\"] }";
    finds(from, to, "\"promote\", \"forward\"", "step 'stop-first' is never due after 'promote'");
}

/// The shipped recovery in place with one change has exactly these findings, whatever their order.
#[track_caller]
fn only_finds(from: &str, to: &str, gists: &[&str]) {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let found = lint(&text.replace(from, to), &VOCABULARY).unwrap_err();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), gists.len(), "{shown:#?}");
    for gist in gists {
        assert!(shown.iter().any(|line| line.contains(gist)), "'{gist}' is not in {shown:#?}");
    }
}

const PROMOTE: &str = "{ id = \"promote\", title = \"this is the state to keep: make it final\" }";

#[test]
fn a_choice_has_a_name_of_its_own() {
    let to = PROMOTE.replace("id = \"promote\"", "id = \"Make it so\"");
    finds(PROMOTE, &to, "\"Make it so\"", "'Make it so' can't name a choice");
    let to = format!("{PROMOTE},\n  {{ id = \"give-up\", title = \"twice\", gives_up = true }}");
    only_finds(PROMOTE, &to, &["a second choice 'give-up'"]);
}

#[test]
fn one_choice_at_least_leads_on() {
    let to = "{ id = \"promote\", title = \"this is the state to keep: make it final\", gives_up = true }";
    only_finds(PROMOTE, to, &["no choice of decision 'inspect' leads on"]);
}

#[test]
fn a_server_is_stopped_on_every_way_back_to_before_it() {
    let from = "only_choice = { step = \"inspect\", is = [\"forward\", \"back\"] }";
    let to = "only_choice = { step = \"inspect\", is = [\"forward\"] }";
    let gist = "choice 'back' leads back to before server 'look', and nothing stops it on the way";
    finds(from, to, "\"back\", title = \"restore again", gist);
}

#[test]
fn what_depends_on_a_choice_names_a_decision() {
    let from = "title = \"Promote\"";
    let step = |only: &str| {
        format!(
            "title = \"Promote\"\n[[step]]\nid = \"extra\"\nkind = \"note\"\ntitle = \"x\"\ntext = \"x\"\n{only}\n[[step]]\n\
                 id = \"promote-2\"\nkind = \"sql\"\ntitle = \"x\""
        )
    };
    let gist = |only: &str| {
        let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
        let found = lint(&text.replace(from, &step(only)), &VOCABULARY).unwrap_err();
        let of_extra =
            found.into_iter().filter(|finding| finding.what.contains("decision '") || finding.what.contains("'extra'"));
        of_extra.map(|finding| finding.to_string()).collect::<Vec<_>>().join("\n")
    };
    let near = gist("only_choice = { step = \"inspekt\", is = [\"promote\"] }");
    assert!(near.contains("there is no decision 'inspekt': 'inspect' is probably meant"), "{near}");
    let far = gist("only_choice = { step = \"look\", is = [\"promote\"] }");
    assert!(far.contains("there is no decision 'look': name a step of kind decision"), "{far}");
    let nothing = gist("only_choice = { step = \"inspect\", is = [] }");
    assert!(nothing.contains("step 'extra' is never due: 'only_choice' allows nothing"), "{nothing}");
    let late = gist("only_choice = { step = \"inspect\", is = [\"promote\"], first = true }");
    assert!(late.contains("step 'extra' stands behind 'inspect', where something was chosen"), "{late}");
}

#[test]
fn a_decision_does_not_depend_on_itself() {
    let from = "title = \"Look, and choose the way on\"";
    let to = format!("{from}\nonly_choice = {{ step = \"inspect\", is = [\"back\"] }}");
    only_finds(from, &to, &["decision 'inspect' depends on itself"]);
}

#[test]
fn after_every_choice_a_gate_of_its_own_stands_before_what_is_destroyed() {
    // The gate is for another choice, and one from before the decision would count.
    let gate = "id = \"undo-gate\"\nkind = \"gate\"\ntitle = \"Bring the kept cluster back\"\n\
                why = \"What was restored is set aside, not deleted; production is then as it was when it was stopped.\"\n\
                only_choice = { step = \"inspect\", is = [\"give-up\"] }";
    let other = gate.replace("give-up", "promote");
    let gist = "no gate between choice 'give-up' of 'inspect' and the destructive step 'put-back' is due then";
    only_finds(gate, &other, &[gist, "but step 'since-kept' may be skipped when it is not"]);
}

/// Who reads a hold has to know what each answer does there, and before the promotion that another way is open.
#[test]
fn every_hold_behind_the_look_says_what_its_answers_do() {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    let runbook = lint(text, &VOCABULARY).unwrap();
    let at = |name: &str| runbook.steps.iter().position(|step| step.id.as_str() == name).unwrap();
    let held = |from: &str| runbook.steps[at(from)..].iter().filter(|step| step.hold).collect::<Vec<_>>();
    let all = held("inspect");
    assert!(all.len() > 14, "{}", all.len());
    for step in &all {
        for answer in ["'done'", "'abort'"] {
            assert!(step.failure.contains(answer), "{answer} is not told in '{}': {}", step.id, step.failure);
        }
    }
    let open = |step: &&lifeboat::planning::runbook::RunbookStep| step.failure.contains("another way at 'inspect'");
    let before: Vec<&str> = all.iter().filter(|step| open(step)).map(|step| step.id.as_str()).collect();
    assert_eq!(before, ["history-free", "still"]);
}

/// The shipped recovery in place, step by step: its ids with their texts.
fn incident() -> Vec<(&'static str, &'static str)> {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    let steps = text.split("\n[[step]]\n").skip(1);
    steps.map(|step| (step.strip_prefix("id = \"").unwrap().split('"').next().unwrap(), step)).collect()
}

#[test]
fn the_incident_goes_in_the_order_that_lost_least() {
    let steps = incident();
    let at = |id: &str| steps.iter().position(|(own, _)| *own == id).unwrap_or_else(|| panic!("no step {id}"));
    let order = [
        // looked at while production runs, then the fence
        &["cluster", "managed", "hangs", "timers", "room", "fence", "jobs-held"][..],
        // what is in no repository yet is saved, and the target is known to be reached, before anything is stopped
        &["catalog", "switch", "archived", "save-wal", "aim", "stop-server", "stop-cluster", "stop-unit", "held-unit"],
        &["stopped", "save-wal-again", "save-settings", "keep", "goal", "overwrite", "left-alone", "restore"],
        // whose it is, all of it, and the WAL that no repository has, before it is started
        &["control", "whole", "redo", "place-wal", "set-target", "look", "paused", "seen", "probe", "inspect"],
        // the next timeline is free before, archiving is proven behind it, and nobody is let back before that
        &["history-free", "promote-gate", "promote", "archives", "first-commit", "arrived", "leftovers", "let-back"],
        &["stop-look", "start-server", "back", "commit", "compared", "still-to-do", "kept-cluster"],
    ]
    .concat();
    for pair in order.windows(2) {
        assert!(at(pair[0]) < at(pair[1]), "{} comes after {}", pair[0], pair[1]);
    }
}

#[test]
fn only_the_command_line_of_the_look_pauses_and_nothing_resumes() {
    let steps = incident();
    let step = |id: &str| steps.iter().find(|(own, _)| *own == id).unwrap().1;
    let pausing: Vec<&str> =
        steps.iter().filter(|(_, text)| text.contains("recovery_target_action=pause")).map(|(id, _)| *id).collect();
    assert_eq!(pausing, ["look"]);
    assert!(!steps.iter().any(|(_, text)| text.contains("pg_wal_replay_resume")));
    // The set, the repository and the timeline are named, and the one that WAL comes from is not.
    let restore = step("restore");
    for word in ["--set=${goal.set}", "--repo=${goal.repository}", "--target-timeline=${goal.timeline}"] {
        assert!(restore.contains(word), "{word}");
    }
    assert!(restore.contains("recovery_target_action=shutdown") && restore.contains("@{production-restore-command}"));
    for id in ["seen", "probe", "still", "promote", "first-commit", "commit"] {
        assert!(step(id).contains("kind = \"sql\""), "{id}");
    }
    assert!(step("probe").contains("statement_timeout = ") && step("probe").contains("lock_timeout = "));
}

#[test]
fn the_closing_list_is_whole_and_no_part_of_it_needs_what_another_part_does() {
    let steps = incident();
    let step = |id: &str| steps.iter().find(|(own, _)| *own == id).unwrap().1;
    let list = step("still-to-do");
    for item in
        ["--no-expire-auto", "Standbys past the fork", "Slots lost", "Subscribers and change capture", "Poolers"]
    {
        assert!(list.contains(item), "{item}");
    }
    assert!(list.contains("Timers and cron, as root: ${timers.re-arm}"));
    // Steps before the fence fail the run: who goes on has their values. What may be skipped by hand later is not in it.
    for skipped in ["${discarded", "${off.", "${compared", "${keep.", "${differs"] {
        assert!(!list.contains(skipped), "{skipped}");
    }
    assert!(step("to-raise").contains("${compared.sequences}") && step("thrown-away").contains("${discarded.where}"));
    assert!(step("kept-cluster").contains("lifeboat cleanup ${run}"));
}
