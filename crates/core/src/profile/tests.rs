//! Stories about whole profiles: what is checked, what is rendered, what is refused at load.

mod check;
mod refuse;
mod render;

use super::*;

pub(super) fn genesy() -> Profile {
    Profile::parse(BUILT_IN[0].1).expect("built in")
}

pub(super) fn snaily() -> Profile {
    Profile::parse(BUILT_IN[1].1).expect("built in")
}

pub(super) fn standard() -> Profile {
    Profile::parse(BUILT_IN[2].1).expect("built in")
}

#[test]
fn the_built_in_profiles_compile_and_are_called_what_they_say() {
    for ((name, toml), profile) in BUILT_IN.into_iter().zip(Profile::built_in()) {
        assert_eq!((&*profile.name, &*profile.toml), (name, toml));
        assert_eq!(profile.hash, ProfileHash::of(toml));
    }
}

#[test]
fn a_text_that_is_built_in_is_compiled_once_and_any_other_when_it_is_read() {
    let [genesy, again] = [0, 0].map(|n: usize| Profile::shared(BUILT_IN[n].1).expect("built in"));
    assert!(std::sync::Arc::ptr_eq(&genesy, &again) && *genesy == self::genesy());
    let other = format!("{}\n", BUILT_IN[0].1);
    let [other, again] = [&other, &other].map(|text| Profile::shared(text).expect("it compiles"));
    assert!(!std::sync::Arc::ptr_eq(&other, &again) && other.toml != genesy.toml);
}

#[test]
fn genesy_is_as_published() {
    let profile = genesy();
    let secret = profile.secret.as_ref().expect("a secret header");
    assert_eq!((&*secret.header, secret.chars_min, secret.chars_max), ("X-Webhook-Secret", 8, 256));
    assert_eq!(profile.retry.delays.iter().map(|d| d.0).collect::<Vec<_>>(), [30_000, 300_000, 3_000_000]);
    assert_eq!((profile.retry.jitter_permille, profile.terminal), (0, Terminal::Exhausted));
    assert_eq!(profile.created, CreatedRule { form: CreatedForm::UtcMillis, unique: true });
    assert!(profile.has_campaigns && profile.has_custom_fields && profile.name_required && !profile.gone_disables);
    assert!(matches!(&profile.event_types, EventTypes::Listed(types) if types.len() == 8));
}

#[test]
fn snaily_is_as_published() {
    let profile = snaily();
    let secret = profile.secret.as_ref().expect("a secret header");
    assert_eq!((&*secret.header, secret.chars_min, secret.chars_max), ("X-Snaily-Token", 1, 256));
    assert_eq!(profile.retry.delays.iter().map(|d| d.0).collect::<Vec<_>>(), [12 * 3_600_000; 14]);
    assert_eq!((profile.retry.jitter_permille, profile.terminal), (0, Terminal::Removed));
    assert_eq!(profile.created, CreatedRule { form: CreatedForm::AsGiven, unique: false });
    assert!(profile.has_campaigns && !profile.has_custom_fields && !profile.name_required && !profile.gone_disables);
    assert!(matches!(&profile.event_types, EventTypes::Listed(types) if types.len() == 3));
}

#[test]
fn standard_is_as_published() {
    let profile = standard();
    let hours: Vec<_> = profile.retry.delays.iter().map(|d| d.0 / 1000).collect();
    assert_eq!(hours, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    assert_eq!((profile.retry.jitter_permille, profile.terminal), (100, Terminal::Exhausted));
    assert_eq!(profile.created, CreatedRule { form: CreatedForm::UtcMillis, unique: false });
    assert!(!profile.has_campaigns && !profile.has_custom_fields && profile.name_required && profile.gone_disables);
    assert_eq!(profile.secret, None);
    assert!(profile.knows_type("invoice.paid") && !profile.knows_type("invoice paid"));
    assert!(profile.sample("invoice.paid").is_some() && profile.sample("invoice paid").is_none());
}

#[test]
fn a_type_is_known_when_it_is_in_the_catalogue() {
    let profile = snaily();
    assert!(profile.knows_type("contact.replied") && !profile.knows_type("Contact.Replied"));
    assert_eq!(profile.event_type("invitation.sent").map(|t| &*t.display_name), Some("Invitation sent"));
    assert_eq!(profile.sample("POST_LIKED"), None);
}
