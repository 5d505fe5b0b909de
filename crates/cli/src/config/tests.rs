//! A configuration is put together from its sources as it says, and what cannot be meant is named.

use super::*;

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

#[test]
fn an_option_goes_before_the_file_and_the_file_before_the_default() {
    let option = settings("listen = '127.0.0.1:1'");
    let file = settings("listen = '127.0.0.1:2'\nrate_limit = 7\negress.allow = ['loopback']");
    let merged = option.or(file);
    assert_eq!(merged.listen.map(|a| a.port()), Some(1));
    assert_eq!(merged.rate_limit, Some(7));
    assert_eq!(merged.egress.allow, ["loopback"]);
}

#[test]
fn a_key_that_does_not_exist_is_refused_by_name() {
    let error = toml::from_str::<Settings>("lisen = '127.0.0.1:1'").err().unwrap().to_string();
    assert!(error.contains("lisen"), "{error}");
    let error = toml::from_str::<Settings>("grace = '5'").err().unwrap().to_string();
    assert!(error.contains("not a duration"), "{error}");
}

#[test]
fn an_admin_key_may_be_short() {
    assert_eq!(settings("admin_key = 'k'").check(), Ok(()));
}

#[test]
fn what_cannot_be_meant_is_named() {
    for (toml, name) in [
        ("event_max = '2MiB'", "event_max"),
        ("clock = 'sundial'", "clock"),
        ("log = 'debug'", "log"),
        ("init = 'genesis'", "init"),
        ("admin_key = ''", "admin_key"),
        ("admin_key = 'two words'", "admin_key"),
        ("master_key = 'hunter2'", "master_key"),
        ("permits.global = 0", "permits.global"),
    ] {
        let error = settings(toml).check().unwrap_err();
        assert!(error.starts_with(name), "{error}");
    }
}
