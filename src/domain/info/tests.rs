//! The fast and the general road against each other.

#![expect(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

use crate::domain::info::{canonical, parse_generally, repair::repair};
use proptest::prelude::*;

const SAMPLES: [&str; 6] = [
    include_str!("../../../tests/fixtures/info/05-full-diff-incr-annotation.json"),
    include_str!("../../../tests/fixtures/info/06-set-incr.json"),
    include_str!("../../../tests/fixtures/info/11-archive-info-missing.json"),
    include_str!("../../../tests/fixtures/info/21-stanza-upgrade-two-db.json"),
    include_str!("../../../tests/fixtures/info/34-v2.59.1-restore-running.json"),
    include_str!("../../../tests/fixtures/info/35-v2.59.1-block-incr.json"),
];

/// What the fast road accepts is what the general one reads.
fn agree(text: &str) -> bool {
    let Some(fast) = canonical::parse(text) else { return false };
    let general =
        parse_generally(text).unwrap_or_else(|failure| panic!("{} {}: {text}", failure.what, failure.position));
    assert_eq!(fast, general, "{text}");
    true
}

#[test]
fn samples_take_the_fast_road() {
    for sample in SAMPLES {
        assert!(agree(sample), "{sample}");
        let (stanzas, length) = canonical::parse(sample).unwrap();
        assert_eq!((stanzas.len(), length), (1, sample.len()));
    }
}

/// Pieces that are legal or nearly so, put where they may matter.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\\u001b".to_owned()),
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just(",".to_owned()),
        Just("null".to_owned()),
        Just("0".to_owned()),
        Just("1e3".to_owned()),
        Just("-".to_owned()),
        Just(".5".to_owned()),
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("[]".to_owned()),
        Just("]".to_owned()),
        Just("}".to_owned()),
        Just("é\u{202e}".to_owned()),
        Just("20261122-064008F".to_owned()),
        Just("99999999999999999999".to_owned()),
        "[ -~]{1,3}",
    ]
}

fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at % (text.len() + 1)).rev().find(|&place| text.is_char_boundary(place)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 12, ..ProptestConfig::default() })]

    #[test]
    fn fast_and_general_agree(sample in 0usize..6, at: usize, length in 0usize..40, new in piece()) {
        let text = SAMPLES[sample];
        let start = char_boundary(text, at);
        let end = char_boundary(text, (start + length).min(text.len())).max(start);
        agree(&format!("{}{new}{}", &text[..start], &text[end..]));
        agree(&format!("{}{new}{}", &text[..start], &text[start..]));
    }

    #[test]
    fn fast_and_general_agree_on_numbers_and_lists(
        numbers in proptest::collection::vec("0|[1-9][0-9]{0,20}|0[0-9]", 6),
        references in proptest::collection::vec("20261122-064008F(_2026112[0-9]-000000[DI])?", 0..4),
        annotation in "([a-zа-я ]{1,5}\":\"[a-zа-я\u{202e} ]{0,5}\",\"){0,2}x\":\"",
        lsn in "[0-9A-F]{1,9}/[0-9A-F]{1,8}",
    ) {
        let list: Vec<String> = references.iter().map(|label| format!("\"{label}\"")).collect();
        let list = if list.is_empty() { "null".to_owned() } else { format!("[{}]", list.join(",")) };
        let set = format!(
            r#"{{"annotation":{{"{annotation}"}},"archive":{{"start":"000000010000000000000003","stop":"000000010000000000000003"}},"backrest":{{"format":5,"version":"2.45"}},"database":{{"id":{},"repo-key":1}},"error":false,"info":{{"delta":{},"repository":{{"delta":{},"size":{}}},"size":{}}},"label":"20261122-064008F_20261129-000000I","lsn":{{"start":"{lsn}","stop":"0/1"}},"prior":null,"reference":{list},"timestamp":{{"start":{},"stop":9}},"type":"incr"}}"#,
            numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
        );
        // Three in a row, since the reader remembers the one before.
        let shorter = set.replace(&list, "[\"20261122-064008F\"]");
        agree(&format!(r#"[{{"archive":[],"backup":[{shorter},{set},{set}],"name":"x","status":{{"code":0}}}}]"#));
    }

    #[test]
    fn a_repaired_place_is_the_place(bytes in proptest::collection::vec(any::<u8>(), 0..80), at: usize) {
        let whole = [b"[\"", &bytes[..], b"\"]"].concat();
        if let Some(repaired) = repair(&whole) {
            let place = at % (repaired.text.len() + 1);
            prop_assert!(repaired.original(place) <= whole.len() + 6);
            prop_assert_eq!(repaired.original(repaired.text.len()), whole.len());
            prop_assert!(bytes.contains(&b'"') || !repaired.text.contains(|letter| letter < ' ') || !bytes.is_ascii());
        }
    }
}
