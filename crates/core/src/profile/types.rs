//! The types of JSON values as a schema names them.

/// A set of JSON's types, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(pub u8);

impl Types {
    pub const NULL: Types = Types(1);
    pub const BOOLEAN: Types = Types(2);
    pub const INTEGER: Types = Types(4);
    /// A number that is no integer; the schema's `number` is this and `INTEGER`.
    pub const FRACTION: Types = Types(8);
    pub const STRING: Types = Types(16);
    pub const ARRAY: Types = Types(32);
    pub const OBJECT: Types = Types(64);
    pub const ANY: Types = Types(127);

    /// The type of a value by its first byte; `raw` is valid JSON without space around it.
    pub fn of(raw: &str) -> Types {
        match raw.as_bytes().first() {
            Some(b'"') => Types::STRING,
            Some(b'{') => Types::OBJECT,
            Some(b'[') => Types::ARRAY,
            Some(b't' | b'f') => Types::BOOLEAN,
            Some(b'n') => Types::NULL,
            _ if is_integer(raw) => Types::INTEGER,
            _ => Types::FRACTION,
        }
    }

    pub fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub fn has(self, kind: Types) -> bool {
        self.0 & kind.0 != 0
    }

    /// `a string, a number or null`.
    pub fn describe(self) -> String {
        let number = Types::INTEGER.with(Types::FRACTION);
        let named = [
            (Types::OBJECT, "an object"),
            (Types::ARRAY, "an array"),
            (Types::STRING, "a string"),
            (number, "a number"),
            (Types::INTEGER, "an integer"),
            (Types::BOOLEAN, "a boolean"),
            (Types::NULL, "null"),
        ];
        let mut left = self;
        let mut words = Vec::new();
        for (kinds, word) in named {
            if left.0 & kinds.0 == kinds.0 {
                left = Types(left.0 & !kinds.0);
                words.push(word);
            }
        }
        list(&words)
    }
}

/// `a, b or c`.
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => "nothing".into(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// As JSON Schema counts: `2`, but `2.0` and `2e3` as well.
fn is_integer(number: &str) -> bool {
    let plain = !number.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    plain || number.parse::<f64>().is_ok_and(is_integral)
}

/// Whether a number is whole; an infinite one, which is what too large a literal becomes, is not.
pub(super) fn is_integral(number: f64) -> bool {
    number.fract() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_type_that_it_begins_like() {
        let cases = [("\"1\"", Types::STRING), ("{}", Types::OBJECT), ("[1]", Types::ARRAY), ("null", Types::NULL)];
        for (raw, types) in cases.into_iter().chain([("true", Types::BOOLEAN), ("false", Types::BOOLEAN)]) {
            assert_eq!(Types::of(raw), types, "{raw}");
        }
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        for raw in ["0", "-1", "2.0", "2e3", "1.5e1", "123456789012345678901234567890"] {
            assert_eq!(Types::of(raw), Types::INTEGER, "{raw}");
        }
        for raw in ["0.5", "-1.25", "1e-1", "1e400"] {
            assert_eq!(Types::of(raw), Types::FRACTION, "{raw}");
        }
    }

    #[test]
    fn types_are_told_in_words() {
        let number = Types::INTEGER.with(Types::FRACTION);
        assert_eq!(Types::STRING.with(number).with(Types::NULL).describe(), "a string, a number or null");
        assert_eq!(Types::INTEGER.describe(), "an integer");
    }
}
