//! `completions`: scripts that a shell takes.

use std::process::Command;

use crate::support::run;

fn script(shell: &str) -> String {
    let output = run(&["completions", shell]);
    assert!(output.status.success() && output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers after these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let (at, last) = (words.len() - 1, words[words.len() - 1]);
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "COMP_WORDS=({}); COMP_CWORD={at}; _postrider postrider '{last}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words[at - 1]
    );
    // The script is longer than an argument may be.
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, format!("{script}\n{ask}")).unwrap();
    let output = Command::new("bash").arg("--norc").arg(path.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_takes_the_script_and_completes_commands_and_options() {
    let script = script("bash");
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, &script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(path.path()).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));

    assert_eq!(offered(&script, &["postrider", "ba"]), ["backup"]);
    assert_eq!(offered(&script, &["postrider", "log", "sa"]), ["salvage"]);
    assert_eq!(offered(&script, &["postrider", "delivery", "retry-"]), ["retry-failed"]);
    assert_eq!(offered(&script, &["postrider", "serve", "--retention-"]), ["--retention-bytes"]);
    assert_eq!(offered(&script, &["postrider", "config", "show", "--js"]), ["--json"]);
}

#[test]
fn every_shell_has_a_script_that_knows_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = script(shell);
        for command in ["serve", "salvage", "completions", "retention-bytes"] {
            assert!(script.contains(command), "{command} for {shell}");
        }
    }
}
