//! How deep a JSON text nests, found without parsing it: what runs before anything that recurses or allocates by depth.

/// Whether no more than `max` objects and arrays are open at once anywhere in `json`.
///
/// Any bytes are fine: it counts brackets outside of strings and judges nothing else.
pub fn depth_within(json: &[u8], max: usize) -> bool {
    // Most events open fewer brackets in all than may be nested, and counting takes a tenth of the walk's time.
    openers(json) <= max || walk(json, max)
}

/// How many opening brackets there are, in strings too. Sums of bytes over at most 255 of them, so that the compiler uses wide
/// registers: a plain `count` is no faster than the walk.
fn openers(json: &[u8]) -> usize {
    // `[` and `{` differ in this one bit, and no other byte becomes `{` by setting it.
    let opens = |b: &u8| u8::from(b | 0x20 == b'{');
    json.chunks(255).map(|chunk| usize::from(chunk.iter().map(opens).sum::<u8>())).sum()
}

fn walk(json: &[u8], max: usize) -> bool {
    let mut depth = 0usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' if depth == max => return false,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    true
}

/// Goes past the closing quote, or to the end where there is none.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brackets_count_only_outside_of_strings() {
        assert!(depth_within(br#"{"a":[1]}"#, 2));
        assert!(!depth_within(br#"{"a":[1]}"#, 1));
        assert!(depth_within(br#"["[[[[","\"[[[[","\\"]"#, 1));
        assert!(!depth_within(br#"["\\",["x"]]"#, 1));
        assert!(depth_within(b"1", 0));
    }

    #[test]
    fn siblings_do_not_add_up() {
        assert!(depth_within(b"[[],[],[],[]]", 2));
    }

    proptest! {
        #[test]
        fn n_brackets_are_n_deep(n in 0usize..200, max in 0usize..200) {
            let json = [vec![b'['; n], vec![b']'; n]].concat();
            prop_assert_eq!(depth_within(&json, max), n <= max);
        }

        #[test]
        fn counting_first_changes_no_answer(json in "[\\[\\]{}\"\\\\x]{0,40}", max in 0usize..8) {
            prop_assert_eq!(depth_within(json.as_bytes(), max), walk(json.as_bytes(), max));
        }
    }
}
