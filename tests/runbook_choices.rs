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
