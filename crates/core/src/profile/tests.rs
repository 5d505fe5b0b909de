//! Stories about whole profiles.

use super::*;

#[test]
fn the_built_in_profiles_compile() {
    for (name, toml) in BUILT_IN {
        let profile = Profile::parse(toml).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(&*profile.name, name);
    }
}
