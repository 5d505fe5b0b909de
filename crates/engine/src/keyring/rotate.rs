//! Another master key for the same keys, while no engine runs on the folder.
//!
//! A list of steps, each of which is whole and on disk before the next one begins:
//!
//! 1. each key file holds its key twice, wrapped by the old master key and by the new one;
//! 2. the folder's master key is the new one;
//! 3. each key file holds its key once, wrapped by the new one.
//!
//! So wherever it is cut off, one master key opens all keys: up to step 2 the old one, from there on the new one. Done again, it comes to its
//! end from wherever it was.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, remove_synced, write_synced};
use super::master::{self, GIVEN_FILE, GIVEN_NOTE, MASTER_FILE, MasterKey};
use super::{KEYS_FOLDER, KeyringError, is_key_name};

/// Where the new master key is to be from here on.
#[derive(Clone, Debug)]
pub enum NewMaster {
    /// Made here, in `master.key`.
    InFile,
    /// With whoever gives it; in no file.
    Given(MasterKey),
}

enum Step {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
}

impl Step {
    fn carry_out(&self) -> Result<(), KeyringError> {
        match self {
            Step::Write(path, bytes) => write_synced(path, bytes),
            Step::Remove(path) => remove_synced(path),
        }
    }
}

/// Wraps every key of the folder by another master key; says how many there are. `given` is the present one, where it is in no file. The
/// caller sees to it that no engine runs on the folder.
///
/// # Errors
/// When a key can't be opened, and then nothing is changed; when a file can't be written, and then one master key opens all keys.
pub fn rotate_master(data: &Path, given: Option<&MasterKey>, new: &NewMaster) -> Result<usize, KeyringError> {
    let (steps, keys) = plan(data, given, new)?;
    steps.iter().try_for_each(Step::carry_out)?;
    Ok(keys)
}

fn plan(data: &Path, given: Option<&MasterKey>, new: &NewMaster) -> Result<(Vec<Step>, usize), KeyringError> {
    let of_file = master::of_file(data)?;
    let lacking = || match data.join(GIVEN_FILE).exists() {
        true => KeyringError::NotGiven { path: data.into() },
        false => KeyringError::NoMaster { path: data.join(MASTER_FILE) },
    };
    let (key, commit) = match new {
        NewMaster::InFile => {
            let key = MasterKey::random();
            let written = Step::Write(data.join(MASTER_FILE), key.bytes().to_vec());
            (key, [written, Step::Remove(data.join(GIVEN_FILE))])
        }
        NewMaster::Given(key) => {
            let noted = Step::Write(data.join(GIVEN_FILE), GIVEN_NOTE.into());
            (key.clone(), [noted, Step::Remove(data.join(MASTER_FILE))])
        }
    };
    if of_file.is_none() && given.is_some_and(|given| key.is(given)) {
        return Err(KeyringError::SameMaster);
    }
    // One that was cut off before may have left keys of which only the new one opens some, or all and no other at hand.
    let is_at_hand = of_file.is_some() || given.is_some();
    let present = match (of_file.as_ref().or(given), new) {
        (Some(present), _) => present.clone(),
        (None, NewMaster::Given(key)) => key.clone(),
        (None, NewMaster::InFile) => return Err(lacking()),
    };
    let masters: Vec<&MasterKey> = [Some(&present), given, Some(&key)].into_iter().flatten().collect();
    let (mut twice, mut once) = (Vec::new(), Vec::new());
    for path in key_files(data)? {
        let wrapped = files::read(&path)?.unwrap_or_default();
        let opened = masters.iter().find_map(|master| master.unwrap(&wrapped));
        let opened = opened.ok_or_else(|| match is_at_hand {
            true => KeyringError::Unwrap { path: path.clone() },
            false => lacking(),
        })?;
        twice.push(Step::Write(path.clone(), [present.wrap(&opened), key.wrap(&opened)].concat()));
        once.push(Step::Write(path, key.wrap(&opened)));
    }
    let keys = once.len();
    Ok((twice.into_iter().chain(commit).chain(once).collect(), keys))
}

