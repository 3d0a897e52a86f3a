#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const GB: u64 = 1 << 30;

fn facts(free: u64, bytes: u64) -> KeepFacts {
    let space = Space { file_system: 1, free_bytes: free };
    let part = |kind, from: &str, bytes| PartFacts {
        kind,
        from: from.into(),
        chest: format!("{from}.kept").into(),
        bytes,
        entries: 1000,
        space,
        reflink: false,
        obstacle: None,
        mounted: false,
        in_set: true,
    };
    let parts = vec![part(PartKind::Data, "/pg/main", bytes), part(PartKind::Tablespace(16384), "/ts/PG_15", bytes)];
    KeepFacts { parts, restored_bytes: 2 * bytes, elsewhere: None }
}

fn of(plan: &KeepPlan, keeping: Keeping) -> &KeepOption {
    plan.options.iter().find(|option| option.keeping == keeping).unwrap()
}

#[test]
fn with_space_it_is_renamed_and_restored_anew() {
    let plan = keep_plan(&facts(10 * GB, GB), &Speeds::default());
    let best = plan.recommended().unwrap();
    assert_eq!((best.keeping, best.restore, best.needs[&1]), (Keeping::Rename, RestoreKind::Fresh, 2 * GB));
    assert!(best.keep_seconds < 3.0 && best.restore_seconds > 10.0 && best.back_seconds.unwrap() < 3.0);
    assert!(best.parts.iter().all(|part| part.way == Way::Rename));
    let copy = of(&plan, Keeping::Copy);
    assert!(copy.is_open() && copy.restore == RestoreKind::Delta && copy.keep_seconds > 10.0);
}

#[test]
fn one_part_that_cant_be_renamed_closes_every_way_that_needs_it() {
    let mut facts = facts(10 * GB, GB);
    facts.parts[1].obstacle = Some("/ts is a mount point".into());
    let plan = keep_plan(&facts, &Speeds::default());
    assert!(of(&plan, Keeping::Rename).refused[0].contains("mount point"));
    assert!(of(&plan, Keeping::Copy).refused[0].contains("way back"));
    assert_eq!(plan.recommended(), None);
}

#[test]
fn without_space_reflinks_are_next_and_then_another_file_system() {
    let mut facts = facts(GB, GB);
    assert_eq!(keep_plan(&facts, &Speeds::default()).recommended(), None);
    facts.elsewhere = Some(("/mnt/usb/kept".into(), Space { file_system: 2, free_bytes: 3 * GB }));
    let plan = keep_plan(&facts, &Speeds::default());
    let best = plan.recommended().unwrap();
    assert_eq!((best.keeping, best.needs[&2]), (Keeping::CopyElsewhere, 2 * GB));
    assert_eq!(best.parts[1].chest, PathBuf::from("/mnt/usb/kept/16384"));
    facts.parts.iter_mut().for_each(|part| part.reflink = true);
    let plan = keep_plan(&facts, &Speeds::default());
    assert_eq!(plan.recommended().unwrap().keeping, Keeping::Reflink);
}

#[test]
fn nothing_is_recommended_that_has_no_way_back() {
    let plan = keep_plan(&facts(0, GB), &Speeds::default());
    assert_eq!(plan.recommended(), None);
    let last = plan.options.last().unwrap();
    assert!(last.keeping == Keeping::WalOnly && last.is_open() && last.back_seconds.is_none());
    assert!(last.costs[0].contains("no copy"));
    let standby = of(&plan, Keeping::Standby);
    assert!(standby.is_open() && standby.back_seconds.is_none() && standby.costs[0].contains("no copy is made here"));
    assert!(of(&plan, Keeping::Rename).refused[0].contains("0 bytes free, 2147483648 are needed"));
}

#[test]
fn a_tablespace_that_the_set_does_not_have_is_renamed_in_every_way() {
    let mut facts = facts(10 * GB, GB);
    facts.parts[1].in_set = false;
    let plan = keep_plan(&facts, &Speeds::default());
    let copy = of(&plan, Keeping::Copy);
    assert_eq!((copy.parts[0].way, copy.parts[1].way), (Way::Copy, Way::Rename));
    // where nothing is kept it would be written over
    for keeping in [Keeping::Standby, Keeping::WalOnly] {
        assert!(of(&plan, keeping).refused[0].contains("/ts/PG_15 is of a tablespace that is not in the set"));
    }
}

#[test]
fn a_cluster_that_lost_its_files_needs_room_for_the_whole_set() {
    let mut facts = facts(GB, 1 << 20);
    facts.restored_bytes = 5 * GB;
    let plan = keep_plan(&facts, &Speeds::default());
    assert_eq!(of(&plan, Keeping::Rename).needs[&1], 5 * GB);
    assert!(!of(&plan, Keeping::WalOnly).is_open());
}
