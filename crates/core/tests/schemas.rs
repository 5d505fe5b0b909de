//! The pass over the bytes against a naive model that walks a tree by the schema that clients see: both agree on what is valid, for every
//! sample with every place in it replaced, removed or joined by a stranger.

use postrider_core::profile::{EventTypes, Profile, is_date_time};
use serde_json::{Value, json};

/// What JSON Schema means by the keywords that profiles use.
fn is_valid(schema: &Value, value: &Value) -> bool {
    let has_type = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("number") => value.is_number(),
        Some("integer") => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        other => panic!("no type: {other:?}"),
    };
    schema.as_object().expect("a schema").iter().all(|(keyword, says)| match keyword.as_str() {
        "$schema" | "description" => true,
        "type" => says.as_array().map_or_else(|| has_type(says), |names| names.iter().any(has_type)),
        "enum" => says.as_array().expect("values").contains(value),
        "format" => value.as_str().is_none_or(is_date_time),
        "required" => {
            let mut names = says.as_array().expect("names").iter().filter_map(Value::as_str);
            value.as_object().is_none_or(|map| names.all(|name| map.contains_key(name)))
        }
        "properties" => value.as_object().is_none_or(|map| {
            map.iter().all(|(name, value)| says.get(name).is_none_or(|schema| is_valid(schema, value)))
        }),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(says, item))),
        other => panic!("the model does not know {other}"),
    })
}

/// What a place is replaced by.
fn strangers() -> [Value; 18] {
    [
        json!(null),
        json!(true),
        json!(0),
        json!(-7),
        json!(u64::MAX),
        json!(2.0),
        json!(2.5),
        json!(1e300),
        json!(""),
        json!("EMAIL"),
        json!("\u{e9}\"\\\n"),
        json!("2026-02-19T10:30:00Z"),
        json!("2026-02-30T10:30:00Z"),
        json!([]),
        json!([null, {"id": 1}, []]),
        json!({}),
        json!({"id": {"id": null}, "start": 1.5}),
        json!({"id": "x", "name": "y", "snaily_id": 5}),
    ]
}

/// The pointers to every place in a document.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, inner)| places(inner, format!("{at}/{name}"), into)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, inner)| places(inner, format!("{at}/{n}"), into)),
        _ => {}
    }
    into.push(at);
}

/// The document with one place changed in every way.
fn variants(sample: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    places(sample, String::new(), &mut all);
    let mut variants = vec![sample.clone()];
    for at in &all {
        let mut put = |change: &dyn Fn(&mut Value)| {
            let mut variant = sample.clone();
            change(variant.pointer_mut(at).expect("a place of the sample"));
            variants.push(variant);
        };
        strangers().iter().for_each(|stranger| put(&|place| *place = stranger.clone()));
        let Some(map) = sample.pointer(at).and_then(Value::as_object) else {
            continue;
        };
        put(&|place| place["stranger"] = json!({"any": ["thing"]}));
        map.keys().for_each(|name| put(&|place| drop(place.as_object_mut().and_then(|map| map.remove(name)))));
    }
    variants
}

#[test]
fn the_pass_and_the_schema_that_clients_see_agree_on_every_variant_of_every_sample() {
    let (mut valid, mut invalid) = (0, 0);
    for profile in Profile::built_in() {
        let EventTypes::Listed(types) = &profile.event_types else {
            continue;
        };
        for event_type in types {
            let schema = serde_json::from_str(&event_type.schema).expect("JSON");
            let sample = serde_json::from_str(&event_type.sample).expect("JSON");
            for variant in variants(&sample) {
                let text = variant.to_string();
                let checked = profile.check(&event_type.name, text.as_bytes());
                assert_eq!(checked.is_ok(), is_valid(&schema, &variant), "{}: {text}: {checked:?}", event_type.name);
                *(if checked.is_ok() { &mut valid } else { &mut invalid }) += 1;
            }
        }
    }
    assert!(valid > 1000 && invalid > 1000, "{valid} valid and {invalid} invalid variants compare too little");
}
