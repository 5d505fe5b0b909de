//! Any fact goes out and comes back the same; any bytes are read without a panic; and the bytes of today are the bytes of for ever.

mod any;
mod golden;

use postrider_core::{Position, Time, limits};
use proptest::prelude::*;

use super::{DecodeError, decode, encode};

fn bytes_of(record: &postrider_core::fact::Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&record.fact, record.time, &mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_fact_comes_back_as_it_went(record in any::record()) {
        let bytes = bytes_of(&record);
        prop_assert_eq!(decode(record.position, record.time, &bytes).expect("its own bytes"), record);
    }

    #[test]
    fn encoding_only_appends(record in any::record(), before in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut bytes = before.clone();
        encode(&record.fact, record.time, &mut bytes);
        prop_assert_eq!(&bytes[..before.len()], &before[..]);
        prop_assert_eq!(&bytes[before.len()..], bytes_of(&record));
    }

    #[test]
    fn bytes_after_the_end_are_refused(record in any::record(), extra in prop::collection::vec(any::<u8>(), 1..20)) {
        let mut bytes = bytes_of(&record);
        bytes.extend_from_slice(&extra);
        let refused = decode(record.position, record.time, &bytes);
        let is_trailing = matches!(refused, Err(DecodeError::Trailing { extra: n, .. }) if n == extra.len());
        prop_assert!(is_trailing, "{:?}", refused);
    }

    #[test]
    fn a_fact_cut_short_is_refused(record in any::record(), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&record);
        prop_assert!(decode(record.position, record.time, &bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_fact_with_another_byte_is_refused_or_read_but_never_panics(
        record in any::record(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = bytes_of(&record);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = decode(record.position, record.time, &bytes) {
            // What was read can be written: nothing gets in that could not go out.
            bytes_of(&read);
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(ordinal in 0u8..23, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes: Vec<u8> = std::iter::once(ordinal).chain(bytes).collect();
        let _ = decode(Position::new(3, 1), Time(1), &bytes);
    }
}

/// The largest fan-out, with ids and positions as long as they get in the life of a log, is within the decoder's limit.
#[test]
fn the_largest_facts_come_back() {
    for record in any::largest() {
        let bytes = bytes_of(&record);
        assert!(bytes.len() < limits::BLOCK_BYTES_MAX - limits::TURN_BYTES_TARGET, "{} bytes", bytes.len());
        assert!(decode(record.position, record.time, &bytes).is_ok_and(|read| read == record));
    }
}

#[test]
fn a_length_beyond_a_block_is_refused_before_it_is_believed() {
    // A renamed workspace whose name claims 2^60 bytes.
    let mut bytes = vec![2, 1, 0, 0xfd];
    bytes.extend_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(matches!(decode(Position::new(3, 1), Time(1), &bytes), Err(DecodeError::Malformed { .. })));
}

#[test]
fn a_position_outside_of_44_and_20_bits_is_refused() {
    // A deleted workspace at block 2^44.
    let mut bytes = vec![3, 0xfd];
    bytes.extend_from_slice(&(1u64 << 44).to_le_bytes());
    bytes.push(0);
    assert!(matches!(decode(Position::new(3, 1), Time(1), &bytes), Err(DecodeError::Malformed { .. })));
}
