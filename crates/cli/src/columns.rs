//! What the API answers, as a person reads it: a list as a table, one resource as a sheet of names and values.
//!
//! Values are taken as they come, so that a member that is new in the API is shown without a change here. Text from elsewhere loses its
//! control characters: what a receiver has answered must not move the cursor.

use std::fmt::Write;

use serde_json::Value;

use crate::client::printable;

/// What a longer cell pushes the next column out of.
const CELL_COLUMNS_MAX: usize = 60;

/// A column: its title, and where in an entry its value is (a JSON pointer).
pub type Column = (&'static str, &'static str);

/// A table with a line for each entry.
pub fn table(entries: &[Value], columns: &[Column]) -> String {
    let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let row = |entry: &Value| columns.iter().map(|(_, at)| cell(entry.pointer(at).unwrap_or(&Value::Null))).collect();
    lines(std::iter::once(titles).chain(entries.iter().map(row)).collect())
}

/// The members of a resource, a line each: those of `first` in this order, then the others by name. Members of `apart` are left out.
pub fn sheet(resource: &Value, first: &[&str], apart: &[&str]) -> String {
    let Some(members) = resource.as_object() else {
        return String::new();
    };
    let named = first.iter().filter_map(|name| members.get_key_value(*name));
    let others = members.iter().filter(|(name, _)| !first.contains(&name.as_str()) && !apart.contains(&name.as_str()));
    lines(named.chain(others).map(|(name, value)| vec![name.clone(), cell(value)]).collect())
}

/// Columns of one width each, but the last.
fn lines(rows: Vec<Vec<String>>) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(|column| width(column).min(CELL_COLUMNS_MAX)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A value in one line.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "–".into(),
        Value::String(text) => printable(text),
        Value::Array(list) if list.is_empty() => "–".into(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{} {}", printable(name), cell(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_entry_and_columns_of_one_width() {
        let entries = [json!({"id": 1, "on": true, "types": ["A", "B"]}), json!({"id": 12, "on": null, "types": []})];
        let text = table(&entries, &[("id", "/id"), ("on", "/on"), ("types", "/types"), ("none", "/none")]);
        assert_eq!(text, "id  on   types  none\n1   yes  A, B   –\n12  –    –      –\n");
    }

    #[test]
    fn a_sheet_shows_every_member_that_is_not_shown_apart() {
        let resource = json!({"b": {"x": 1, "y": "z"}, "a": 1, "id": "e", "attempts": [1]});
        assert_eq!(sheet(&resource, &["id", "gone"], &["attempts"]), "id  e\na   1\nb   x 1, y z\n");
    }

    #[test]
    fn what_came_from_elsewhere_moves_no_cursor() {
        assert_eq!(table(&[json!({"a": "x\u{1b}[2Jy\nz"})], &[("a", "/a")]), "a\nx [2Jy z\n");
    }
}
