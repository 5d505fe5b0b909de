//! The page about the API, made of its description: every operation with its parameters, body, answers and errors, then every type that they
//! name. `make api-reference` writes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

const HEAD: &str = "\
# API reference

<!-- Made of openapi.json: `make api-reference`. -->

Every operation of the API, made of its own description: [openapi.json](openapi.json), which a server answers `GET /openapi.json` with and
`postrider openapi` prints.

A key goes in the header `x-api-key`, or as `Authorization: Bearer KEY`. Bodies and answers are JSON. One resource is answered as
`{\"status\":\"success\",\"message\":…,\"data\":…}`, below as *`data`: its type*; a page of a list as `{\"data\":[…],\"meta\":…}`, below as *list of its
type*, with a [Meta](#meta) beside it. Times are RFC 3339 in UTC. An unknown member of a body or an unknown parameter is refused.
";

/// One schema of the description or a part of one.
type Schema = Value;

/// The page, for a description as the binary prints it.
///
/// # Panics
/// When the description is none.
pub fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let errors = errors(document);
    section(
        &mut page,
        "Errors",
        "An error is answered as an [ErrorBody](#errorbody). Those of an operation are listed with it.",
    );
    table(
        &mut page,
        ["status", "meaning"],
        errors.iter().map(|(status, meaning)| [format!("`{status}`"), meaning.clone()]),
    );
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        section(&mut page, &capital(name), text(&tag["description"]));
        for (path, method, operation) in operations(document).filter(|(.., operation)| operation["tags"][0] == name) {
            describe(&mut page, path, method, operation, &errors);
        }
    }
    section(
        &mut page,
        "Types",
        "Members without which a body is refused, and those that every answer has, are marked with *.",
    );
    for (name, schema) in members(&document["components"]["schemas"]) {
        if !name.contains('_') {
            describe_type(&mut page, name, schema);
        }
    }
    page
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = members(&document["paths"]);
    paths.flat_map(|(path, methods)| members(methods).map(move |(method, operation)| (path, method, operation)))
}

/// What most operations mean by each status.
fn errors(document: &Value) -> BTreeMap<String, String> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (status, response) in operations(document).flat_map(|(.., operation)| members(&operation["responses"])) {
        if !status.starts_with('2') {
            *counts.entry(status).or_default().entry(text(&response["description"])).or_default() += 1;
        }
    }
    let most = |meanings: BTreeMap<&str, usize>| {
        meanings.into_iter().max_by_key(|(_, count)| *count).map(|(text, _)| text.to_owned())
    };
    counts.into_iter().filter_map(|(status, meanings)| Some((status.to_owned(), most(meanings)?))).collect()
}

fn describe(page: &mut String, path: &str, method: &str, operation: &Value, errors: &BTreeMap<String, String>) {
    put(page, format_args!("\n### `{} {path}`\n\n{}\n", method.to_uppercase(), text(&operation["summary"])));
    if !operation["description"].is_null() {
        put(page, format_args!("\n{}\n", text(&operation["description"])));
    }
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        let row = |parameter: &Value| {
            let star = if parameter["required"] == true { "*" } else { "" };
            let said = [&parameter["description"], &parameter["schema"]["description"]].map(text);
            let meaning = cell(said.into_iter().find(|said| !said.is_empty()).unwrap_or_default());
            [
                format!("`{}`{star}", text(&parameter["name"])),
                text(&parameter["in"]).to_owned(),
                bounded(&parameter["schema"]),
                meaning,
            ]
        };
        table(page, ["parameter", "in", "type", "meaning"], parameters.iter().map(row));
    }
    let body = &operation["requestBody"];
    if body.is_object() {
        let forms: Vec<_> =
            members(&body["content"]).map(|(kind, form)| format!("`{kind}`: {}", named(&form["schema"]))).collect();
        let wanted = if body["required"] == true { "" } else { ", may be left out" };
        let said = format!("Body{wanted}, {}. {}", forms.join("; "), text(&body["description"]));
        put(page, format_args!("\n{}\n", said.trim_end()));
    }
    let (mut answers, mut refusals) = (Vec::new(), Vec::new());
    for (status, response) in members(&operation["responses"]) {
        let meaning = text(&response["description"]);
        let form = members(&response["content"]).next().map(|(_, form)| named(&form["schema"]));
        if status.starts_with('2') {
            answers.push([format!("`{status}`"), cell(meaning), form.unwrap_or_else(|| "none".into())]);
        } else if errors.get(status).is_some_and(|usual| usual == meaning) {
            refusals.push(format!("`{status}`"));
        } else {
            refusals.push(format!("`{status}` ({}: {})", meaning.trim_end_matches('.'), form.unwrap_or_default()));
        }
    }
    table(page, ["answer", "meaning", "body"], answers.into_iter());
    let key = if operation["security"][0].as_object().is_some_and(Map::is_empty) { "No key is needed. " } else { "" };
    match refusals.as_slice() {
        [] if key.is_empty() => {}
        [] => put(page, format_args!("\n{}\n", key.trim_end())),
        _ => put(page, format_args!("\n{key}Errors: {}.\n", refusals.join(", "))),
    }
}

