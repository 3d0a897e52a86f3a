#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use super::*;
use crate::domain::info::decode;
use proptest::prelude::*;

const KEY: IndexKey = IndexKey([7; 32]);

/// Every sample there is in one inventory: stanzas of all shapes and versions.
fn inventory() -> Inventory {
    of_samples(|_| true)
}

fn of_samples(is_wanted: impl Fn(&str) -> bool) -> Inventory {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/info");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| is_wanted(file.file_name().unwrap().to_str().unwrap()));
    let documents = files.iter().filter_map(|file| decode(&std::fs::read(file).unwrap()).ok());
    let read_at = DateTime::from_timestamp(1_795_329_600, 123_456_789).unwrap();
    let mut all = Inventory { read_at, pgbackrest: "2.45".into(), warnings: vec!["a warning".into()], stanzas: vec![] };
    // What tells of one set only is not what an index is made of.
    let is_list = |stanza: &Stanza| {
        stanza.repositories.iter().flat_map(|repository| &repository.sets).all(|set| set.detail().is_none())
    };
    for document in documents {
        all.stanzas.extend(Inventory::from_info(document, read_at, "2.45").stanzas.into_iter().filter(is_list));
    }
    for (number, stanza) in all.stanzas.iter_mut().enumerate() {
        stanza.name = format!("{number} {}", stanza.name);
    }
    all
}

fn written(inventory: &Inventory) -> Vec<u8> {
    let mut writer = Writer::new(KEY);
    let mut file = vec![0; HEADER_BYTES];
    for stanza in &inventory.stanzas {
        file.extend(writer.stanza(stanza).unwrap());
    }
    let (outline, header) = writer.finish(inventory).unwrap();
    file.extend(outline);
    file[..HEADER_BYTES].copy_from_slice(&header);
    file
}

/// Reads all of it, as the engine does by position.
fn read(file: &[u8], key: IndexKey) -> Result<Inventory, Damage> {
    let part = |offset: u64, length: u64| {
        let (from, to) = (offset as usize, offset.checked_add(length).ok_or(Damage::Damaged)? as usize);
        file.get(from..to).ok_or(Damage::Damaged)
    };
    let header = part(0, HEADER_BYTES as u64)?.try_into().unwrap();
    let place = outline_place(header, file.len() as u64, key)?;
    let outline = outline(&place, part(place.offset, place.length)?)?;
    let mut stanzas = Vec::new();
    for known in &outline.known.stanzas {
        let place = outline.place(&known.name).unwrap();
        let stanza = place.stanza(part(place.offset, place.length)?)?;
        assert_eq!(*known, KnownStanza::short(&stanza));
        stanzas.push(stanza);
    }
    let Known { read_at, pgbackrest, warnings, .. } = outline.known;
    Ok(Inventory { read_at, pgbackrest, warnings, stanzas })
}

#[test]
fn what_is_written_is_read_back() {
    let inventory = inventory();
    assert!(inventory.stanzas.len() > 10, "{}", inventory.stanzas.len());
    assert_eq!(read(&written(&inventory), KEY).as_ref(), Ok(&inventory));
    let none = Inventory { stanzas: Vec::new(), ..inventory };
    assert_eq!(read(&written(&none), KEY), Ok(none));
}

#[test]
fn every_cut_is_detected() {
    let file = written(&inventory());
    for length in 0..file.len() {
        assert!(read(&file[..length], KEY).is_err(), "cut to {length} of {}", file.len());
    }
    let mut longer = file;
    longer.push(0);
    assert_eq!(read(&longer, KEY), Err(Damage::Damaged));
}

/// What was begun and not finished has no header.
#[test]
fn an_unfinished_one_is_foreign() {
    let mut file = written(&inventory());
    file[..HEADER_BYTES].fill(0);
    assert_eq!(read(&file, KEY), Err(Damage::Foreign));
}

#[test]
fn another_configuration_is_told_apart() {
    assert_eq!(read(&written(&inventory()), IndexKey([8; 32])), Err(Damage::OtherKey));
}

/// Who changes what is written raises [`FORMAT`], and takes the new sum from here.
#[test]
fn a_changed_form_has_a_number_of_its_own() {
    let inventory = of_samples(|name| ["05", "13", "34", "35"].iter().any(|number| name.starts_with(number)));
    let mut writer = Writer::new(KEY);
    let sums: Vec<u8> = inventory.stanzas.iter().flat_map(|stanza| writer.stanza(stanza).unwrap()).collect();
    let (outline, _) = writer.finish(&inventory).unwrap();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&sums), &outline);
    assert_eq!((FORMAT, format!("{sum:08x}").as_str()), (1, "3c99a460"));
}

proptest! {
    #[test]
    fn every_flip_is_detected(at: prop::sample::Index, mask in 1u8..) {
        let mut file = written(&inventory());
        let at = at.index(file.len());
        file[at] ^= mask;
        prop_assert!(read(&file, KEY).is_err(), "byte {at} ^ {mask}");
    }

    #[test]
    fn any_bytes_are_no_index(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes, KEY).is_err());
    }
}