fn key_files(data: &Path) -> Result<Vec<PathBuf>, KeyringError> {
    let folder = data.join(KEYS_FOLDER);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|e| files::file_error(&folder, e))? {
        let path = entry.map_err(|e| files::file_error(&folder, e))?.path();
        if is_key_name(&path).is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;
    use postrider_core::sealed::Sealed;
    use secrecy::ExposeSecret;

    fn given(digit: char) -> MasterKey {
        MasterKey::parse(&digit.to_string().repeat(64)).unwrap()
    }

    /// A folder with three keys, and what was sealed with each.
    fn folder(master: Option<&MasterKey>) -> (tempfile::TempDir, Vec<Sealed>) {
        let data = tempfile::tempdir().unwrap();
        let ring = Keyring::open(data.path(), master).unwrap();
        let sealed = (0..3).map(|n| ring.seal(ring.create().unwrap(), &format!("secret-{n}")).unwrap()).collect();
        (data, sealed)
    }

    fn opens(data: &Path, master: Option<&MasterKey>, sealed: &[Sealed]) -> bool {
        let Ok(ring) = Keyring::open(data, master) else { return false };
        let opened = |n: usize| ring.open_sealed(&sealed[n]).is_ok_and(|s| s.expose_secret() == format!("secret-{n}"));
        (0..sealed.len()).all(opened)
    }

    fn copy(from: &Path) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        fs::create_dir(to.path().join(KEYS_FOLDER)).unwrap();
        for folder in ["", KEYS_FOLDER] {
            for entry in fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), to.path().join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        to
    }

    /// From where to where: with what the folder opened before, and with what it opens afterwards.
    fn ways() -> [(Option<MasterKey>, NewMaster, Option<MasterKey>); 4] {
        [
            (None, NewMaster::InFile, None),
            (None, NewMaster::Given(given('b')), Some(given('b'))),
            (Some(given('a')), NewMaster::Given(given('b')), Some(given('b'))),
            (Some(given('a')), NewMaster::InFile, None),
        ]
    }

    #[test]
    fn wherever_the_power_is_cut_one_master_key_opens_all_and_doing_it_again_comes_to_the_end() {
        for (old, new, opened_by) in ways() {
            let (before, sealed) = folder(old.as_ref());
            let steps = plan(before.path(), old.as_ref(), &new).unwrap().0;
            assert_eq!(steps.len(), 8);
            for done in 0..=steps.len() {
                let data = copy(before.path());
                let in_copy = |path: &Path| data.path().join(path.strip_prefix(before.path()).unwrap());
                for step in &steps[..done] {
                    match step {
                        Step::Write(path, bytes) => write_synced(&in_copy(path), bytes).unwrap(),
                        Step::Remove(path) => remove_synced(&in_copy(path)).unwrap(),
                    }
                }
                if let Some(Step::Write(path, bytes)) = steps.get(done) {
                    // As far as the next one came.
                    fs::write(in_copy(path).with_extension("new"), &bytes[..bytes.len() / 2]).unwrap();
                }
                let at = |master: &Option<MasterKey>| opens(data.path(), master.as_ref(), &sealed);
                assert!(at(&old) || at(&opened_by), "after {done} steps of {new:?}");
                rotate_master(data.path(), old.as_ref(), &new).unwrap();
                assert!(at(&opened_by), "again, after {done} steps of {new:?}");
            }
        }
    }

    #[test]
    fn the_old_master_key_is_of_no_use_any_more() {
        for (old, new, opened_by) in ways() {
            let (data, sealed) = folder(old.as_ref());
            let of_file = fs::read(data.path().join(MASTER_FILE)).ok();
            assert_eq!(rotate_master(data.path(), old.as_ref(), &new).unwrap(), 3);
            assert!(opens(data.path(), opened_by.as_ref(), &sealed));
            assert_eq!(data.path().join(MASTER_FILE).exists(), opened_by.is_none());
            let _ = fs::remove_file(data.path().join(GIVEN_FILE));
            match (of_file, &old) {
                (Some(key), _) => fs::write(data.path().join(MASTER_FILE), key).unwrap(),
                (None, _) => drop(fs::remove_file(data.path().join(MASTER_FILE))),
            }
            assert!(matches!(Keyring::open(data.path(), old.as_ref()), Err(KeyringError::Unwrap { .. })));
        }
    }

    #[test]
    fn what_cannot_be_opened_or_changes_nothing_is_refused_and_left() {
        let (data, sealed) = folder(Some(&given('a')));
        let refused = |present: Option<&MasterKey>, new| rotate_master(data.path(), present, &new).unwrap_err();
        assert!(matches!(refused(None, NewMaster::InFile), KeyringError::NotGiven { .. }));
        assert!(matches!(refused(None, NewMaster::Given(given('c'))), KeyringError::NotGiven { .. }));
        assert!(matches!(refused(Some(&given('c')), NewMaster::InFile), KeyringError::Unwrap { .. }));
        assert!(matches!(refused(Some(&given('a')), NewMaster::Given(given('a'))), KeyringError::SameMaster));
        assert!(opens(data.path(), Some(&given('a')), &sealed));
        fs::remove_file(data.path().join(GIVEN_FILE)).unwrap();
        assert!(matches!(refused(None, NewMaster::InFile), KeyringError::NoMaster { .. }));
    }
}
