//! Any bytes as a fact of the log: an error, or a fact that encodes to bytes that read as the same fact and encode to the same bytes.

use postrider_core::fact::Fact;
use postrider_core::{Position, Time};
use postrider_log::codec;

const TIME: Time = Time(1_771_497_000_000);

pub fn run(bytes: &[u8]) {
    let position = Position::new(300, 2);
    let Ok(record) = codec::decode(position, TIME, bytes) else { return };
    let written = encoded(&record.fact);
    let again = codec::decode(position, TIME, &written).expect("what was written can be read");
    assert_eq!(again, record);
    assert_eq!(encoded(&again.fact), written, "one fact has one form");
}

fn encoded(fact: &Fact) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(fact, TIME, &mut bytes);
    bytes
}