fn describe_type(page: &mut String, name: &str, schema: &Schema) {
    put(page, format_args!("\n### {name}\n\n{}\n", text(&schema["description"])));
    let parts: Vec<&Schema> = schema["allOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
    for whole in parts.iter().filter(|part| !part["$ref"].is_null()) {
        put(page, format_args!("\nAll of {}, and:\n", named(whole)));
    }
    let rows: Vec<_> = parts.iter().flat_map(|part| rows(part)).collect();
    if !rows.is_empty() {
        table(page, ["member", "type", "meaning"], rows.into_iter());
    } else if schema["allOf"].is_null() {
        put(page, format_args!("\n{}.\n", capital(&bounded(schema))));
    }
}

/// Of the members of an object, those first that it has to have.
fn rows(schema: &Schema) -> Vec<[String; 3]> {
    let is_wanted = |name: &str| list(&schema["required"]).iter().any(|wanted| wanted == name);
    let mut all: Vec<_> = members(&schema["properties"]).collect();
    all.sort_by_key(|(name, _)| !is_wanted(name));
    let row = |(name, member): (&str, &Schema)| {
        let star = if is_wanted(name) { "*" } else { "" };
        [format!("`{name}`{star}"), bounded(member), cell(meaning(member))]
    };
    all.into_iter().map(row).collect()
}

/// What is said of a member, or of the type that it may have beside null.
fn meaning(member: &Schema) -> &str {
    let own = text(&member["description"]);
    let others = list(&member["oneOf"]).iter().map(|form| text(&form["description"]));
    if own.is_empty() { others.into_iter().find(|said| !said.is_empty()).unwrap_or_default() } else { own }
}

/// A type, with the values that it may have.
fn bounded(schema: &Schema) -> String {
    let mut said = named(schema);
    if schema["format"] == "date-time" {
        said = said.replace("string", "time");
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        put(&mut said, format_args!(", `{}`", pattern.replace('|', "\\|")));
    }
    // What an integer of 64 bits may be is bounded by its kind.
    let bound = |name: &str| Some(&schema[name]).filter(|bound| !bound.is_null());
    match (bound("minimum").filter(|least| **least != 0), bound("maximum")) {
        (least, Some(most)) => put(&mut said, format_args!(", {} to {most}", least.unwrap_or(&Value::from(0)))),
        (Some(least), None) => put(&mut said, format_args!(", {least} or more")),
        (None, None) => {}
    }
    if let Some(default) = bound("default") {
        put(&mut said, format_args!("; {default} by default"));
    }
    said
}

/// A type in words, with a link to what has its own heading.
fn named(schema: &Schema) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return match name.split_once('_') {
            Some(("One", inner)) => format!("`data`: {}", link(inner)),
            Some(("List", inner)) => format!("list of {}", link(inner)),
            _ => link(name),
        };
    }
    if !list(&schema["enum"]).is_empty() {
        let values: Vec<_> = list(&schema["enum"]).iter().map(|value| format!("`{}`", text(value))).collect();
        return values.join(", ");
    }
    let forms = list(&schema["oneOf"]);
    if !forms.is_empty() {
        let (nothing, real): (Vec<_>, Vec<_>) = forms.iter().partition(|form| form["type"] == "null");
        let names = real.into_iter().map(named).chain(nothing.into_iter().map(|_| "null".to_owned()));
        return names.collect::<Vec<_>>().join(" or ");
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect(),
        kind => vec![text(kind)],
    };
    let kind = |kind: &str| match kind {
        "array" => format!("array of {}", named(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", named(&schema["additionalProperties"]))
        }
        "" => "anything".to_owned(),
        other => other.to_owned(),
    };
    kinds.into_iter().map(kind).collect::<Vec<_>>().join(" or ")
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}

fn section(page: &mut String, heading: &str, said: &str) {
    put(page, format_args!("\n## {heading}\n\n{said}\n"));
}

fn table<const N: usize>(page: &mut String, head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    put(page, format_args!("\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(N)));
    for row in rows {
        put(page, format_args!("| {} |\n", row.join(" | ")));
    }
}

fn put(page: &mut String, text: std::fmt::Arguments) {
    page.write_fmt(text).expect("a string takes everything");
}

/// On one line, in one cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (&**name, value))
}
