//! What bodies look like. Whole bodies are in `tests/golden`; these are the corners.

use super::*;
use proptest::prelude::*;

fn body(profile: &Profile, data: &str, custom_fields: &[&str]) -> String {
    let event =
        EventView { id: "e1", event_type: "POST_LIKED", created: "2026-02-19T10:30:00.000Z", data: data.as_bytes() };
    let mut out = Vec::new();
    profile.render(&event, custom_fields, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// What comes after the timestamp in a Genesy body.
fn rest(data: &str, custom_fields: &[&str]) -> String {
    let head = r#"{"eventId":"e1","eventType":"POST_LIKED","timestamp":"2026-02-19T10:30:00.000Z","#;
    let body = body(&genesy(), data, custom_fields);
    body.strip_prefix(head).unwrap_or_else(|| panic!("{body}")).to_owned()
}

#[test]
fn what_the_event_lacks_is_left_out_and_null_stays_null() {
    assert_eq!(rest("{}", &[]), r#""customFields":{}}"#);
    assert_eq!(rest(r#"{"contact":{},"post":null}"#, &[]), r#""contact":{},"post":null,"customFields":{}}"#);
    assert_eq!(rest(r#"{"contact":{"email":null}}"#, &[]), r#""contact":{"email":null},"customFields":{}}"#);
}

#[test]
fn keys_stand_in_the_envelopes_order_and_other_members_are_not_sent() {
    let data = r#"{"post":{"url":"u","likes":3,"id":1},"x":{},"campaign":{"name":"n","id":"c"},"contact":{"phone":"1","email":"e","id":7}}"#;
    let expected = r#""campaign":{"id":"c","name":"n"},"contact":{"id":7,"email":"e"},"post":{"id":1,"url":"u"},"customFields":{}}"#;
    assert_eq!(rest(data, &[]), expected);
}

#[test]
fn values_go_out_as_they_came_in() {
    let data = "{\"contact\": {\"id\": 1.50e+2 , \"email\": \"\\u00e9\\/\", \"jobTitle\": { \"a\" : [1,  2] }}}";
    let expected = r#""contact":{"id":1.50e+2,"email":"\u00e9\/","jobTitle":{ "a" : [1,  2] }},"customFields":{}}"#;
    assert_eq!(rest(data, &[]), expected);
}

#[test]
fn a_custom_field_is_looked_up_in_four_places_in_order() {
    let data = r#"{"company":{"a":"company","b":"company","customFields":{"a":4,"b":4,"c":4,"d":4}},
        "contact":{"customFields":{"b":3,"c":3,"a":3},"a":"contact"}}"#;
    let custom = r#""customFields":{"d":4,"a":"contact","b":"company","nowhere":null,"c":3}}"#;
    assert!(
        rest(data, &["d", "a", "b", "nowhere", "c"]).ends_with(custom),
        "{}",
        rest(data, &["d", "a", "b", "nowhere", "c"])
    );
}

#[test]
fn a_base_member_or_the_places_themselves_can_be_named() {
    let data = r#"{"contact":{"email":"e","customFields":{"x":{"y":1}}}}"#;
    let expected = r#""contact":{"email":"e"},"customFields":{"email":"e","customFields":{"x":{"y":1}},"x":{"y":1}}}"#;
    assert_eq!(rest(data, &["email", "customFields", "x"]), expected);
}

#[test]
fn a_name_is_written_once_and_escaped() {
    assert_eq!(rest(r#"{"contact":{"a\"b":1}}"#, &["a\"b", "a\"b"]), r#""contact":{},"customFields":{"a\"b":1}}"#);
}

#[test]
fn of_members_that_occur_twice_the_last_one_is_sent() {
    let data =
        r#"{"company":{"x":9},"contact":{"id":1,"x":1},"contact":{"email":"e"},"company":{"id":2,"id":3,"x":4}}"#;
    let expected = r#""contact":{"email":"e"},"company":{"id":3},"customFields":{"x":4}}"#;
    assert_eq!(rest(data, &["x"]), expected);
    assert_eq!(rest(r#"{"post":{"id":1},"post":null}"#, &[]), r#""post":null,"customFields":{}}"#);
}

#[test]
fn snaily_and_standard_send_data_byte_for_byte() {
    let data = "{ \"a\" :\t1 ,\n\"a\":\"\\u0041\"}";
    let head =
        r#"{"events":[{"id":"e1","type":"POST_LIKED","created":"2026-02-19T10:30:00.000Z","processed":false,"data":"#;
    assert_eq!(body(&snaily(), data, &[]), format!("{head}{data}}}]}}"));
    let head = r#"{"type":"POST_LIKED","timestamp":"2026-02-19T10:30:00.000Z","data":"#;
    assert_eq!(body(&standard(), data, &[]), format!("{head}{data}}}"));
}

/// Space between tokens, which has to survive where data goes out whole.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" "), Just("\n\t")]
}

/// An object of members named at will or as profiles name them.
fn object(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let known = "campaign|contact|company|message|post|customFields|id|name|email|x|channel";
    let name = prop_oneof![3 => known.prop_map(|n| format!("\"{n}\"")), 1 => any::<String>().prop_map(quoted)];
    let member = (name, space(), value).prop_map(|(n, s, v)| format!("{s}{n}{s}:{s}{v}{s}"));
    prop::collection::vec(member, 0..6).prop_map(|m| format!("{{{}}}", m.join(",")))
}

fn quoted(text: String) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON objects of any form.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,20}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(quoted),
        Just("\"\\ud800\"".to_owned()),
    ];
    let value = leaf.prop_recursive(3, 30, 6, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..4).prop_map(|i| format!("[{}]", i.join(",")));
        prop_oneof![3 => object(inner.boxed()), 1 => array]
    });
    object(value.boxed())
}

/// Valid data with campaigns to spare: absent, null, without an id, with several.
fn campaigns() -> impl Strategy<Value = String> {
    let id = prop::sample::select(vec!["1", "2.50", "\"c\"", "\"\\u0063 2\"", "null"]);
    let member = (prop::sample::select(vec!["id", "i\\u0064", "name"]), id).prop_map(|(name, value)| match name {
        "name" => "\"name\":\"n\"".to_owned(),
        name => format!("\"{name}\":{value}"),
    });
    let object = prop::collection::vec(member, 0..4).prop_map(|m| format!("{{{}}}", m.join(",")));
    let campaign = prop_oneof![4 => object, 1 => Just("null".to_owned())];
    let member = (prop::sample::select(vec!["campaign", "c\\u0061mpaign", "other"]), campaign);
    let member = member.prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(member, 0..4).prop_map(|m| format!("{{{}}}", m.join(",")))
}

/// As a receiver reads it: of members that occur twice the last one counts. Raw numbers and surrogates stay readable to it.
fn read(json: &str) -> std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

proptest! {
    #[test]
    fn what_passes_the_check_renders_to_json(data in json()) {
        if genesy().check("POST_LIKED", data.as_bytes()).is_ok() {
            let body = read(&body(&genesy(), &data, &["x", "id", "customFields"]));
            prop_assert_eq!(read(body["customFields"].get()).len(), 3);
        }
    }

    #[test]
    fn the_campaign_that_is_sent_is_the_one_that_was_filtered_by(data in campaigns()) {
        let checked = genesy().check("POST_LIKED", data.as_bytes()).expect("valid");
        let campaign = read(&body(&genesy(), &data, &[])).remove("campaign").filter(|c| c.get() != "null");
        let id = campaign.and_then(|c| read(c.get()).remove("id")).filter(|id| id.get() != "null");
        let text = id.map(|id| serde_json::from_str(id.get()).unwrap_or(id.get().to_owned()));
        prop_assert_eq!(checked.campaign.map(String::from), text);
    }

    #[test]
    fn snaily_sends_what_was_published(data in json()) {
        if standard().check("x", data.as_bytes()).is_ok() {
            let body = body(&snaily(), &data, &[]);
            prop_assert!(body.contains(&data));
            read(&body);
        }
    }

    #[test]
    fn no_bytes_make_rendering_panic(data: Vec<u8>, names: Vec<String>) {
        let event = EventView { id: "\"", event_type: "\u{1}", created: "", data: &data };
        Profile::built_in().iter().for_each(|p| p.render(&event, &names, &mut Vec::new()));
    }

    #[test]
    fn the_same_event_renders_to_the_same_bytes_behind_what_is_there(data in json()) {
        let mut twice = body(&genesy(), &data, &["x"]).into_bytes();
        let once = twice.clone();
        let event = EventView { id: "e1", event_type: "POST_LIKED", created: "2026-02-19T10:30:00.000Z", data: data.as_bytes() };
        genesy().render(&event, &["x"], &mut twice);
        prop_assert_eq!(&twice[once.len()..], &once);
    }
}
