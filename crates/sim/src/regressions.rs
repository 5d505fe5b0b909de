//! Seeds that once broke a law and are run for ever.

use crate::plan::Plan;

/// The plans of `regressions.txt`.
///
/// # Panics
/// When a line cannot be read.
pub fn regressions() -> impl Iterator<Item = Plan> {
    let lines = include_str!("../regressions.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let numbers: Vec<u64> = line.split('#').next().unwrap_or("").split_whitespace().flat_map(str::parse).collect();
        let [seed, steps] = numbers[..] else { panic!("a line is a seed and steps, then `#` and its story: {line}") };
        Plan::new(seed, steps)
    })
}
