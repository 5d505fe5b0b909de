//! What a check finds wrong, and what it takes along.

use super::*;
use crate::invalid::FieldError;
use proptest::prelude::*;

/// The faults of a Snaily event whose `data` is the sample with `from` replaced by `to`.
fn snaily_with(from: &str, to: &str) -> Vec<FieldError> {
    let profile = snaily();
    let sample = String::from_utf8_lossy(profile.sample("contact.replied").expect("listed")).into_owned();
    assert!(sample.contains(from), "the sample has {from}");
    profile.check("contact.replied", sample.replacen(from, to, 1).as_bytes()).err().unwrap_or_default()
}

fn genesy_campaign(data: &str) -> Option<String> {
    genesy().check("POST_LIKED", data.as_bytes()).expect("valid").campaign.map(String::from)
}

#[test]
fn a_fault_is_told_with_its_path_and_what_would_be_right() {
    for (from, to, field, message) in [
        (r#""distance":2"#, r#""distance":"2""#, "data.contact.distance", "must be an integer or null"),
        (r#""distance":2"#, r#""distance":2.5"#, "data.contact.distance", "must be an integer or null"),
        (r#""is_premium":true"#, r#""is_premium":1"#, "data.contact.is_premium", "must be a boolean or null"),
        (
            r#""id":"96""#,
            r#""id":[]"#,
            "data.contact.last_job.company.industries[0].id",
            "must be a string, a number or null",
        ),
        (
            r#""start":1000"#,
            r#""start":{}"#,
            "data.contact.last_job.company.employee_count_range.start",
            "must be an integer or null",
        ),
        (r#"[{"id":"96","#, r#"[{},7,{"id":"96","#, "data.contact.last_job.company.industries[1]", "must be an object"),
        (r#""snaily_id""#, r#""other_id""#, "data.contact.snaily_id", "is required"),
        (r#""reply_text""#, r#""text""#, "data.reply_text", "is required"),
        (r#""user_context":{"#, r#""user_context":null,"x":{"#, "data.user_context", "must be an object"),
        (
            "2026-02-19T11:45:00Z",
            "yesterday",
            "data.created_at",
            "must be an RFC 3339 date-time, such as 2026-02-19T10:30:00Z",
        ),
    ] {
        assert_eq!(snaily_with(from, to), [FieldError::new(field, message)], "{to}");
    }
}

#[test]
fn documented_members_may_be_absent_or_null_and_others_be_anything() {
    for (from, to) in [
        (r#""distance":2"#, r#""distance":null"#),
        (r#""distance":2"#, r#""Distance":"far""#),
        (r#""distance":2"#, r#""distance":2.0"#),
        (r#""id":"96""#, r#""id":96"#),
        (r#""id":"campaign-id-456""#, r#""id":456"#),
        (r#""last_job":"#, r#""last_job":null,"other":"#),
        (r#""created_at""#, r#""extra":[1e999,{"a":{}}],"created_at""#),
    ] {
        assert_eq!(snaily_with(from, to), [], "{to}");
    }
}

#[test]
fn all_faults_are_told_up_to_a_bound() {
    let faults = snaily().check("contact.connected", b"{}").expect_err("everything is missing");
    let fields: Vec<_> = faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["data.campaign", "data.contact", "data.created_at", "data.user_context"]);
    let many = vec!["1"; 1000].join(",");
    let data = format!(r#"{{"contact":{{"last_job":{{"company":{{"industries":[{many}]}}}}}}}}"#);
    assert_eq!(snaily().check("contact.connected", data.as_bytes()).map_err(|f| f.len()), Err(ERRORS_MAX));
}

#[test]
fn a_message_channel_is_one_of_three() {
    let check =
        |channel: &str| genesy().check("EMAIL_SENT", format!(r#"{{"message":{{"channel":{channel}}}}}"#).as_bytes());
    for channel in [r#""LINKEDIN""#, r#""EMAIL""#, r#""INMAIL""#, r#""\u0045MAIL""#, "null"] {
        assert!(check(channel).is_ok(), "{channel}");
    }
    let fault = |message: &str| Err(vec![FieldError::new("data.message.channel", message)]);
    assert_eq!(check(r#""SMS""#), fault("must be LINKEDIN, EMAIL or INMAIL"));
    assert_eq!(check("1"), fault("must be a string or null"));
}

#[test]
fn the_campaign_is_taken_as_text_as_it_was_written() {
    for (id, text) in
        [("4821", "4821"), ("1.0", "1.0"), ("1e999", "1e999"), (r#""c-1""#, "c-1"), (r#""\u0063\/1""#, "c/1")]
    {
        assert_eq!(genesy_campaign(&format!(r#"{{"campaign":{{"id":{id}}}}}"#)).as_deref(), Some(text));
    }
    for data in ["{}", r#"{"campaign":null}"#, r#"{"campaign":{"id":null}}"#, r#"{"other":{"campaign":{"id":1}}}"#] {
        assert_eq!(genesy_campaign(data), None, "{data}");
    }
}

#[test]
fn of_two_campaigns_the_last_one_counts() {
    assert_eq!(genesy_campaign(r#"{"campaign":{"id":1},"campaign":{"id":2,"id":3}}"#).as_deref(), Some("3"));
    assert_eq!(genesy_campaign(r#"{"campaign":{"id":1},"campaign":{"name":"x"}}"#), None);
    assert_eq!(genesy_campaign(r#"{"campaign":{"id":1,"id":null}}"#), None);
    assert_eq!(genesy_campaign(r#"{"campaign":{"id":1},"c\u0061mpaign":null}"#), None);
}

#[test]
fn created_comes_from_the_member_that_the_type_names() {
    let profile = snaily();
    for (event_type, created) in
        [("contact.connected", "2026-02-19T10:30:00Z"), ("invitation.sent", "2026-02-19T09:00:00Z")]
    {
        let checked = profile.check(event_type, profile.sample(event_type).expect("listed")).expect("valid");
        assert_eq!(checked.created.as_deref(), Some(created));
        assert_eq!(checked.campaign.as_deref(), Some("campaign-id-456"));
    }
    assert_eq!(genesy().check("POST_LIKED", br#"{"created_at":"2026-02-19T10:30:00Z"}"#), Ok(Checked::default()));
}

#[test]
fn what_is_no_json_object_is_told_without_a_panic() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    for (data, field) in [
        (&b""[..], "data"),
        (b"{", "data"),
        (b"[]", "data"),
        (b"1", "data"),
        (b"{} {}", "data"),
        (b"\xff", "data"),
        (&deep, "data"),
    ] {
        for profile in [genesy(), standard()] {
            let faults = profile.check("POST_LIKED", data).expect_err("no object");
            assert_eq!(faults[0].field, field, "{faults:?}");
        }
    }
    assert_eq!(genesy().check("nothing", b"{}").expect_err("unknown")[0].field, "type");
}

#[test]
fn control_characters_in_a_key_have_to_be_escaped() {
    for (key, passes) in
        [("\u{1}", false), ("a\tb", false), (r"\n\u0001", true), ("\\n\u{1f}", false), ("\u{7f}", true)]
    {
        for data in [format!(r#"{{"{key}":1}}"#), format!(r#"{{"contact":{{"{key}":[]}}}}"#)] {
            let checked = genesy().check("POST_LIKED", data.as_bytes());
            assert_eq!(checked.is_ok(), passes, "{data:?}");
            assert!(checked.err().is_none_or(|faults| faults[0].field == "data"));
        }
    }
}

#[test]
fn lone_surrogates_pass_where_no_text_is_asked_for() {
    assert!(genesy().check("POST_LIKED", br#"{"\ud800":"\ud800","contact":{"email":"\ud800","\udfff":1}}"#).is_ok());
    let faults = genesy().check("POST_LIKED", br#"{"campaign":{"id":"\ud800"}}"#).expect_err("no text");
    assert_eq!(faults[0].field, "data.campaign.id");
}

proptest! {
    #[test]
    fn no_bytes_make_a_check_panic(data: Vec<u8>, text in "[\\[\\]{}\":,0-9ecampignd\\\\. ]{0,60}") {
        for profile in Profile::built_in() {
            let _ = profile.check("contact.replied", &data);
            let _ = profile.check("POST_LIKED", text.as_bytes());
        }
    }

    #[test]
    fn a_sample_cut_or_flipped_anywhere_does_not_make_it_panic(at: prop::sample::Index, byte: u8) {
        let profile = snaily();
        let mut data = profile.sample("contact.replied").expect("listed").to_vec();
        let at = at.index(data.len());
        let _ = profile.check("contact.replied", &data[..at]);
        data[at] = byte;
        let _ = profile.check("contact.replied", &data);
    }
}
