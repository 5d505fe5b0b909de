//! Seeds that once broke a law and are run for ever.

use crate::plan::Plan;
use crate::trouble::Troubles;

/// The plans of `regressions.txt`.
///
/// # Panics
/// When a line cannot be read.
pub fn regressions() -> impl Iterator<Item = Plan> {
    let lines = include_str!("../regressions.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        let [seed, steps, without] = words[..] else {
            panic!("a line is a seed, steps, and what is left out (or -), then `#` and its story: {line}")
        };
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no number: {line}"));
        let without = Troubles::parse(without.trim_matches('-')).unwrap_or_else(|| panic!("unknown trouble: {line}"));
        Plan { without, ..Plan::new(number(seed), number(steps)) }
    })
}
